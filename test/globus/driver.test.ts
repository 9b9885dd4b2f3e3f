import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { loadProfile } from '../../src/spec/load-profile.ts';
import type { GlobusProfile } from '../../src/spec/profile.ts';
import type { SystemOrder } from '../../src/systems/driver.ts';
import { TASK_STATES } from '../../src/systems/globus/wire.ts';
import { lookUntil, offer, RIG_TIMES, type Rig, retried, startRig } from '../support/globus-rig.ts';
import { HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';
import type { Fault } from '../support/globus-service.ts';

const offers = (campaign: string, count: number, params: Parameters<typeof offer>[2] = { x: 0.5 }): SystemOrder[] =>
  Array.from({ length: count }, (_, index) => ({ kind: 'offer', campaign, offer: offer(campaign, index + 1, params) }));
const submits = (rig: Rig) => rig.service.exchanges.filter((exchange) => exchange.path.endsWith('/submit')).length;

describe.skipIf(!HAS_GLOBUS_PYTHON)('a Globus Compute system', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig?.end());

  it('prepares a launch without ssh, and a second time sends nothing but the questions', async () => {
    const notes: string[] = [];
    const prepared = await rig.driver.prepareLaunch(rig.plan('first'), (note) => notes.push(note));
    expect(prepared.directory).toBe(join(rig.folder, 'remote', 'launch-first'));
    expect(prepared.provenance).toMatchObject({
      endpoint: rig.endpoint.id,
      python: expect.stringMatching(/^3\./),
      host: hostname(),
      endpoint_version: expect.stringMatching(/^4\./),
      agent: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(existsSync(join(prepared.directory, 'bundle', prepared.bundleSha256 ?? '', 'train.py'))).toBe(true);
    expect(notes).toContain('probing the endpoint');
    const bytes = () => rig.service.exchanges.reduce((sum, exchange) => sum + JSON.stringify(exchange.body).length, 0);
    const before = bytes();
    const again = await rig.restart().prepareLaunch(rig.plan('first'), () => undefined);
    expect(again).toEqual(prepared);
    // Source of the function, agent and bundle travelled once.
    expect(bytes() - before).toBeLessThan(5_000);
    expect(rig.service.functions.size).toBe(1);
  });

  it('runs offers, each once however often it is sent, and brings values and files', async () => {
    const orders = offers('first', 6);
    const before = submits(rig);
    expect((await rig.driver.send(orders)).answers).toEqual(Array(6).fill('offered'));
    expect(submits(rig) - before).toBe(1);
    await rig.driver.send(orders);
    expect(submits(rig) - before).toBe(1);
    const ended = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 6,
    );
    expect(ended.map((record) => [record.trial, record.status, record.values])).toEqual(
      expect.arrayContaining(Array.from({ length: 6 }, (_, index) => [`trial-000${index + 1}`, 'completed', [0.5]])),
    );
    expect(rig.starts().sort()).toEqual(Array.from({ length: 6 }, (_, index) => `trial-000${index + 1}.1`));
    expect((await rig.driver.send(orders)).answers).toEqual(Array(6).fill('done'));
    const [record] = ended;
    if (!record) throw new Error('no record');
    const local = join(rig.folder, 'results', 'launch-first');
    await rig.driver.collect('first', record, local);
    for (const file of record.files) {
      const content = readFileSync(join(local, record.directory, file.path));
      expect(createHash('sha256').update(content).digest('hex')).toBe(file.sha256);
    }
    expect(record.files.map((file) => file.path)).toContain('results.json');
  });

  it('a training with 50 MB of output ends with a small result, and its log is fetched whole', async () => {
    const orders: SystemOrder[] = [
      { kind: 'offer', campaign: 'first', offer: offer('first', 20, { x: 0.1, noise: 50_000_000, steps: 1 }) },
    ];
    await rig.driver.send(orders);
    const [record] = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 1,
    );
    if (!record) throw new Error('no record');
    const task = [...rig.service.tasks.values()].find((candidate) => candidate.result?.includes('trial-0020.1'));
    expect(task?.result?.length).toBeLessThan(200_000);
    await rig.driver.collect('first', record, join(rig.folder, 'results', 'launch-first'));
    const here = (name: string) => join(rig.folder, 'results', 'launch-first', record.directory, name);
    const logs = record.files.filter(({ path }) => path.startsWith('stdout.log'));
    for (const { path, sha256 } of logs)
      expect(
        createHash('sha256')
          .update(readFileSync(here(path)))
          .digest('hex'),
      ).toBe(sha256);
    expect(logs.reduce((sum, { size }) => sum + size, 0)).toBe(50_000_001);
  });

  it('a failing training is failed with its exit code, and nothing is run again by the driver', async () => {
    await rig.driver.send([{ kind: 'offer', campaign: 'first', offer: offer('first', 21, { x: 0.1, exit: 3 }) }]);
    const [record] = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 1,
    );
    expect(record).toMatchObject({ status: 'failed', exit_code: 3 });
    expect(rig.starts().filter((name) => name === 'trial-0021.1')).toHaveLength(1);
  });

  it('function_timeout ends the training at that second', async () => {
    const plan = rig.plan('limited');
    const settings = { ...plan.spec.system.settings, functionTimeoutSeconds: 2 };
    await rig.driver.prepareLaunch({ ...plan, spec: { ...plan.spec, system: { ...plan.spec.system, settings } } }, () => undefined);
    await rig.driver.send([{ kind: 'offer', campaign: 'limited', offer: offer('limited', 1, { x: 0.1, seconds: 300 }) }]);
    const [record] = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 1,
    );
    expect(record?.error?.class).toBe('timeout');
    expect(record?.run_seconds).toBeGreaterThan(1.9);
    expect(record?.run_seconds).toBeLessThan(30);
    await rig.driver.closeLaunch('limited');
  });

  it.each([
    [0, 1, 'node_failure', 1],
    [2, 2, 'completed', 3],
    [2, 9, 'node_failure', 3],
  ])('max_retries %i: a trial whose worker is lost %i times is %s after %i submissions', async (maxRetries, losses, expected, tries) => {
    const campaign = `retries-${maxRetries}-${losses}`;
    const plan = rig.plan(campaign);
    const settings = { ...plan.spec.system.settings, maxRetries };
    const driver = rig.restart({ stateDirectory: join(rig.folder, `state-${campaign}`) });
    await driver.prepareLaunch({ ...plan, spec: { ...plan.spec, system: { ...plan.spec.system, settings } } }, () => undefined);
    const ofTrial = () =>
      rig.service.exchanges.filter(({ path, body }) => path.endsWith('/submit') && JSON.stringify(body).includes('task_group_id')).length;
    const before = ofTrial();
    rig.endpoint.losing = losses;
    await driver.send([{ kind: 'offer', campaign, offer: offer(campaign, 1) }]);
    const [record] = await lookUntil(
      () => driver,
      (records) => records.length >= 1,
    );
    rig.endpoint.losing = 0;
    expect(record?.error?.class ?? record?.status).toBe(expected);
    expect(ofTrial() - before).toBe(tries);
    await driver.closeLaunch(campaign);
  });

  it('a stop reaches a running training by its stop file, and a waiting one before it starts', async () => {
    await rig.driver.prepareLaunch(rig.plan('stopped'), () => undefined);
    const long = offers('stopped', 6, { x: 0.5, seconds: 300 });
    await rig.driver.send(long);
    await lookUntil(
      () => rig.driver,
      (_, last) => (last?.running.flatMap((entry) => entry.busy).length ?? 0) >= 4,
    );
    // All workers are busy: one more takes the small task that writes the stop files, before the trials that wait.
    rig.endpoint.workers += 1;
    const answers = await rig.driver.send(
      long.map((order) => ({
        kind: 'stop',
        campaign: 'stopped',
        trial: order.kind === 'offer' ? order.offer.trial : '',
        attempt: 1,
        reason: 'pruned',
      })),
    );
    expect(answers.answers).toEqual(Array(6).fill('stopping'));
    const ended = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 6,
    );
    expect(new Set(ended.map((record) => record.status))).toEqual(new Set(['stopped']));
    expect((await rig.driver.send([{ kind: 'stop', campaign: 'stopped', trial: 'trial-0099', attempt: 1, reason: 'x' }])).answers).toEqual([
      'unknown',
    ]);
  });

  it('shows live metrics and rungs while a training runs', async () => {
    const plan = { ...rig.plan('live'), reportSteps: [1, 3] };
    await rig.driver.prepareLaunch(plan, () => undefined);
    await rig.driver.send([{ kind: 'offer', campaign: 'live', offer: offer('live', 1, { x: 0.5, steps: 60, seconds: 0.1 }) }]);
    let rungs: readonly (readonly [number, number])[] = [];
    await lookUntil(
      () => rig.driver,
      (_, last) => {
        const busy = last?.running.find((entry) => entry.campaign === 'live')?.busy[0];
        rungs = busy?.rungs ?? rungs;
        return rungs.length === 2;
      },
    );
    expect(rungs).toEqual([
      [1, 0.5],
      [3, 1.5],
    ]);
    await retried(() => rig.driver.closeLaunch('live'));
    await rig.endpoint.idle();
    expect(rig.starts().filter((name) => name === 'trial-0001.1').length).toBeGreaterThan(0);
  });

  it('with live_metrics on reads steps of running trials without a pruner, and with it off asks for none', async () => {
    const looks = () =>
      rig.service.exchanges.filter(({ path, body }) => path.endsWith('/submit') && /\\"op\\": ?\\"look\\"/.test(JSON.stringify(body)));
    for (const liveMetrics of [true, false]) {
      const campaign = `metrics-${liveMetrics}`;
      const plan = rig.plan(campaign);
      const settings = { ...plan.spec.system.settings, liveMetrics };
      // Nothing is wrong and nothing is due in this test: what is asked is asked for metrics.
      const driver = rig.restart({
        stateDirectory: join(rig.folder, `state-${campaign}`),
        times: { health: 3_600, lossCheck: 3_600, heartbeat: 0.3, agentPoll: 0.05, control: 60, close: 20 },
      });
      await driver.prepareLaunch({ ...plan, spec: { ...plan.spec, system: { ...plan.spec.system, settings } } }, () => undefined);
      const before = looks().length;
      await driver.send([{ kind: 'offer', campaign, offer: offer(campaign, 1, { x: 0.5, steps: 12, seconds: 0.1 }) }]);
      const steps: (number | null)[] = [];
      await lookUntil(
        () => driver,
        (records) => records.length >= 1,
        { onLook: (result) => steps.push(...(result?.running.flatMap(({ busy }) => busy.map(({ step }) => step)) ?? [])) },
      );
      expect(steps.some((step) => step !== null)).toBe(liveMetrics);
      expect(looks().length > before).toBe(liveMetrics);
      await driver.closeLaunch(campaign);
    }
  });

  it('takes the trials at once from the endpoint’s own file, and says when a campaign wants more', async () => {
    const file = readFileSync(join(packageRoot(), 'config/globus_endpoint.yaml'), 'utf8');
    writeFileSync(join(rig.folder, 'endpoint.yaml'), file.replace('max_workers_per_node: 12', 'max_workers_per_node: 3'));
    const plan = rig.plan('sized');
    const planWith = (settings: object, concurrency?: number) => ({
      ...plan,
      spec: {
        ...plan.spec,
        ...(concurrency === undefined ? {} : { concurrency }),
        system: { ...plan.spec.system, settings: { ...plan.spec.system.settings, endpointConfigPath: 'endpoint.yaml', ...settings } },
      },
    });
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-sized') });
    const look = async () => (await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal))?.notices ?? [];
    expect((await driver.prepareLaunch(planWith({}), () => undefined)).capacity).toMatchObject({ slotsPerPilot: 3, prefetch: 1 });
    expect(await look()).toEqual([]);
    const larger = planWith({ userEndpointConfig: { max_blocks: 2 } }, 8);
    expect((await driver.prepareLaunch(larger, () => undefined)).capacity?.slotsPerPilot).toBe(6);
    expect(await look()).toEqual([expect.stringMatching(/^sized: max_concurrent 8 is above the 6 workers .*2 trials would wait/)]);
    const absent = await driver.prepareLaunch(planWith({ endpointConfigPath: 'nowhere.yaml' }), () => undefined);
    expect(absent.capacity).toEqual({ pool: expect.stringContaining(rig.endpoint.id) });
    writeFileSync(join(rig.folder, 'endpoint.yaml'), `${file}\nlog_level: DEBUG\n`);
    const before = rig.service.exchanges.length;
    await expect(driver.prepareLaunch(planWith({}), () => undefined)).rejects.toThrow(
      /log_level: is not a key here \(endpoint\.yaml:\d+:1\)/,
    );
    expect(rig.service.exchanges).toHaveLength(before);
    await driver.closeLaunch('sized');
  });

  it('registers its function once by the hash of its source, for two campaigns and a restarted worker', async () => {
    const stateDirectory = join(rig.folder, 'state-function');
    const from = rig.service.exchanges.length;
    const driver = rig.restart({ stateDirectory });
    for (const campaign of ['shared-1', 'shared-2']) await driver.prepareLaunch(rig.plan(campaign), () => undefined);
    await rig.restart({ stateDirectory }).prepareLaunch(rig.plan('shared-3'), () => undefined);
    const asked = rig.service.exchanges.slice(from);
    expect(asked.filter(({ method, path }) => method === 'POST' && path === '/v3/functions')).toHaveLength(1);
    const used = asked.filter(({ path }) => path.endsWith('/submit')).flatMap(({ body }) => Object.keys((body as { tasks: object }).tasks));
    expect(new Set(used).size).toBe(1);
  });

  it.each<[string, (known: { functions: ReadonlySet<string>; groups: ReadonlySet<string> }) => void]>([
    [
      'has forgotten its function and its groups',
      () => {
        rig.service.functions.clear();
        rig.service.groups.clear();
      },
    ],
    [
      'keeps them for the identity that logged in before',
      (known) => {
        const refuse = (code: string): Fault => ({ kind: 'status', status: 403, body: JSON.stringify({ code, detail: 'not yours' }) });
        rig.service.fault = ({ path, body }) => {
          const sent = body as { tasks?: object; task_group_id?: string };
          if (!path.endsWith('/submit')) return undefined;
          if (Object.keys(sent.tasks ?? {}).some((id) => known.functions.has(id))) return refuse('FUNCTION_ACCESS_FORBIDDEN');
          return known.groups.has(sent.task_group_id ?? '') ? refuse('TASK_GROUP_ACCESS_FORBIDDEN') : undefined;
        };
      },
    ],
  ])('a service that %s gets them anew, at the start and in the middle of a campaign', async (name, forget) => {
    const campaign = name.replaceAll(' ', '-');
    const driver = rig.restart({ stateDirectory: join(rig.folder, `state-${campaign}`) });
    const known = () => ({ functions: new Set(rig.service.functions.keys()), groups: new Set(rig.service.groups.keys()) });
    try {
      await driver.prepareLaunch(rig.plan(`${campaign}-before`), () => undefined);
      forget(known());
      await driver.prepareLaunch(rig.plan(campaign), () => undefined);
      forget(known());
      await driver.send(offers(campaign, 2));
      const ended = await lookUntil(
        () => driver,
        (records) => records.length >= 2,
      );
      expect(ended.map((record) => record.status)).toEqual(['completed', 'completed']);
      forget(known());
      const shell = driver.deployTarget?.(rig.plan(campaign).spec).shell;
      expect(await shell?.run({ script: 'exit 3' })).toMatchObject({ kind: 'exited', code: 3 });
    } finally {
      rig.service.fault = () => undefined;
    }
    for (const each of [campaign, `${campaign}-before`]) await driver.closeLaunch(each);
  });

  it('shows each state of the service in its own words', async () => {
    const states = TASK_STATES.filter((state) => state !== 'success' && state !== 'failed');
    const driver = rig.restart({
      stateDirectory: join(rig.folder, 'state-states'),
      times: { health: 3_600, lossCheck: 3_600, control: 60 },
    });
    await driver.prepareLaunch(rig.plan('states'), () => undefined);
    rig.endpoint.setOnline(false);
    try {
      await driver.send(offers('states', states.length));
      const waiting = [...rig.service.tasks.values()].filter(
        (task) => task.payload.includes('launch-states') && task.priority === undefined,
      );
      const trials = waiting.slice(-states.length);
      trials.forEach((task, index) => {
        task.status = states[index] ?? '';
      });
      const look = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
      expect(look?.notices).toContain(`states: ${states.map((state) => `1 ${state}`).join(', ')}`);
    } finally {
      rig.endpoint.setOnline(true);
    }
    await lookUntil(
      () => driver,
      (records) => records.length >= states.length,
    );
    await driver.closeLaunch('states');
  });

  it('sends in halves what the service finds too large, and fails alone what no submission can carry', async () => {
    await rig.driver.prepareLaunch(rig.plan('large'), () => undefined);
    const orders = [
      ...offers('large', 6),
      { kind: 'offer' as const, campaign: 'large', offer: offer('large', 7, { x: 0.5, echo: 'X'.repeat(9_000) }) },
    ];
    rig.service.sizeLimit = 4_000;
    const before = submits(rig);
    expect((await rig.driver.send(orders)).answers).toEqual(Array(7).fill('offered'));
    expect(submits(rig) - before).toBeGreaterThan(3);
    rig.service.sizeLimit = 10_000_000;
    const ended = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 7,
    );
    const verdicts = ended.map((record) => [record.trial, record.error?.class ?? record.status]).sort();
    expect(verdicts).toEqual([
      ...orders.slice(0, 6).map((_, index) => [`trial-000${index + 1}`, 'completed']),
      ['trial-0007', 'too_large'],
    ]);
    await rig.driver.closeLaunch('large');
  });

  it('refuses a launch folder of another campaign and an environment that is not ready, before anything is submitted', async () => {
    const plan = rig.plan('first');
    await rig.driver.prepareLaunch(plan, () => undefined);
    await expect(
      rig.restart().prepareLaunch({ ...plan, campaign: 'thief', owner: { ...plan.owner, workflow_id: 'thief' } }, () => undefined),
    ).rejects.toMatchObject({
      class: 'refused',
      code: 'HF-GLOBUS-LAUNCH-TAKEN',
    });
    const missing = rig.plan('nodata');
    await expect(
      rig.driver.prepareLaunch(
        { ...missing, spec: { ...missing.spec, training: { ...missing.spec.training, dataDir: '/nowhere/data' } } },
        () => undefined,
      ),
    ).rejects.toThrow(/data folder \/nowhere\/data does not exist/);
    await expect(
      rig.restart({ setup: ['module load nothing-like-it'] }).prepareLaunch(rig.plan('nomodule'), () => undefined),
    ).rejects.toThrow(/setup or python failed/);
  });

  it.each<[string, Fault, number]>([
    ['arrived, answer dropped', { kind: 'dropAfter' }, 1],
    ['arrived, 504 from a gateway', { kind: 'statusAfter', status: 504 }, 1],
    ['arrived, half an answer', { kind: 'truncated' }, 1],
    ['never arrived', { kind: 'dropBefore' }, 2],
    ['refused with 500', { kind: 'status', status: 500 }, 2],
    ['arrived, never answered', { kind: 'silent', acts: true }, 1],
    ['never arrived, never answered', { kind: 'silent', acts: false }, 2],
  ])('a submission of three trials that %s is settled by the list of its group', async (name, fault, requests) => {
    const campaign = `ambiguous-${name.replaceAll(/\W+/g, '-')}`;
    // A silent service is waited for as long as a submission may take.
    const driver = fault.kind === 'silent' ? rig.restart({ times: { ...RIG_TIMES, submit: 3 } }) : rig.driver;
    await driver.prepareLaunch(rig.plan(campaign), () => undefined);
    const before = rig.service.exchanges.length;
    const started = rig.starts().length;
    const inGroup = (exchange: { path: string; body: unknown }) =>
      exchange.path.endsWith('/submit') && JSON.stringify(exchange.body).includes('task_group_id');
    let left = 1;
    rig.service.fault = (exchange) => (inGroup(exchange) && left-- > 0 ? fault : undefined);
    await driver.send(offers(campaign, 3));
    rig.service.fault = () => undefined;
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 3,
    );
    expect(ended.map((record) => record.status)).toEqual(Array(3).fill('completed'));
    expect(rig.service.exchanges.slice(before).filter(inGroup)).toHaveLength(requests);
    expect(rig.starts().slice(started).sort()).toEqual(['trial-0001.1', 'trial-0002.1', 'trial-0003.1']);
    await driver.closeLaunch(campaign);
  });

  it.each(['gone', 'no-result', 'abandoned'] as const)(
    'a result that the service has dropped (%s) is read from the endpoint’s file system',
    async (shape) => {
      const campaign = `dropped-${shape}`;
      await rig.driver.prepareLaunch(rig.plan(campaign), () => undefined);
      await rig.driver.send(offers(campaign, 2));
      await rig.endpoint.idle();
      const trials = [...rig.service.tasks.values()].filter((task) => task.payload.includes(campaign) && task.result?.includes('trial-'));
      expect(trials).toHaveLength(2);
      for (const task of trials) rig.service.forget(task, shape);
      const before = rig.service.exchanges.length;
      const ended = await lookUntil(
        () => rig.driver,
        (records) => records.length >= 2,
      );
      expect(ended.map((record) => [record.status, record.values])).toEqual([
        ['completed', [0.5]],
        ['completed', [0.5]],
      ]);
      // One small task has read them; nothing was run again.
      expect(rig.service.exchanges.slice(before).filter((exchange) => exchange.path.endsWith('/submit'))).toHaveLength(1);
      await rig.driver.closeLaunch(campaign);
    },
  );

  it('a campaign closes although the endpoint is offline, and what waits there is stopped when it comes back', async () => {
    const plan = rig.plan('offline');
    const driver = rig.restart({
      times: { settle: 0.05, close: 1, health: 3_600, lossCheck: 3_600, heartbeat: 0.3, agentPoll: 0.05, control: 60, fetch: 20 },
    });
    await driver.prepareLaunch(plan, () => undefined);
    rig.endpoint.setOnline(false);
    await driver.send(offers('offline', 6, { x: 0.5, seconds: 300 }));
    await driver.closeLaunch('offline');
    rig.endpoint.setOnline(true);
    await rig.endpoint.idle();
    const done = join(rig.folder, 'remote', 'launch-offline', 'spool', 'done');
    const statuses = readdirSync(done).map((name) => (JSON.parse(readFileSync(join(done, name), 'utf8')) as { status: string }).status);
    expect(statuses).toEqual(Array(6).fill('stopped'));
  });

  it('leaves the preparation on an endpoint that is offline when the campaign is not wanted any more', async () => {
    const plan = rig.plan('unwanted');
    rig.endpoint.setOnline(false);
    const unwanted = new AbortController();
    const preparing = rig.driver.prepareLaunch(plan, (note) => note.startsWith('waiting') && unwanted.abort(), unwanted.signal);
    await expect(preparing).rejects.toThrow(/abort/);
    rig.endpoint.setOnline(true);
    await rig.endpoint.idle();
    expect(existsSync(join(rig.folder, 'remote', 'launch-unwanted'))).toBe(false);
  });

  it('a second launch under the same campaign id begins anew', async () => {
    const plan = rig.plan('again');
    await rig.driver.prepareLaunch(plan, () => undefined);
    await rig.driver.send(offers('again', 1));
    await lookUntil(
      () => rig.driver,
      (records) => records.length >= 1,
    );
    // It was terminated and never closed.
    await rig.driver.prepareLaunch({ ...plan, launch: 'launch-again-2' }, () => undefined);
    expect((await rig.driver.send(offers('again', 1))).answers).toEqual(['offered']);
    const [record] = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 1,
    );
    expect(record?.status).toBe('completed');
    await rig.driver.closeLaunch('again');
  });

  it('a campaign that was closed while trials ran and is reset runs again: the order to stop everything is over', async () => {
    const plan = rig.plan('reset');
    await rig.driver.prepareLaunch(plan, () => undefined);
    await rig.driver.send(offers('reset', 1, { x: 0.5, seconds: 300 }));
    await lookUntil(
      () => rig.driver,
      (_, last) => last?.running.length === 1,
    );
    await rig.driver.closeLaunch('reset');
    const { directory } = await rig.driver.prepareLaunch(plan, () => undefined);
    expect(readdirSync(join(directory, 'spool', 'stop'))).toEqual([]);
    expect((await rig.driver.send(offers('reset', 2))).answers).toEqual(['offered', 'offered']);
    const ended = await lookUntil(
      () => rig.driver,
      (records) => records.length >= 2,
    );
    expect(ended.map(({ trial, status }) => `${trial} ${status}`).sort()).toEqual(['trial-0001 stopped', 'trial-0002 completed']);
    await rig.driver.closeLaunch('reset');
  });

  it('gives trainings the environment of the profile, and the campaign’s own wins', async () => {
    const { env } = loadProfile('globus-compute') as GlobusProfile;
    expect(env).toEqual({ OMP_NUM_THREADS: '1', OMP_PLACES: 'cores', OMP_PROC_BIND: 'close', TF_CPP_MIN_LOG_LEVEL: '3' });
    const plan = rig.plan('environment');
    const training = { ...plan.spec.training, env: { OMP_NUM_THREADS: '8' } };
    const { directory } = await rig.restart({ env }).prepareLaunch({ ...plan, spec: { ...plan.spec, training } }, () => undefined);
    const launch = JSON.parse(readFileSync(join(directory, 'launch.json'), 'utf8')) as { env: Record<string, string> };
    expect(launch.env).toEqual({ ...env, OMP_NUM_THREADS: '8' });
    // What a training on a worker sees of it.
    const driver = rig.restart({ env });
    await driver.prepareLaunch(rig.plan('echoed'), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'echoed', offer: offer('echoed', 1, { x: 0.5, echo: Object.keys(env).join(' ') }) }]);
    const [record] = await lookUntil(
      () => driver,
      (records) => records.length >= 1,
    );
    const log = readFileSync(join(rig.folder, 'results', 'launch-echoed', record?.directory ?? '', 'stdout.log'), 'utf8');
    expect(JSON.parse(log.trim().split('\n').at(-1) ?? '')).toEqual(env);
    await driver.closeLaunch('echoed');
  });

  it('waits while another worker holds its state, and takes over what a dead one left', async () => {
    const state = join(rig.folder, 'state-held');
    mkdirSync(state);
    const other = spawn('sleep', ['60']);
    const started = readFileSync(`/proc/${other.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19];
    writeFileSync(join(state, 'holder.json'), JSON.stringify({ pid: other.pid, started, host: hostname() }));
    const driver = rig.restart({ stateDirectory: state });
    const look = () => driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
    await expect(look()).rejects.toMatchObject({ class: 'transport', code: 'HF-GLOBUS-HELD' });
    const gone = new Promise((resolve) => other.once('exit', resolve));
    other.kill('SIGKILL');
    await gone;
    await expect(look()).resolves.toBeDefined();
  });

  it('asks one question a look for several campaigns together', async () => {
    const names = ['together-1', 'together-2', 'together-3'];
    const driver = rig.restart({
      stateDirectory: join(rig.folder, 'state-together'),
      times: { health: 3_600, lossCheck: 3_600, control: 60 },
    });
    for (const name of names) await driver.prepareLaunch(rig.plan(name), () => undefined);
    rig.endpoint.setOnline(false);
    for (const name of names) await driver.send(offers(name, 3));
    const look = () => driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
    await look();
    const from = rig.service.exchanges.length;
    await look();
    const asked = rig.service.exchanges.slice(from);
    expect(asked.map(({ path }) => path)).toEqual(['/v2/batch_status']);
    expect(asked.map(({ body }) => (body as { task_ids: string[] }).task_ids.length)).toEqual([9]);
    rig.endpoint.setOnline(true);
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 9,
    );
    expect(ended.filter(({ status }) => status === 'completed')).toHaveLength(9);
    for (const name of names) await driver.closeLaunch(name);
  });

  it('asks one question a look for a hundred trials, and a restarted worker asks the same', async () => {
    rig.endpoint.setOnline(true);
    await rig.driver.prepareLaunch(rig.plan('hundred'), () => undefined);
    rig.endpoint.setOnline(false);
    const before = rig.service.exchanges.length;
    await rig.driver.send(offers('hundred', 100));
    const submitted = rig.service.exchanges.slice(before);
    expect(submitted.map((exchange) => exchange.path.replace(/.*\//, ''))).toEqual(['submit']);
    for (const driver of [rig.driver, rig.restart({ times: { health: 3_600, lossCheck: 3_600 } })]) {
      const from = rig.service.exchanges.length;
      await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
      const asked = rig.service.exchanges.slice(from).map((exchange) => exchange.path.replace(/.*\//, ''));
      expect(asked.filter((path) => path === 'batch_status')).toHaveLength(1);
      expect(asked.filter((path) => path === 'submit')).toEqual([]);
      expect(asked.length).toBeLessThanOrEqual(3);
    }
  });
});
