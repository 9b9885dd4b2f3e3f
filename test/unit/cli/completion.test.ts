import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { cli, cliJson } from '../../support/cli.ts';

const run = promisify(execFile);

/** What bash offers behind these words, by the script itself. */
async function offered(script: string, ...words: string[]): Promise<string[]> {
  const ask = `${script}\nCOMP_WORDS=(holdfast "$@"); COMP_CWORD=$#; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', ask, 'bash', ...words], { cwd: 'config' });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion in bash', () => {
  it('offers commands, their sub-commands, their options, and files where nothing of ours fits', async () => {
    const { out } = await cli('completion', 'bash');
    expect(await offered(out, 'sta')).toEqual(['status']);
    expect(await offered(out, 'set', '')).toEqual(expect.arrayContaining(['concurrency', 'budget']));
    expect(await offered(out, 'set', 'budget', 'digits-1', '--tr')).toEqual(['--trials']);
    expect(await offered(out, 'run', 'campaigns/dig')).toEqual(['campaigns/digits.yaml']);
    expect(await offered(out, 'run', 'set', '--wa')).toEqual(['--watch']);
  });

  it('is refused for a shell that is not known, with those that are', async () => {
    const { exit, err } = await cli('completion', 'tcsh');
    expect(exit).toBe(2);
    expect(err).toContain('Choose bash, zsh, fish.');
    expect(await cliJson('completion', 'fish')).toMatchObject({ shell: 'fish', script: expect.stringContaining('complete -c holdfast') });
  });
});

describe('holdfast version', () => {
  it('names what a report of a fault needs', async () => {
    expect(await cliJson('version')).toMatchObject({ holdfast: expect.stringMatching(/^\d+\.\d+\.\d+/), node: process.versions.node });
    expect((await cli('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
