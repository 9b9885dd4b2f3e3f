#!/usr/bin/env node
// `npm test`: installs what is missing, then linters, type check and every suite. Ends with one line `N passed, N failed`.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { ensureTorchPython } from './python-torch.mjs';
import { ensureNodePackages, ensurePython, main, root, timed } from './setup.mjs';
import { ensureSystemPackages } from './system-packages.mjs';
import { failures, filesToTryAgain, merge, pytestFile, readJunit, slowest, total } from './test-results.mjs';
import { ensureTimeSkippingServer } from './time-skipping-server.mjs';

const say = (text) => console.error(`· ${text}`);

await main(async () => {
  const started = Date.now();
  const env = await timed(say, 'set-up', setUp);
  const checked = await timed(say, 'checks', () => checks(env));
  const python = await timed(say, 'pytest', () => pythonSuites(env));
  const tests = await timed(say, 'vitest', () => vitest(env));
  const all = { files: [...checked, ...python.files, ...tests.files], unhandled: [...python.unhandled, ...tests.unhandled] };
  const recovered = [...python.recovered, ...tests.recovered];
  const { passed, failed, skipped } = total(all);

  console.error(`\nThe slowest files:\n${slowest(all).join('\n')}`);
  if (recovered.length > 0) console.error(`\nFailed at first, passed on a second try:\n${recovered.join('\n')}`);
  if (failed > 0) console.error(`\nFailed:\n${failures(all).join('\n')}`);
  console.error(`· ${Math.round((Date.now() - started) / 1000)} s in all`);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed === 0 && passed > 0 ? 0 : 1;
});

/** Everything a fresh clone lacks; what does not need each other is got at the same time. Returns the environment of the tests. */
async function setUp() {
  await timed(say, 'npm packages', () => ensureNodePackages(say));
  const debian = timed(say, 'Debian packages', () => ensureSystemPackages(say));
  const [python, testPython, torch, timeSkipping] = await Promise.all([
    timed(say, 'Python of the demonstration', () => ensurePython('python', 'remote/requirements-demo.txt', say)),
    timed(say, 'Python of the tests', () => ensurePython('python-test', 'test/requirements.txt', say)),
    // One apt-get at a time.
    debian.then(() => timed(say, 'Python with PyTorch', () => ensureTorchPython(say))),
    timed(say, 'time-skipping server', () => ensureTimeSkippingServer(say)),
    timed(say, 'build', () => build({ say })).then(() => timed(say, 'Temporal server', temporalServer)),
  ]);
  if (torch.python === undefined) say(`PyTorch is not here (${torch.reason}): the tests of the CIFAR-100 payload are left out.`);
  if (timeSkipping.executable === undefined) say(`no time-skipping server (${timeSkipping.reason}): tests of long timers are left out.`);
  return {
    ...process.env,
    HOLDFAST_PYTHON: python,
    HOLDFAST_TEST_PYTHON: testPython,
    ...(torch.python ? { HOLDFAST_TORCH_PYTHON: torch.python } : {}),
    ...(timeSkipping.executable ? { HOLDFAST_TIME_SKIPPING_SERVER: timeSkipping.executable } : {}),
  };
}

/** The tests look for it in the same places. What there is none of is told by them. */
async function temporalServer() {
  const { findTemporalBinary } = await import(pathToFileURL(path.join(root, 'dist/src/temporal/server-binary.js')).href);
  await findTemporalBinary(say).catch((error) => say(error.message));
}

/** Linters and type check, side by side: each is a pass or a failure. */
function checks(env) {
  const ruff = path.join(path.dirname(env.HOLDFAST_TEST_PYTHON), 'ruff');
  const commands = [
    ['type check', process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit']],
    ['lint', process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']],
    ['ruff', ruff, ['check', 'remote', 'test']],
  ];
  return Promise.all(
    commands.map(async ([file, command, args]) => {
      const { status, seconds } = await collect(file, command, args, env);
      const isPassed = status === 0;
      return { file, group: 'check', seconds, passed: isPassed ? 1 : 0, skipped: 0, failures: isPassed ? [] : ['fails'] };
    }),
  );
}

/** The agent's tests wait for processes and those of the payload compute: they run side by side, and files that failed once more with the machine to themselves. */
async function pythonSuites(env) {
  const suites = [{ name: 'test/python', python: env.HOLDFAST_TEST_PYTHON, words: ['test/python', '--ignore=test/python/cifar100'] }];
  if (env.HOLDFAST_TORCH_PYTHON)
    suites.push({ name: 'test/python/cifar100', python: env.HOLDFAST_TORCH_PYTHON, words: ['test/python/cifar100'] });
  const firsts = await Promise.all(suites.map((suite) => pytest(suite, env)));
  let all = { files: firsts.flat(), unhandled: [], recovered: [] };
  const again = filesToTryAgain(all);
  for (const [at, suite] of suites.entries()) {
    const own = again.filter((file) => firsts[at].some((each) => each.file === file)).map((file) => pytestFile(file, suite.name));
    // What belongs to no file, as an end without a report, stands as it is.
    if (own.length === 0 || !own.every((file) => existsSync(path.join(root, file)))) continue;
    say(`a second try of ${own.join(', ')}`);
    const second = { files: await pytest({ ...suite, words: own }, env), unhandled: [] };
    const merged = merge(all, second);
    all = { ...merged, recovered: [...all.recovered, ...merged.recovered] };
  }
  return all;
}

async function pytest({ name, python, words }, env) {
  const report = reportFile(`${name.replaceAll('/', '-')}.xml`);
  const { status } = await collect(`pytest ${name}`, python, ['-m', 'pytest', '-q', '--junitxml', report, ...words], env);
  return readJunit(existsSync(report) ? readFileSync(report, 'utf8') : undefined, name, status);
}

/** Everything once, then the files that failed once more: each has servers and folders of its own then too, and the machine to itself. */
async function vitest(env) {
  const first = await vitestOnce([], env);
  const again = filesToTryAgain(first);
  if (again.length === 0) return { ...first, recovered: [] };
  say(`a second try of ${again.join(', ')}`);
  return merge(first, await vitestOnce(again, { ...env, HOLDFAST_SECOND_TRY: '1' }));
}

async function vitestOnce(filters, env) {
  const report = reportFile('vitest.json');
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=./scripts/vitest-reporter.mjs', ...filters];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...env, HOLDFAST_TEST_REPORT: report } });
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (!existsSync(report)) return { files: [], unhandled: [`vitest ended with ${status} and no report`] };
  const run = JSON.parse(readFileSync(report, 'utf8'));
  const isClean = run.unhandled.length === 0 && run.files.every((each) => each.failures.length === 0);
  return status !== 0 && isClean ? { ...run, unhandled: [`vitest ended with ${status}`] } : run;
}

/** Runs a command beside others; its output is shown in one piece when it has ended. */
async function collect(name, command, args, env) {
  const started = Date.now();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const status = await new Promise((resolve) => {
    child.once('error', (error) => {
      output += error.message;
      resolve(1);
    });
    child.once('close', resolve);
  });
  const seconds = (Date.now() - started) / 1000;
  process.stderr.write(`· ${name}: ${seconds.toFixed(1)} s\n${output}`);
  return { status, seconds };
}

function reportFile(name) {
  const folder = path.join(root, '.cache', 'test');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, name);
  rmSync(file, { force: true });
  return file;
}
