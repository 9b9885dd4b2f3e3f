import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deploy } from '../../src/cli/deploy.ts';

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'hf-deploy-cli-'));
  const upstream = join(top, 'upstream');
  mkdirSync(upstream);
  writeFileSync(join(upstream, 'train.py'), 'print(1)\n');
  const git = (...words: string[]) =>
    execFileSync('git', ['-C', upstream, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...words], { stdio: 'ignore' });
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  writeFileSync(join(top, 'here.yaml'), 'version: 1\nname: here\nkind: local\ntitle: Here\nas_of: 2026-08-19\nsource: a test\nslots: 1\n');
});
afterEach(() => rmSync(top, { recursive: true, force: true, maxRetries: 5 }));

async function command(files: string, action?: string, quiet = false) {
  const plan = join(top, 'deploy.yaml');
  writeFileSync(
    plan,
    `version: 1\nbase: ${top}/base\nrepository: {url: "file://${top}/upstream", branch: main}\nverify: {files: [${files}]}\n`,
  );
  let shown = '';
  const output = new PassThrough();
  output.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  const errors = new PassThrough();
  const io = {
    env: process.env,
    input: new PassThrough(),
    output,
    errors,
    interrupted: new AbortController().signal,
  };
  const exit = await deploy(join(top, 'here.yaml'), { config: plan, json: true, quiet, ...(action === undefined ? {} : { action }) }, io);
  return { exit, report: JSON.parse(shown) as Record<string, unknown>, progress: String(errors.read() ?? '') };
}

it('ends well with one JSON document when all is as the plan says', async () => {
  expect(await command('train.py')).toMatchObject({
    exit: 'ok',
    report: {
      ok: true,
      repository: { status: 'ok', action: 'cloned', repo_branch: 'main' },
      verification: { checks: { 'train.py': 'ok' } },
    },
  });
});

it('ends as failed when anything is missing, so that nothing is submitted after it', async () => {
  expect(await command('train.py, data.py')).toMatchObject({
    exit: 'failed',
    report: { ok: false, verification: { status: 'error', checks: { 'data.py': expect.stringContaining('is not there') } } },
  });
});

it('does only what --action says, and refuses an action that there is not', async () => {
  const { report } = await command('train.py', 'repo');
  expect(Object.keys(report)).toEqual(['ok', 'system', 'base', 'repository']);
  await expect(command('train.py', 'everything')).rejects.toMatchObject({
    exit: 'usage',
    message: expect.stringContaining('repo, python'),
  });
});

it('says how far it is, and nothing of it with --quiet', async () => {
  expect((await command('train.py')).progress).toMatch(/repository: started\n/);
  expect(await command('train.py, data.py', undefined, true)).toMatchObject({ exit: 'failed', progress: '' });
});
