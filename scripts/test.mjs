#!/usr/bin/env node
// `npm test`: installs what is missing, then linters, type check and every suite. Ends with one line `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from './build.mjs';
import { ensureNodePackages, ensurePython, main, root } from './setup.mjs';
import { ensureSystemPackages } from './system-packages.mjs';
import { ensureTimeSkippingServer } from './time-skipping-server.mjs';

/** Suites that are one command each: a pass or a failure. */
const CHECKS = [
  ['type check', process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit']],
  ['lint', process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']],
  ['ruff', '{test-python-folder}/ruff', ['check', 'remote', 'test']],
];

await main(async () => {
  const say = (text) => console.error(`· ${text}`);
  const started = Date.now();
  await ensureNodePackages(say);
  await ensureSystemPackages(say);
  const python = await ensurePython('python', 'remote/requirements-demo.txt', say);
  const testPython = await ensurePython('python-test', 'test/requirements.txt', say);
  const torchPython = await torch(say);
  const timeSkipping = await ensureTimeSkippingServer(say);
  if (timeSkipping.executable === undefined) say(`no time-skipping server (${timeSkipping.reason}): tests of long timers are left out.`);
  await build({ say });
  const env = {
    ...process.env,
    HOLDFAST_PYTHON: python,
    HOLDFAST_TEST_PYTHON: testPython,
    ...(torchPython ? { HOLDFAST_TORCH_PYTHON: torchPython } : {}),
    ...(timeSkipping.executable ? { HOLDFAST_TIME_SKIPPING_SERVER: timeSkipping.executable } : {}),
  };
  const total = { passed: 0, failed: 0, skipped: 0 };
  const add = (passed, failed, skipped = 0) => {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  };

  for (const [name, command, args] of CHECKS) {
    say(name);
    const { status } = spawnSync(command.replace('{test-python-folder}', path.dirname(testPython)), args, {
      cwd: root,
      stdio: 'inherit',
      env,
    });
    add(status === 0 ? 1 : 0, status === 0 ? 0 : 1);
  }
  for (const suite of pythonSuites(testPython, torchPython)) add(...pytest(suite, env, say));
  add(...vitest(env, say));

  console.error(`· ${Math.round((Date.now() - started) / 1000)} s in all`);
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
});

/** The environment with PyTorch, for the CIFAR-100 payload; undefined where it cannot be had. */
async function torch(say) {
  const file = path.join(root, 'scripts', 'python-torch.mjs');
  if (!existsSync(file)) return undefined;
  const { ensureTorchPython } = await import('./python-torch.mjs');
  const { python, reason } = await ensureTorchPython(say);
  if (python === undefined) say(`PyTorch is not here (${reason}): the tests of the CIFAR-100 payload are left out.`);
  return python;
}

function pythonSuites(testPython, torchPython) {
  const suites = [{ name: 'agent', python: testPython, args: ['test/python', '--ignore=test/python/cifar100'] }];
  if (torchPython !== undefined && existsSync(path.join(root, 'test/python/cifar100'))) {
    suites.push({ name: 'cifar100', python: torchPython, args: ['test/python/cifar100'] });
  }
  return suites;
}

function pytest({ name, python, args }, env, say) {
  say(`pytest ${args[0]}`);
  const report = reportFile(`${name}.xml`);
  const { status } = spawnSync(python, ['-m', 'pytest', '-q', '--junitxml', report, ...args], { cwd: root, stdio: ['ignore', 2, 2], env });
  if (!existsSync(report)) return [0, 1];
  const text = readFileSync(report, 'utf8');
  const count = (attribute) => Number(new RegExp(`<testsuite [^>]*\\b${attribute}="(\\d+)"`).exec(text)?.[1] ?? 0);
  const failed = count('failures') + count('errors');
  return [count('tests') - failed - count('skipped'), status === 0 ? failed : Math.max(failed, 1), count('skipped')];
}

function vitest(env, say) {
  say('vitest');
  const report = reportFile('vitest.json');
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2], env });
  if (!existsSync(report)) return [0, 1];
  const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites } = JSON.parse(readFileSync(report, 'utf8'));
  const failed = Math.max(numFailedTests, numFailedTests === 0 ? numFailedTestSuites : 0, status === 0 ? 0 : 1);
  return [numPassedTests, failed, numPendingTests];
}

function reportFile(name) {
  const folder = path.join(root, '.cache', 'test');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, name);
  rmSync(file, { force: true });
  return file;
}
