import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program } from '../../../src/cli/program.ts';
import { cli } from '../../support/cli.ts';

const io = { env: {}, input: process.stdin, output: process.stdout, errors: process.stderr, interrupted: new AbortController().signal };

/** Every command with --json, by its words, and a word for each argument that it must have. */
function commands(command: Command, words: readonly string[] = []): { words: string[]; needed: string[] }[] {
  const below = command.commands.flatMap((each) => commands(each, [...words, each.name()]));
  if (!command.options.some((option) => option.long === '--json')) return below;
  const needed = command.registeredArguments.filter((argument) => argument.required).map(() => 'nothing-of-this-name');
  return [{ words: [...words], needed }, ...below];
}

/** They start a server or a worker. */
const STARTS = ['dev', 'worker'];
const all = commands(program(io, () => undefined)).filter(({ words }) => !STARTS.includes(words.join(' ')));

const saved = process.env.TEMPORAL_ADDRESS;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-json-'));
  process.env.TEMPORAL_ADDRESS = '127.0.0.1:1';
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  if (saved === undefined) delete process.env.TEMPORAL_ADDRESS;
  else process.env.TEMPORAL_ADDRESS = saved;
});

describe('--json without a server, a login or a file', () => {
  it('is looked at for every command', () => {
    expect(all.length).toBeGreaterThan(40);
  });

  it.each(all.map(({ words, needed }) => [words.join(' '), needed] as const))(
    'holdfast %s: one document on stdout, also when it fails',
    async (words, needed) => {
      const own = words === 'init' ? [path.join(folder, 'campaign.yaml')] : needed;
      const { out, exit } = await cli(...words.split(' '), ...own, '--json');
      const document = JSON.parse(out) as { error?: { code: string; exit: number } };
      if (document.error !== undefined) {
        expect(document.error.exit).toBe(exit);
        expect(document.error.code).toMatch(/^HF-/);
      }
    },
  );

  it('a mistyped option is a document too', async () => {
    const { out, exit } = await cli('status', '--jsn', '--json');
    expect(exit).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'HF-USAGE', message: expect.stringContaining("unknown option '--jsn'") } });
  });
});
