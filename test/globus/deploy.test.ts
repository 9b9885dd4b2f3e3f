import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deployPlanSchema } from '../../src/spec/deploy-plan.ts';
import type { RemoteShell } from '../../src/ssh/transport.ts';
import { deploy } from '../../src/systems/deploy/deploy.ts';
import { connect } from '../../src/systems/globus/connection.ts';
import { RequestBudget } from '../../src/systems/globus/request-budget.ts';
import { createTaskShell } from '../../src/systems/globus/task-shell.ts';
import { type Rig, startRig } from '../support/globus-rig.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

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

describe.skipIf(!HAS_GLOBUS_PYTHON)('a system without ssh', () => {
  let rig: Rig;
  let shell: RemoteShell;
  beforeAll(async () => {
    rig = await startRig();
    const target = connect({
      stateDirectory: join(rig.folder, 'shell'),
      authorizer: rig.authorizer,
      budget: new RequestBudget(100_000, 10),
      backoffMs: 5,
      processEnv: {
        GLOBUS_SDK_ENVIRONMENT: 'local',
        GLOBUS_SDK_SERVICE_URL_COMPUTE: rig.service.url,
        GLOBUS_SDK_SERVICE_URL_AUTH: rig.service.url,
      },
    }).target(rig.endpoint.id, 'native_client');
    shell = createTaskShell(target, { pollSeconds: 0.2, queueSeconds: 60 });
  });
  afterAll(() => rig?.end());

  it('runs scripts as tasks: arguments, input, exit code and both outputs', async () => {
    const answer = await shell.run({
      script: 'printf "%s|" "$@"; cat; echo oops >&2; exit 7',
      args: ['a b', "it's", '$HOME'],
      input: 'in\n',
    });
    expect(answer).toMatchObject({ kind: 'exited', code: 7 });
    if (answer.kind !== 'exited') return;
    expect(answer.stdout.toString()).toBe("a b|it's|$HOME|in\n");
    expect(answer.stderr.toString()).toBe('oops\n');
  });

  it('does not know what became of a script whose answer was lost, and does not send it again', async () => {
    const mark = join(rig.folder, 'mark');
    let left = 1;
    rig.service.fault = (exchange) => (exchange.path.endsWith('/submit') && left-- > 0 ? { kind: 'dropAfter' } : undefined);
    expect(await shell.run({ script: `echo x >>'${mark}'` })).toMatchObject({ kind: 'unknown' });
    rig.service.fault = () => undefined;
    await rig.endpoint.idle();
    expect(readFileSync(mark, 'utf8')).toBe('x\n');
    expect(await shell.run({ script: 'sleep 30', timeoutSeconds: 0.3 })).toMatchObject({
      kind: 'unknown',
      why: expect.stringContaining('longer than its time'),
    });
  });

  it('carries files both ways in pieces, once', async () => {
    const local = join(rig.folder, 'big');
    writeFileSync(local, randomBytes(5_000_000));
    const remote = join(rig.folder, 'remote files', 'big');
    await shell.upload(local, remote, { mode: 0o755 });
    expect(statSync(remote).mode & 0o777).toBe(0o755);
    const before = rig.service.exchanges.length;
    await shell.upload(local, remote);
    expect(rig.service.exchanges.slice(before).reduce((sum, exchange) => sum + JSON.stringify(exchange.body).length, 0)).toBeLessThan(
      2_000,
    );
    await shell.download(remote, join(rig.folder, 'back'));
    const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
    expect(hash(join(rig.folder, 'back'))).toBe(hash(local));
    await expect(shell.download(join(rig.folder, 'nothing'), join(rig.folder, 'x'))).rejects.toThrow(/does not exist on the endpoint/);
  });

  it('is deployed by tasks: repository and verification, then nothing more to do, then the failure that stops the rest', {
    timeout: 120_000,
  }, async () => {
    const upstream = join(rig.folder, 'upstream');
    mkdirSync(join(upstream, 'src'), { recursive: true });
    git(upstream, 'init', '-q', '-b', 'main');
    writeFileSync(join(upstream, 'src', 'train.py'), 'print(1)\n');
    git(upstream, 'add', '.');
    git(upstream, 'commit', '-q', '-m', 'one');
    const base = join(rig.folder, 'deployed');
    const plan = deployPlanSchema.parse({ version: 1, base, repository: {}, verify: { files: ['src', 'src/train.py'] } });
    const run = (branch: string) =>
      deploy(
        {
          system: 'globus-compute',
          plan,
          action: 'all',
          setup: [],
          interpreter: GLOBUS_PYTHON,
          repository: { url: `file://${upstream}`, branch, path: 'code' },
        },
        { shell, say: () => undefined, signal: new AbortController().signal, pollSeconds: 0.2 },
      );
    const first = await run('main');
    expect(first).toMatchObject({
      ok: true,
      repository: { action: 'cloned', commit: git(upstream, 'rev-parse', 'HEAD') },
      verification: { status: 'ok' },
    });
    appendFileSync(join(upstream, 'src', 'train.py'), 'print(2)\n');
    git(upstream, 'commit', '-q', '-a', '-m', 'two');
    expect(await run('main')).toMatchObject({ ok: true, repository: { commit: git(upstream, 'rev-parse', 'HEAD') } });
    expect(await run('no-such-branch')).toMatchObject({ ok: false, repository: { status: 'error' } });
  });
});
