import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { cacheFolder, packageRoot } from '../../../src/package-root.ts';

const FILES: Readonly<Record<string, string>> = {
  'mixed.test.mjs': `describe('a', () => { it('passes', () => {}); it('fails', () => { throw new Error('no'); }); it.skip('is left out', () => {}); });`,
  'hook.test.mjs': `describe('with a hook', () => { beforeAll(() => { throw new Error('no server'); }); it('one', () => {}); it('two', () => {}); });`,
  'load.test.mjs': `throw new Error('cannot be loaded');`,
  'dies.test.mjs': `it('passes', () => {}); it('ends its process', () => process.kill(process.pid, 'SIGKILL'));`,
  'slow.test.mjs': `beforeAll(() => new Promise((resolve) => setTimeout(resolve, 600))); it('passes', () => {});`,
  'stray.test.mjs': `it('passes', async () => { Promise.reject(new Error('nobody waits for this')); await new Promise((done) => setTimeout(done, 50)); });`,
};

it('tests, hooks and files that fail, and processes that die, are all in the report', { timeout: 120_000 }, () => {
  // Below our own folder, where node_modules is found.
  mkdirSync(cacheFolder(), { recursive: true });
  const folder = mkdtempSync(path.join(cacheFolder(), 'reporter-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(FILES)) writeFileSync(path.join(folder, name), text);
  writeFileSync(
    path.join(folder, 'vitest.config.mjs'),
    `export default { test: { globals: true, include: ['*.test.mjs'], pool: 'forks' } };`,
  );
  const report = path.join(folder, 'report.json');
  const words = [path.join(packageRoot(), 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder];
  const reporter = `--reporter=${path.join(packageRoot(), 'scripts/vitest-reporter.mjs')}`;
  const { VITEST: _own, ...env } = process.env;
  const { status } = spawnSync(process.execPath, [...words, reporter], {
    cwd: folder,
    env: { ...env, HOLDFAST_TEST_REPORT: report },
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  const run = JSON.parse(readFileSync(report, 'utf8')) as {
    files: { file: string; seconds: number; passed: number; skipped: number; failures: string[] }[];
    unhandled: string[];
  };
  const of = (file: string) => run.files.find((each) => each.file === file);
  expect(of('mixed.test.mjs')).toMatchObject({ passed: 1, skipped: 1, failures: ['a > fails'] });
  expect(of('hook.test.mjs')).toMatchObject({ passed: 0, skipped: 2, failures: ['with a hook: no server'] });
  expect(of('load.test.mjs')).toMatchObject({ passed: 0, failures: ['cannot be loaded'] });
  expect(of('slow.test.mjs')).toMatchObject({ passed: 1, failures: [] });
  expect(of('slow.test.mjs')?.seconds).toBeGreaterThan(0.6);
  expect(of('dies.test.mjs')).toMatchObject({ passed: 0, failures: ['passes: did not end', 'ends its process: did not end'] });
  expect(of('stray.test.mjs')).toMatchObject({ passed: 1, failures: ['unhandled error: nobody waits for this'] });
  expect(run.files).toHaveLength(Object.keys(FILES).length);
  expect(run.unhandled).toEqual([]);
});
