import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deployPlanSchema, readDeployPlan } from '../../src/spec/deploy-plan.ts';
import { localCarrier } from '../../src/ssh/local-carrier.ts';
import { makeRemoteShell } from '../../src/ssh/shell.ts';
import type { RemoteShell } from '../../src/ssh/transport.ts';
import { type DeployAction, deploy } from '../../src/systems/deploy/deploy.ts';
import { type DetachedStep, runDetached } from '../../src/systems/deploy/detached-step.ts';
import { logIn } from '../support/ssh-suite.ts';
import { removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';
import { startProxy } from '../support/tcp-proxy.ts';

const GIT_ENV = {
  ...process.env,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 't',
  GIT_AUTHOR_EMAIL: 't@example.org',
  GIT_COMMITTER_NAME: 't',
  GIT_COMMITTER_EMAIL: 't@example.org',
};
const git = (folder: string, ...words: string[]) =>
  execFileSync('git', ['-C', folder, ...words], { env: GIT_ENV, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** A Python that can make virtual environments and has numpy (for generated data), or undefined. */
const python = [process.env.HOLDFAST_PYTHON, join(process.cwd(), '.cache', 'python', 'bin', 'python'), 'python3'].find((name) => {
  if (name === undefined) return false;
  try {
    execFileSync(name, ['-c', 'import numpy, venv, ensurepip'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

let top: string;
let upstream: string;
let base: string;
let sshd: TestSshd | undefined;
const reason = whyNoSshd();

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'hf-deploy-'));
  if (!reason) sshd = await startSshd();
});
afterAll(async () => {
  if (sshd) await removeSshd(sshd);
  rmSync(top, { recursive: true, force: true, maxRetries: 5 });
});
beforeEach(() => {
  const here = mkdtempSync(join(top, 'case-'));
  upstream = join(here, 'upstream');
  base = join(here, 'base with blank');
  mkdirSync(join(upstream, 'src'), { recursive: true });
  git(upstream, 'init', '-q', '-b', 'main');
  writeFileSync(join(upstream, 'src', 'train.py'), 'print(1)\n');
  writeFileSync(join(upstream, 'requirements.txt'), '');
  git(upstream, 'add', '.');
  git(upstream, 'commit', '-q', '-m', 'one');
});

const local = () => makeRemoteShell(localCarrier());

function run(
  options: {
    plan?: object;
    action?: DeployAction;
    shell?: RemoteShell;
    branch?: string;
    url?: string;
    setup?: string[];
    say?: (line: string) => void;
  } = {},
) {
  const plan = deployPlanSchema.parse({ version: 1, base, repository: {}, verify: { files: ['src', 'src/train.py'] }, ...options.plan });
  return deploy(
    {
      system: 'test',
      plan,
      action: options.action ?? 'all',
      setup: options.setup ?? [],
      interpreter: python ?? 'python3',
      ...(plan.repository
        ? { repository: { url: options.url ?? `file://${upstream}`, branch: options.branch ?? 'main', path: 'code' } }
        : {}),
    },
    { shell: options.shell ?? local(), say: options.say ?? (() => undefined), signal: new AbortController().signal, pollSeconds: 0.2 },
  );
}

describe.skipIf(reason !== undefined)('over a real sshd', () => {
  it('everything from nothing, then nothing more to do the second time', async () => {
    const { shell, end } = await logIn(sshd as TestSshd, 'ssh2');
    const hasPython = python !== undefined;
    if (!hasPython) console.warn('no Python with numpy and ensurepip: environment and data set are not deployed in this test');
    const plan = hasPython ? { python: { requirements: 'requirements.txt' } } : {};
    const first = await run({ plan, shell });
    expect(first).toMatchObject({
      ok: true,
      repository: {
        status: 'ok',
        action: 'cloned',
        commit: git(upstream, 'rev-parse', 'HEAD'),
        verification: 'ok',
        repo_path: join(base, 'code'),
      },
      verification: {
        status: 'ok',
        checks: { repository: 'ok', src: 'ok', 'src/train.py': 'ok', ...(hasPython ? { python: 'ok', requirements: 'ok' } : {}) },
      },
    });
    if (hasPython) expect(first.python).toMatchObject({ status: 'ok', action: 'created', python: expect.stringMatching(/^3\./) });
    expect((await run({ plan, shell, action: 'repo' })).repository).toMatchObject({ action: 'unchanged' });
    if (hasPython) {
      expect((await run({ plan, shell, action: 'python' })).python).toMatchObject({ action: 'unchanged' });
      const data = { data: { cifar100: 'data', generate: true, train_images: 100, test_images: 100 } };
      const made = await run({ plan: data, shell });
      expect(made.dataset).toMatchObject({
        status: 'ok',
        action: 'generated',
        synthetic: true,
        data_dir: join(base, 'data', 'cifar-100-python'),
      });
      expect(made.verification?.checks).toMatchObject({ dataset: 'ok' });
      const train = join(base, 'data', 'cifar-100-python', 'train');
      const bytes = readFileSync(train);
      bytes[1000] = (bytes[1000] ?? 0) ^ 1;
      writeFileSync(train, bytes);
      expect((await run({ plan: data, shell, action: 'verify' })).verification).toMatchObject({
        status: 'error',
        error: expect.stringContaining('train'),
      });
    }
    await end();
  }, 180_000);

  it('a connection that is cut while a step runs is opened again and the one run of the step is joined', async () => {
    const there = sshd as TestSshd;
    const proxy = await startProxy(there.port);
    appendFileSync(join(there.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${there.hostKey()}\n`);
    const { shell, end } = await logIn(there, 'ssh2', { port: proxy.port, system: 'cut' });
    const counter = join(top, 'cut-counter');
    const step: DetachedStep = {
      name: 'slow',
      script: 'echo x >>"$1"; sleep 3; echo answer=42 >>"$HF_RESULT"',
      args: [counter],
      needsLoginShell: false,
      limitSeconds: 120,
    };
    const running = runDetached(step, {
      shell,
      folder: join(top, 'cut-steps'),
      say: () => undefined,
      signal: new AbortController().signal,
      pollSeconds: 0.2,
    });
    for (let cuts = 0; cuts < 3; cuts++) {
      await sleep(700);
      proxy.cut();
    }
    const ended = await running;
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.result.get('answer')).toEqual(['42']);
    expect(readFileSync(counter, 'utf8')).toBe('x\n');
    expect(proxy.connections()).toBeGreaterThan(1);
    await end();
    await proxy.close();
  }, 120_000);
});

describe('the repository', () => {
  it('moves forward to a new commit, and to another branch', async () => {
    await run({ action: 'repo' });
    writeFileSync(join(upstream, 'new.txt'), 'new');
    git(upstream, 'add', '.');
    git(upstream, 'commit', '-q', '-m', 'two');
    expect((await run({ action: 'repo' })).repository).toMatchObject({
      status: 'ok',
      action: 'updated',
      commit: git(upstream, 'rev-parse', 'HEAD'),
    });
    git(upstream, 'checkout', '-q', '-b', 'other');
    git(upstream, 'commit', '-q', '--allow-empty', '-m', 'three');
    expect((await run({ action: 'repo', branch: 'other' })).repository).toMatchObject({
      status: 'ok',
      commit: git(upstream, 'rev-parse', 'other'),
    });
  });

  it.each<[string, (code: string) => void, RegExp]>([
    ['changes that are not committed', (code) => writeFileSync(join(code, 'src', 'train.py'), 'mine'), /not committed/],
    ['commits of its own', (code) => git(code, 'commit', '-q', '--allow-empty', '-m', 'mine'), /has commits that/],
    ['another origin', (code) => git(code, 'config', 'remote.origin.url', 'file:///elsewhere'), /clone of file:\/\/\/elsewhere/],
  ])('with %s is an error that names them, nothing is thrown away and nothing after it runs', async (_, spoil, message) => {
    await run({ action: 'repo' });
    git(upstream, 'commit', '-q', '--allow-empty', '-m', 'two');
    spoil(join(base, 'code'));
    const report = await run();
    expect(report.ok).toBe(false);
    expect(report.repository).toMatchObject({ status: 'error', error: expect.stringMatching(message) });
    expect(report.verification).toBeUndefined();
  });

  it('that cannot be fetched is an error with git’s words, never stale code called updated', async () => {
    await run({ action: 'repo' });
    rmSync(upstream, { recursive: true });
    const report = await run();
    expect(report).toMatchObject({
      ok: false,
      repository: {
        status: 'error',
        error: expect.stringMatching(/git fetch failed.*does not appear to be a git repository|git fetch failed/s),
      },
    });
    expect((await run({ branch: 'nowhere' })).ok).toBe(false);
  });

  it('whose clone was interrupted is cloned again', async () => {
    mkdirSync(join(base, 'code.holdfast-clone', '.git'), { recursive: true });
    expect((await run({ action: 'repo' })).repository).toMatchObject({ action: 'cloned' });
    expect(existsSync(join(base, 'code.holdfast-clone'))).toBe(false);
  });

  it('does not take over a folder that is something else', async () => {
    mkdirSync(join(base, 'code'), { recursive: true });
    writeFileSync(join(base, 'code', 'mine.txt'), 'mine');
    expect(await run()).toMatchObject({ ok: false, repository: { error: expect.stringContaining('is no git repository') } });
    expect(readdirSync(join(base, 'code'))).toEqual(['mine.txt']);
  });

  it('with words that a shell would read is taken as it is', async () => {
    const odd = await run({ url: `file://${upstream}/$(touch ${top}/hacked); x`, branch: "'; touch hacked; '" });
    expect(odd.ok).toBe(false);
    expect(existsSync(join(top, 'hacked'))).toBe(false);
  });
});

describe('verification', () => {
  it.each<[string, string, () => void]>([
    ['repository', 'is not there', () => rmSync(join(base, 'code'), { recursive: true })],
    ['src', 'is not there', () => rmSync(join(base, 'code', 'src'), { recursive: true })],
    ['src/train.py', 'is empty', () => writeFileSync(join(base, 'code', 'src', 'train.py'), '')],
    ['requirements', 'never installed', () => rmSync(join(base, 'venv', '.holdfast-stamp'))],
    ['python', 'does not run', () => rmSync(join(base, 'venv', 'bin'), { recursive: true })],
    ['dataset', 'cifar-100-python', () => rmSync(join(base, 'data'), { recursive: true, force: true, maxRetries: 5 })],
  ])('names %s when it %s', async (name, words, spoil) => {
    await run({ action: 'repo' });
    // What the python step leaves, without the time that pip takes.
    mkdirSync(join(base, 'venv', 'bin'), { recursive: true });
    writeFileSync(join(base, 'venv', 'bin', 'python'), '#!/bin/sh\nexec python3 "$@"\n', { mode: 0o755 });
    writeFileSync(join(base, 'venv', '.holdfast-stamp'), 'x');
    spoil();
    const report = await run({ action: 'verify', plan: { python: {}, data: { cifar100: 'data' } } });
    expect(report).toMatchObject({ ok: false, verification: { status: 'error' } });
    expect(report.verification?.checks[name]).toContain(words);
  });
});

describe('the Python environment', () => {
  it.skipIf(python === undefined)(
    'with a package that cannot be had is an error with pip’s words, and the next run tries again',
    async () => {
      const shell = makeRemoteShell(localCarrier({ env: { ...process.env, PIP_NO_INDEX: '1' } }));
      const plan = { python: { packages: ['no-such-package-anywhere'] } };
      const report = await run({ plan, shell });
      expect(report).toMatchObject({ ok: false, python: { status: 'error', error: expect.stringContaining('no-such-package-anywhere') } });
      expect(report.verification).toBeUndefined();
      expect((await run({ plan, shell, action: 'python' })).ok).toBe(false);
    },
  );

  it('never clears a folder that is something else', async () => {
    mkdirSync(join(base, 'venv'), { recursive: true });
    writeFileSync(join(base, 'venv', 'mine.txt'), 'mine');
    expect(await run({ plan: { python: {} }, action: 'python' })).toMatchObject({
      ok: false,
      python: { error: expect.stringContaining('is no virtual environment') },
    });
    expect(readdirSync(join(base, 'venv'))).toEqual(['mine.txt']);
  });
});

describe('a detached step', () => {
  const io = (folder: string) => ({ shell: local(), folder, say: () => undefined, signal: new AbortController().signal, pollSeconds: 0.2 });
  const step = (script: string): DetachedStep => ({ name: 'step', script, args: ["it's"], needsLoginShell: false, limitSeconds: 60 });

  it('that two deploys start at once runs once', async () => {
    const folder = join(top, 'twice');
    const counter = join(top, 'twice-counter');
    const ends = await Promise.all(
      [1, 2, 3].map(() => runDetached(step(`echo x >>"${counter}"; sleep 1; echo "arg=$1" >>"$HF_RESULT"`), io(folder))),
    );
    expect(readFileSync(counter, 'utf8')).toBe('x\n');
    expect(ends.map((end) => end.result.get('arg'))).toEqual([["it's"], ["it's"], ["it's"]]);
  });

  it('that is killed is an error that says so, and the next run starts anew', async () => {
    const folder = join(top, 'killed');
    const running = runDetached(step('sleep 30'), io(folder));
    const pidFile = join(folder, 'step', 'run-1', 'pid');
    while (!existsSync(pidFile)) await sleep(50);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    process.kill(-pid, 'SIGKILL');
    await expect(running).rejects.toMatchObject({ code: 'HF-DEPLOY-DIED', class: 'refused' });
    expect(await runDetached(step('exit 3'), io(folder))).toMatchObject({ code: 3 });
  });

  it('has the site’s setup in front, under a login shell', async () => {
    const end = await runDetached(
      { ...step('shopt -q login_shell && echo "login=yes" >>"$HF_RESULT"'), needsLoginShell: true },
      io(join(top, 'login')),
    );
    expect(end.result.get('login')).toEqual(['yes']);
  });

  it('keeps the last runs only', async () => {
    const folder = join(top, 'many');
    for (let i = 0; i < 8; i++) await runDetached(step(':'), io(folder));
    expect(readdirSync(join(folder, 'step')).length).toBeLessThanOrEqual(5);
  });
});

describe('a deploy plan', () => {
  it('of the examples can be read', () => {
    const plan = readDeployPlan('config/deploy.yaml', { PROJECT: 'p' });
    expect(plan).toMatchObject({ base: '/lus/flare/projects/p/holdfast', repository: { branch: 'main' }, data: { cifar100: 'data' } });
  });

  it('that is wrong is refused with every problem and where it stands', () => {
    const file = join(top, 'plan.yaml');
    writeFileSync(file, 'version: 1\nbase: relative\npython:\n  venvs: x\n');
    expect(() => readDeployPlan(file)).toThrow(/base.*must begin with \/[\s\S]*venvs/);
    writeFileSync(file, 'version: 1\nbase: /x\npython:\n  requirements: requirements.txt\n');
    expect(() => readDeployPlan(file)).toThrow(/requirements.*repository/);
  });
});
