import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FAILURE_TABLE } from '../../../src/domain/failures.ts';

/** A code as the source writes it: a whole literal, never put together. */
const LITERAL = /(['"`])(HF-[A-Z0-9-]+)\1/g;
const ENTRY = /^\| `(HF-[A-Z0-9-]+)` \| (.+?) \| (.+?) \|$/gm;

async function codesOfTheSource(): Promise<Set<string>> {
  const codes = new Set<string>();
  for (const folder of ['src', 'activities', 'workflows', 'remote', 'bin', 'scripts']) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(ts|py|sh|mjs)$/.test(entry.name)) continue;
      const text = await readFile(path.join(entry.parentPath, entry.name), 'utf8');
      for (const [, , code] of text.matchAll(LITERAL)) codes.add(code as string);
    }
  }
  return codes;
}

const page = await readFile('docs/errors.md', 'utf8');
const entries = [...page.matchAll(ENTRY)].map((match) => match[1] as string);

describe('docs/errors.md', () => {
  it('has an entry for every code of the source, once, and none without a code', async () => {
    const codes = await codesOfTheSource();
    expect(codes.size).toBeGreaterThan(150);
    expect([...codes].filter((code) => !entries.includes(code)).sort()).toEqual([]);
    expect(entries.filter((code) => !codes.has(code))).toEqual([]);
    expect(entries.filter((code, index) => entries.indexOf(code) !== index)).toEqual([]);
  });

  it('lists every class of a failed trial with its advice', () => {
    for (const [name, { advice }] of Object.entries(FAILURE_TABLE)) {
      expect(page.split('\n').filter((line) => line.startsWith(`| \`${name}\` |`))).toEqual([expect.stringContaining(`| ${advice} |`)]);
    }
  });
});
