import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wakeGlobusSystems } from '../../src/cli/wake-globus.ts';
import { DriverError } from '../../src/systems/driver.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { statusQuery, systemQuery, trialQuery, trialsQuery } from '../../workflows/messages.ts';
import { cli, startCli } from '../support/cli.ts';
import { atRest, type Engine, eventually, startEngine } from '../support/engine.ts';
import { type Rig, startRig } from '../support/globus-rig.ts';
import { HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

describe.skipIf(!HAS_GLOBUS_PYTHON)('a campaign on Globus Compute', () => {
  let engine: Engine;
  let rig: Rig;
  let isLoggedIn = true;
  const address = process.env.TEMPORAL_ADDRESS;
  /** The endpoint's own folder on its machine. */
  const endpointHome = mkdtempSync(path.join(tmpdir(), 'holdfast-endpoint-'));

  beforeAll(async () => {
    process.env.GLOBUS_COMPUTE_USER_DIR = endpointHome;
    [engine, rig] = await Promise.all([startEngine(), startRig()]);
    process.env.TEMPORAL_ADDRESS = engine.server.address;
    const needsLogin = () =>
      new DriverError('needs_login', 'HF-GLOBUS-LOGIN-EXPIRED', 'Globus login has expired. Run `holdfast login globus`.');
    const driver = rig.restart({
      pollSeconds: 0.5,
      authorizer: {
        token: (signal) => (isLoggedIn ? rig.authorizer.token(signal) : Promise.reject(needsLogin())),
        renew: (token, signal) => (isLoggedIn ? rig.authorizer.renew(token, signal) : Promise.reject(needsLogin())),
      },
    });
    await engine.startWorker({ 'globus-compute': driver });
  });
  afterAll(async () => {
    if (address === undefined) delete process.env.TEMPORAL_ADDRESS;
    else process.env.TEMPORAL_ADDRESS = address;
    await engine?.close();
    await rig?.end();
    delete process.env.GLOBUS_COMPUTE_USER_DIR;
    rmSync(endpointHome, { recursive: true, force: true, maxRetries: 5 });
  });

  /** The guide's own blocks (section 4), with the endpoint's id put in. */
  const source = (name: string, change: object = {}) => ({
    version: 1,
    name,
    objective: { metric: 'score', direction: 'maximize' },
    search_space: {
      x: { type: 'float', min: 0, max: 1 },
      steps: { type: 'constant', value: 3 },
      seconds: { type: 'constant', value: 0.1 },
    },
    sampler: { type: 'random', seed: 5 },
    training: { bundle: path.join(rig.folder, 'code'), command: ['{python}', '{code}/train.py', path.join(rig.folder, 'starts.log')] },
    budget: { trials: 8 },
    globus_compute: {
      enabled: true,
      endpoint_id: rig.endpoint.id,
      endpoint_config_path: 'config/globus_endpoint.yaml',
      auth_method: 'native_client',
      function_timeout: 3600,
      max_retries: 2,
    },
    working_dirs: {
      aurora_base: path.join(rig.folder, 'remote'),
      local_base: path.join(rig.folder, 'results'),
      launch_iteration_pattern: '{timestamp}_{experiment_id}',
      job_pattern: 'job_{job_id}',
    },
    ...change,
  });

  /** Of commands on this computer: logged in as a client of the stand-in. */
  function commandEnv(): Record<string, string> {
    rig.service.clients.set('client', 'secret');
    return {
      GLOBUS_SDK_ENVIRONMENT: 'local',
      GLOBUS_SDK_SERVICE_URL_COMPUTE: rig.service.url,
      GLOBUS_SDK_SERVICE_URL_AUTH: rig.service.url,
      GLOBUS_COMPUTE_USER_DIR: path.join(rig.folder, 'user'),
      XDG_STATE_HOME: path.join(rig.folder, 'xdg'),
      HOLDFAST_GLOBUS_AUTH: 'confidential_client',
      GLOBUS_COMPUTE_CLIENT_ID: 'client',
      GLOBUS_COMPUTE_CLIENT_SECRET: 'secret',
    };
  }

  const startsOf = (from: number) => rig.starts().slice(from);

  it('is chosen by the guide’s own configuration and runs to its report without ssh', { timeout: 180_000 }, async () => {
    // Row S3: no program of this computer is needed, ssh and Python least of all.
    const before = process.env.PATH;
    process.env.PATH = '/nowhere';
    const result = await engine.run(source('guide'), 'guide-1').finally(() => {
      process.env.PATH = before;
    });
    expect(result.counts).toMatchObject({ total: 8, completed: 8 });
    expect(startsOf(0)).toHaveLength(8);
    const { rows } = await engine.client.workflow.getHandle('guide-1').query(trialsQuery, { limit: 100 });
    const best = Math.max(...rows.flatMap((row) => row.values ?? []));
    expect(result.best?.values).toEqual([best]);
    // Results lie on this computer, at the names that the guide's patterns give.
    const [launch] = readdirSync(path.join(rig.folder, 'results'));
    const folder = path.join(rig.folder, 'results', launch ?? '');
    for (let number = 1; number <= 8; number++) {
      const file = path.join(folder, `trials/job_trial-000${number}/attempt-1/results.json`);
      expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveProperty('score');
    }
    expect(existsSync(path.join(folder, 'report.html'))).toBe(true);
    // Row Z2: each trial names the task of the service that ran it.
    const trials = await Promise.all(
      Array.from({ length: 8 }, (_, index) => engine.client.workflow.getHandle(`guide-1/trial-000${index + 1}`).query(trialQuery)),
    );
    const tasks = trials.map(({ attempts }) => attempts[0]?.nativeId ?? '');
    expect(new Set(tasks).size).toBe(8);
    for (const task of tasks) expect(rig.service.tasks.get(task)?.payload).toContain('trial-000');
    const history = JSON.stringify(await engine.client.workflow.getHandle('guide-1').fetchHistory());
    for (const token of rig.service.tokens) expect(history).not.toContain(token);
  });

  it('goes on through lost answers, a killed endpoint process and an ended login that somebody renews', { timeout: 300_000 }, async () => {
    const before = rig.starts().length;
    let count = 0;
    rig.service.fault = () =>
      ++count % 4 === 0 ? { kind: (['dropAfter', 'dropBefore', 'truncated'] as const)[count % 3] ?? 'dropAfter' } : undefined;
    await engine.start(source('storm', { budget: { trials: 12 } }), 'storm-1');
    const running = engine.client.workflow.getHandle('storm-1').result() as Promise<CampaignResult>;
    await eventually(() => rig.starts().length - before >= 2, 120, 'the first trainings');
    rig.endpoint.killProcess();
    await eventually(() => rig.starts().length - before >= 5, 120, 'more trainings');
    isLoggedIn = false;
    const system = engine.client.workflow.getHandle('system/globus-compute');
    const parked = await eventually(
      async () => {
        const status = await system.query(systemQuery);
        return status.login.kind === 'needs_login' ? status : undefined;
      },
      60,
      'the need of a login',
    );
    expect(JSON.stringify(parked)).toContain('holdfast login');
    // Parked means parked: no request goes out until somebody logs in.
    await atRest(() => rig.service.exchanges.length, 2_000);
    isLoggedIn = true;
    // What `holdfast login globus` does once it has the tokens.
    await wakeGlobusSystems({ env: {}, errors: process.stderr });
    const result = await running;
    rig.service.fault = () => undefined;
    expect(result.counts.total).toBe(12);
    expect(result.counts.completed).toBe(12);
    const starts = startsOf(before);
    expect(new Set(starts).size).toBe(starts.length);
    expect(rig.service.injected).toBeGreaterThan(20);
  });

  it('is failed by a machine that always fails after 1 + max_retries submissions, whoever makes them', { timeout: 120_000 }, async () => {
    const submissions = () =>
      rig.service.exchanges.filter(({ path, body }) => path.endsWith('/submit') && /op[\\": ]+trial\\/.test(JSON.stringify(body))).length;
    const before = submissions();
    rig.endpoint.losing = 1_000;
    const unlucky = engine.run(source('unlucky', { budget: { trials: 1 } }), 'unlucky-1').finally(() => {
      rig.endpoint.losing = 0;
    });
    await expect(unlucky).rejects.toMatchObject({ cause: { type: 'NoTrialCompleted', message: expect.stringContaining('WorkerLost') } });
    expect(submissions() - before).toBe(3);
  });

  it('whose trial fails tells it all by holdfast logs --all: training, agent, batch job and endpoint, fetched by a task', {
    timeout: 120_000,
  }, async () => {
    const failing = {
      x: { type: 'float', min: 0, max: 1 },
      exit: { type: 'constant', value: 3 },
      noise: { type: 'constant', value: 10 },
    };
    await expect(engine.run(source('failing', { search_space: failing, budget: { trials: 1 } }), 'failing-1')).rejects.toThrow();
    for (const [file, text] of [
      ['rig/endpoint.json', `{"endpoint_id": "${rig.endpoint.id}"}`],
      ['rig/endpoint.log', 'core process\n'],
      [`uep.${rig.endpoint.id}.x/endpoint.log`, 'ERROR qsub: no\n'],
      [`uep.${rig.endpoint.id}.x/submit_scripts/parsl.1.submit.stderr`, 'module: command not found\n'],
      ['other/endpoint.json', '{"endpoint_id": "0e0e0e0e-1111-4222-8333-444444444444"}'],
      ['other/endpoint.log', 'of somebody else\n'],
    ] as const) {
      mkdirSync(path.dirname(path.join(endpointHome, file)), { recursive: true });
      writeFileSync(path.join(endpointHome, file), text);
    }
    const env = commandEnv();
    const { exit, out, err } = await startCli(['logs', 'failing-1', '1', '--all'], { env }).end();
    expect(exit, err).toBe(0);
    const sections = out.split(/^==> (.*) <==$/m).slice(1);
    const logs = Object.fromEntries(
      Array.from({ length: sections.length / 2 }, (_, index) => [sections[2 * index], sections[2 * index + 1]]),
    ) as Record<string, string>;
    const said = (end: string) => Object.entries(logs).find(([file]) => file.endsWith(end))?.[1];
    expect(said('/attempt-2/stderr.log')).toContain('it goes wrong');
    expect(said('/attempt-2/stdout.log')).toContain('xxxxxxxxxx');
    expect(said('/one-trial-0001.2/agent.log')).toContain('trial-0001.2');
    expect(said('rig/endpoint.log')).toContain('core process');
    expect(said('.x/endpoint.log')).toContain('qsub: no');
    expect(said('parsl.1.submit.stderr')).toContain('module: command not found');
    expect(out).not.toContain('of somebody else');
    // Without a login: the copies on this computer, and what to do.
    const without = await startCli(['logs', 'failing-1', '1', '--all'], { env: { ...env, GLOBUS_COMPUTE_CLIENT_SECRET: '' } }).end();
    expect(without).toMatchObject({
      exit: 1,
      out: expect.stringContaining('it goes wrong'),
      err: expect.stringContaining('GLOBUS_COMPUTE_CLIENT_SECRET'),
    });
    expect(await cli('logs', 'failing-1', '99', '--all')).toMatchObject({ exit: 2, err: expect.stringContaining('has no trial 99') });
  });

  it('whose launch folder on the endpoint is cleaned by tasks, and only when it has ended long enough ago', {
    timeout: 120_000,
  }, async () => {
    const remote = path.join(rig.folder, 'remote');
    const result = await engine.run(source('tidy', { budget: { trials: 1 } }), 'tidy-1');
    const launch = path.join(remote, path.basename(result.resultsDirectory ?? ''));
    expect(existsSync(path.join(launch, 'launch.json'))).toBe(true);
    const clean = async (...words: string[]) => {
      const told = await startCli(
        ['clean', remote, '--system', 'globus-compute', '-e', rig.endpoint.id, '--keep-best', '0', '--json', ...words],
        {
          env: commandEnv(),
        },
      ).end();
      expect(told.err).toBe('');
      return JSON.parse(told.out) as { launches: { folder: string; campaign: string; remove: boolean }[]; removed: { folder: string }[] };
    };
    expect((await clean()).launches.find(({ campaign }) => campaign === 'tidy-1')).toMatchObject({ folder: launch, remove: false });
    expect(existsSync(launch)).toBe(true);
    const { removed } = await clean('--older-than', '0s', '--yes');
    expect(removed.map(({ folder }) => folder)).toContain(launch);
    expect(existsSync(launch)).toBe(false);
    expect(await cli('clean', '--system', 'globus-compute')).toMatchObject({ exit: 1, err: expect.stringContaining('names no endpoint') });
  });

  it('that is cancelled leaves nothing running on the endpoint', { timeout: 180_000 }, async () => {
    const long = {
      x: { type: 'float', min: 0, max: 1 },
      steps: { type: 'constant', value: 1000 },
      seconds: { type: 'constant', value: 0.3 },
    };
    const before = rig.starts().length;
    await engine.start(source('cancelled', { search_space: long, limits: { grace_seconds: 1 }, concurrency: 3 }), 'cancelled-1');
    await eventually(() => rig.starts().length - before >= 3, 120, 'three trainings');
    await engine.client.workflow.getHandle('cancelled-1').cancel();
    await eventually(
      async () => (await engine.client.workflow.getHandle('cancelled-1').describe()).status.name !== 'RUNNING',
      120,
      'the end of the campaign',
    );
    await rig.endpoint.idle();
    expect(rig.endpoint.running).toHaveLength(0);
  });

  it('whose endpoint is deleted is told so and holds up no other, can be cancelled, and ends with its report', {
    timeout: 180_000,
  }, async () => {
    const second = '0e0e0e0e-1111-4222-8333-444444444444';
    rig.service.endpoints.set(second, rig.endpoint);
    const slow = {
      x: { type: 'float', min: 0, max: 1 },
      steps: { type: 'constant', value: 4 },
      seconds: { type: 'constant', value: 0.5 },
    };
    const { globus_compute: settings } = source('x') as { globus_compute: object };
    const before = rig.starts().length;
    const change = { search_space: slow, concurrency: 3, budget: { trials: 30 }, globus_compute: { ...settings, endpoint_id: second } };
    await engine.start(source('deleted', change), 'deleted-1');
    await eventually(() => rig.starts().length - before >= 3, 120, 'three trainings');
    rig.service.endpoints.delete(second);
    const system = engine.client.workflow.getHandle('system/globus-compute');
    const campaign = engine.client.workflow.getHandle('deleted-1');
    const problems = async () => (await campaign.query(statusQuery)).problems.join('\n');
    await eventually(async () => (await problems()).includes('could not be resolved'), 60, 'the refusal in its notices');
    expect(await problems()).toMatch(/Check globus_compute.endpoint_id .*The trials wait/);
    // The others on this system go on.
    expect((await system.query(systemQuery)).breaker).toEqual({ open: false, evidence: [] });
    expect((await engine.run(source('beside', { budget: { trials: 3 } }), 'beside-1')).counts).toMatchObject({ total: 3, completed: 3 });
    await campaign.cancel();
    await eventually(async () => (await campaign.describe()).status.name === 'CANCELLED', 60, 'the end of the campaign');
    const [launch] = readdirSync(path.join(rig.folder, 'results')).filter((name) => name.includes('deleted-1'));
    const report = JSON.parse(readFileSync(path.join(rig.folder, 'results', launch ?? '', 'summary.json'), 'utf8')) as { status: string };
    expect(report.status).toBe('cancelled');
  });
});
