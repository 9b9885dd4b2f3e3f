import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LookResult, SystemOrder } from '../../src/systems/driver.ts';
import { lookUntil, offer, RIG_TIMES, type Rig, startRig } from '../support/globus-rig.ts';
import { GlobusSdkChild, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';
import type { Exchange, Fault } from '../support/globus-service.ts';

const SECOND = '0e0e0e0e-1111-4222-8333-444444444444';

const NOT_PERMITTED: Fault = {
  kind: 'status',
  status: 403,
  body: '{"status": "Failed", "code": "FUNCTION_NOT_PERMITTED", "detail": "Function not permitted on endpoint"}',
};
const isTrialFor = (endpoint: string, { path, body }: Exchange): boolean =>
  path.includes(`${endpoint}/submit`) && /op[\\": ]+trial\\/.test(JSON.stringify(body));

/** The console is for owners, and nothing else tells of a restart. */
const withoutConsole = ({ path }: Exchange): Fault | undefined => {
  if (path.endsWith('/console')) return { kind: 'status', status: 403 };
  return path.endsWith('/status') ? { kind: 'status', status: 200, body: '{"status": "online"}' } : undefined;
};

const offers = (campaign: string, count: number, params: Parameters<typeof offer>[2] = { x: 0.5 }): SystemOrder[] =>
  Array.from({ length: count }, (_, index) => ({ kind: 'offer', campaign, offer: offer(campaign, index + 1, params) }));
const stops = (campaign: string, count: number): SystemOrder[] =>
  offers(campaign, count).map((order) => {
    const { trial, attempt } = (order as Extract<SystemOrder, { kind: 'offer' }>).offer;
    return { kind: 'stop', campaign, trial, attempt, reason: 'cancelled' };
  });

/** Looks with a driver until so many trials have ended, and what the last look said. */
function looksOf(driver: ReturnType<Rig['restart']>) {
  let newest: LookResult | undefined;
  const onLook = (result: LookResult | undefined) => {
    newest = result ?? newest;
  };
  return {
    count: (least: number) =>
      lookUntil(
        () => driver,
        (records) => records.length >= least,
        { onLook },
      ),
    last: () => newest,
    onLook,
  };
}

describe.skipIf(!HAS_GLOBUS_PYTHON)('an endpoint that cannot be reached', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig?.end());
  beforeEach(() => {
    // The same machine under a second id, for a second campaign.
    rig.service.endpoints.set(SECOND, rig.endpoint);
    rig.endpoint.setOnline(true);
  });

  const onSecond = (campaign: string) => {
    const plan = rig.plan(campaign);
    const settings = { ...plan.spec.system.settings, endpointId: SECOND };
    return { ...plan, spec: { ...plan.spec, system: { ...plan.spec.system, settings } } };
  };

  it('because it was deleted stands in the way of no other campaign, and its own can be cancelled and closed', async () => {
    const { driver } = rig;
    await driver.prepareLaunch(onSecond('orphan'), () => undefined);
    await driver.prepareLaunch(rig.plan('lucky'), () => undefined);
    await driver.send(offers('orphan', 2, { x: 0.5, seconds: 8 }));
    await lookUntil(
      () => driver,
      (_, last) => last?.running.length === 1,
    );
    rig.service.endpoints.delete(SECOND);
    const notices = new Set<string>();
    const watched = {
      onLook: (result: { notices: readonly string[] } | undefined) => result?.notices.forEach((line) => void notices.add(line)),
    };

    // A refused stop ends neither the exchange nor the looks.
    expect(await driver.send([...stops('orphan', 2), ...offers('lucky', 3)])).toEqual({
      answers: ['stopping', 'stopping', 'offered', 'offered', 'offered'],
    });
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 5,
      watched,
    );
    expect([...notices].join('\n')).toMatch(/orphan: .*could not be resolved.*The trials wait/);
    const verdicts = ended.map(({ campaign, error, status }) => [campaign, error?.class ?? status]).sort();
    expect(verdicts).toEqual([
      ['lucky', 'completed'],
      ['lucky', 'completed'],
      ['lucky', 'completed'],
      ['orphan', 'endpoint_offline'],
      ['orphan', 'endpoint_offline'],
    ]);
    // The refusal is told, and the campaign is closed all the same: a second call finds nothing to do.
    await expect(driver.closeLaunch('orphan')).rejects.toMatchObject({ class: 'refused', code: 'HF-GLOBUS-ENDPOINT-NOT-FOUND' });
    await driver.closeLaunch('orphan');
    expect(readdirSync(join(rig.folder, 'state', 'campaigns'))).toEqual(['lucky.json']);
    await driver.closeLaunch('lucky');
  });

  it('that refuses one campaign’s trials stands in the way of no other: what was refused waits uncharged, and is sent when it is mended', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-refused') });
    await driver.prepareLaunch(onSecond('refused'), () => undefined);
    await driver.prepareLaunch(rig.plan('served'), () => undefined);
    // Its owner has restricted the functions; what runs for the campaign otherwise (looks, stops) is another function to the list.
    rig.service.fault = (exchange) => (isTrialFor(SECOND, exchange) ? NOT_PERMITTED : undefined);
    const before = rig.starts().length;
    expect(await driver.send([...offers('refused', 2), ...offers('served', 3)])).toEqual({
      answers: ['offered', 'offered', 'offered', 'offered', 'offered'],
    });
    const concerns = new Set<string>();
    const watched = {
      onLook: (result: LookResult | undefined) => {
        for (const { campaign, text } of result?.concerns ?? []) concerns.add(`${campaign}: ${text}`);
      },
    };
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 3,
      watched,
    );
    expect(ended.map(({ campaign, status }) => [campaign, status])).toEqual(Array(3).fill(['served', 'completed']));
    expect([...concerns]).toEqual([
      expect.stringMatching(/^refused: .*not permitted.*ask its owner to add ours.*[0-9a-f-]{36}.*The trials wait\.$/),
    ]);
    // Refused again and again, also of a worker that was restarted meanwhile.
    const later = rig.restart({ stateDirectory: join(rig.folder, 'state-refused') });
    const refusals = () => rig.service.injected;
    const soFar = refusals();
    await lookUntil(
      () => later,
      () => refusals() >= soFar + 3,
    );
    rig.service.fault = () => undefined;
    const mended = await lookUntil(
      () => later,
      (records) => records.length >= 2,
    );
    expect(mended.map(({ campaign, status, retried }) => [campaign, status, retried])).toEqual(
      Array(2).fill(['refused', 'completed', undefined]),
    );
    const over = await later.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
    expect(over?.concerns).toEqual([]);
    expect(rig.starts().length - before).toBe(5);
    await later.closeLaunch('served');
    await later.closeLaunch('refused');
  });

  it('that refuses a campaign’s trials lets them be withdrawn, and ends those that ran before', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-withdrawn') });
    const { directory } = await driver.prepareLaunch(onSecond('withdrawn'), () => undefined);
    await driver.send(offers('withdrawn', 1, { x: 0.5, seconds: 300 }));
    await lookUntil(
      () => driver,
      (_, last) => last?.running.length === 1,
    );
    // Online all the time: only submissions are refused, the stop request's too.
    rig.service.fault = ({ path }) => (path.includes(`${SECOND}/submit`) ? NOT_PERMITTED : undefined);
    expect(await driver.send(offers('withdrawn', 2))).toEqual({ answers: ['offered', 'offered'] });
    expect(await driver.send(stops('withdrawn', 2))).toEqual({ answers: ['stopping', 'withdrawn'] });
    const [record] = await lookUntil(
      () => driver,
      (records) => records.length >= 1,
      { seconds: 30 },
    );
    expect([record?.trial, record?.error?.class, record?.error?.message]).toEqual([
      'trial-0001',
      'endpoint_offline',
      expect.stringContaining('not permitted'),
    ]);
    rig.service.fault = () => undefined;
    // What nobody could ask to stop is ended by hand.
    writeFileSync(join(directory, 'spool', 'stop', 'all'), 'the test is over');
    await rig.endpoint.idle();
    await driver.closeLaunch('withdrawn');
  });

  it('that is locked, or that the service has trouble with, holds up its own campaign only', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-locked') });
    await driver.prepareLaunch(onSecond('locked'), () => undefined);
    await driver.prepareLaunch(rig.plan('open'), () => undefined);
    const lock = '{"status": "Failed", "code": "RESOURCE_LOCKED", "detail": "Endpoint is locked"}';
    rig.service.fault = ({ path }) => (path.includes(`${SECOND}/submit`) ? { kind: 'status', status: 423, body: lock } : undefined);
    expect(await driver.send([...offers('locked', 1, { x: 0.5, seconds: 6 }), ...offers('open', 1)])).toEqual({
      answers: ['offered', 'offered'],
    });
    const { count, last } = looksOf(driver);
    expect((await count(1)).map(({ campaign }) => campaign)).toEqual(['open']);
    expect(last()?.concerns).toEqual([{ campaign: 'locked', text: expect.stringMatching(/locked.*The trials wait/) }]);
    rig.service.fault = () => undefined;
    await lookUntil(
      () => driver,
      (_, result) => result?.running.length === 1,
    );
    // Everything that concerns this endpoint fails, its looks and its health too.
    rig.service.fault = ({ path }) => (path.includes(SECOND) ? { kind: 'status', status: 500 } : undefined);
    expect(await driver.send(offers('open', 2).slice(1))).toEqual({ answers: ['offered'] });
    const ended = await count(2);
    expect(ended.map(({ campaign, values, retried }) => [campaign, values, retried]).sort()).toEqual([
      ['locked', [0.5], undefined],
      ['open', [0.5], undefined],
    ]);
    rig.service.fault = () => undefined;
    await driver.closeLaunch('locked');
    await driver.closeLaunch('open');
  });

  it('whose submissions alone the service cannot take has its own sent again, the others’ not, and nothing twice', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-trouble') });
    await driver.prepareLaunch(onSecond('troubled'), () => undefined);
    await driver.prepareLaunch(rig.plan('spared'), () => undefined);
    const before = rig.starts().length;
    const sent = (endpoint: string) => rig.service.exchanges.filter((exchange) => isTrialFor(endpoint, exchange)).length;
    const already = { [SECOND]: sent(SECOND), [rig.endpoint.id]: sent(rig.endpoint.id) };
    const since = (endpoint: string) => sent(endpoint) - (already[endpoint] ?? 0);
    // What is taken although its answer is an error is not sent again.
    rig.service.fault = (exchange) => (isTrialFor(SECOND, exchange) ? { kind: 'statusAfter', status: 502 } : undefined);
    expect(await driver.send(offers('troubled', 1))).toEqual({ answers: ['offered'] });
    expect(since(SECOND)).toBe(1);
    // Nothing of it gets through, neither at once nor with the looks; the other endpoint is served as ever.
    rig.service.fault = (exchange) => (isTrialFor(SECOND, exchange) ? { kind: 'status', status: 503 } : undefined);
    expect(await driver.send([...offers('troubled', 3).slice(1), ...offers('spared', 2)])).toEqual({
      answers: ['offered', 'offered', 'offered', 'offered'],
    });
    const first = since(SECOND);
    // Of what comes meanwhile nothing is tried on its own.
    expect(await driver.send(offers('troubled', 4).slice(3))).toEqual({ answers: ['offered'] });
    expect(since(SECOND)).toBe(first);
    const notices = new Set<string>();
    const concerns: unknown[] = [];
    const watched = {
      onLook: (result: LookResult | undefined) => {
        result?.notices.forEach((line) => void notices.add(line));
        concerns.push(...(result?.concerns ?? []));
      },
    };
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 3 && since(SECOND) >= first + 2,
      watched,
    );
    expect(ended.map(({ campaign, status }) => `${campaign} ${status}`).sort()).toEqual([
      'spared completed',
      'spared completed',
      'troubled completed',
    ]);
    expect([...notices].join('\n')).toMatch(/troubled: 3 attempts could not be sent \(HF-GLOBUS-ANSWER-LOST\)/);
    expect(concerns).toEqual([]);
    expect(since(rig.endpoint.id)).toBe(1);
    // What is not wanted any more ends although nothing gets through.
    expect(await driver.send(stops('troubled', 4).slice(3))).toEqual({ answers: ['stopping'] });
    const [stopped] = await lookUntil(
      () => driver,
      (records) => records.length >= 1,
    );
    expect([stopped?.trial, stopped?.status]).toEqual(['trial-0004', 'failed']);
    // Also a worker that was restarted meanwhile sends the others, and charges nobody.
    const later = rig.restart({ stateDirectory: join(rig.folder, 'state-trouble') });
    rig.service.fault = () => undefined;
    const mended = await lookUntil(
      () => later,
      (records) => records.length >= 2,
    );
    expect(mended.map(({ campaign, status, retried }) => [campaign, status, retried])).toEqual(
      Array(2).fill(['troubled', 'completed', undefined]),
    );
    expect(rig.starts().length - before).toBe(5);
    await later.closeLaunch('spared');
    await later.closeLaunch('troubled');
  });

  it('or tasks that the service tells nothing of: their campaign says so and can be ended, the others of its login go on', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-untold') });
    await driver.prepareLaunch(onSecond('untold'), () => undefined);
    await driver.prepareLaunch(rig.plan('told'), () => undefined);
    await driver.send([...offers('untold', 1, { x: 0.5, seconds: 300 }), ...offers('told', 1)]);
    const ofUntold = new Set([...rig.service.tasks.values()].filter(({ payload }) => payload.includes('"untold"')).map(({ id }) => id));
    expect(ofUntold.size).toBeGreaterThan(0);
    const refusal: Fault = {
      kind: 'status',
      status: 400,
      body: '{"status": "Failed", "code": "REQUEST_MALFORMED", "detail": "not yours"}',
    };
    const isStatus = ({ path }: Exchange): boolean => path.endsWith('/batch_status');
    rig.service.fault = (exchange) =>
      isStatus(exchange) && (exchange.body as { task_ids: string[] }).task_ids.some((id) => ofUntold.has(id)) ? refusal : undefined;
    const { count, last, onLook } = looksOf(driver);
    expect((await count(1)).map(({ campaign, status }) => [campaign, status])).toEqual([['told', 'completed']]);
    expect(last()?.concerns).toEqual([{ campaign: 'untold', text: expect.stringMatching(/not yours.*The trials wait/) }]);
    await driver.send(stops('untold', 1));
    expect((await count(1)).map(({ campaign, error }) => [campaign, error?.class])).toEqual([['untold', 'endpoint_offline']]);
    // Nothing is told of anything: no look fails, and what has ended meanwhile is taken in as soon as it may be asked for.
    await driver.send(offers('told', 2).slice(1));
    rig.service.fault = (exchange) => (isStatus(exchange) ? refusal : undefined);
    const soFar = rig.service.injected;
    await lookUntil(
      () => driver,
      () => rig.service.injected >= soFar + 4,
      { onLook },
    );
    expect(last()?.concerns?.map(({ campaign }) => campaign)).toContain('told');
    rig.service.fault = () => undefined;
    expect((await count(1)).map(({ campaign, status, retried }) => [campaign, status, retried])).toEqual([
      ['told', 'completed', undefined],
    ]);
    await driver.closeLaunch('untold');
    await driver.closeLaunch('told');
  });

  it('for a while is noticed to be back also when no task carries the attempt any more', async () => {
    const { driver } = rig;
    await driver.prepareLaunch(rig.plan('waiting'), () => undefined);
    await driver.send(offers('waiting', 1, { x: 0.5, seconds: 3 }));
    await lookUntil(
      () => driver,
      (_, last) => last?.running.length === 1,
    );
    // The worker dies, and the endpoint goes offline before anybody asks it what became of the attempt.
    rig.endpoint.setOnline(false);
    await lookUntil(
      () => driver,
      (_, last) => last?.notices.some((line) => line.includes('is offline')) === true,
    );
    for (const task of rig.endpoint.running) rig.endpoint.killWorker(task);
    await rig.endpoint.idle();
    await lookUntil(
      () => driver,
      (_, last) => last?.notices.some((line) => line.includes('looked up')) === true,
    );
    rig.endpoint.setOnline(true);
    const [record] = await lookUntil(
      () => driver,
      (records) => records.length >= 1,
      { seconds: 40 },
    );
    expect(record?.values).toEqual([0.5]);
    await driver.closeLaunch('waiting');
  });

  it('for longer ends what was asked to stop, so that its campaign can end', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-longer'), times: { ...RIG_TIMES, unreachable: 2, close: 1 } });
    await driver.prepareLaunch(rig.plan('longer'), () => undefined);
    rig.endpoint.setOnline(false);
    await driver.send(offers('longer', 2, { x: 0.5, seconds: 300 }));
    await driver.send(stops('longer', 2));
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 2,
      { seconds: 40 },
    );
    expect(ended.map(({ error }) => error?.class)).toEqual(['endpoint_offline', 'endpoint_offline']);
    await driver.closeLaunch('longer');
    // What waits at the service is overtaken by its stop request.
    const before = rig.starts().length;
    rig.endpoint.setOnline(true);
    await rig.endpoint.idle();
    expect(rig.starts()).toHaveLength(before);
  });

  it('has no free worker for files: the first end waits for one, the others do not, and closing fetches them all', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-busy'), times: { ...RIG_TIMES, fetch: 2 } });
    const plan = rig.plan('busy');
    const { localDirectory } = await driver.prepareLaunch(plan, () => undefined);
    await driver.send(offers('busy', 4, { x: 0.5, noise: 300_000 }));
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 4,
    );
    const logs = () => ended.filter((record) => existsSync(join(localDirectory, record.directory, 'stdout.log'))).length;
    rig.endpoint.setOnline(false);
    const before = performance.now();
    for (const record of [...ended, ...ended]) await driver.collect('busy', record, localDirectory);
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(logs()).toBe(0);
    rig.endpoint.setOnline(true);
    await driver.closeLaunch('busy');
    expect(logs()).toBe(4);
  });

  it('has no worker for files at the end either: a campaign closes without most of them', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-files'), times: { ...RIG_TIMES, fetch: 1 } });
    const { localDirectory, directory } = await driver.prepareLaunch(rig.plan('files'), () => undefined);
    await driver.send(offers('files', 10, { x: 0.5, noise: 300_000 }));
    const ended = await lookUntil(
      () => driver,
      (records) => records.length >= 10,
    );
    rig.endpoint.setOnline(false);
    for (const record of ended) await driver.collect('files', record, localDirectory);
    const submitted = () => rig.service.exchanges.filter(({ path }) => path.endsWith('/submit')).length;
    const before = submitted();
    await driver.closeLaunch('files');
    // Three are asked for, then the rest is left; one more task moves the done records.
    expect(submitted() - before).toBe(4);
    expect(existsSync(join(directory, ended[9]?.directory ?? '', 'stdout.log'))).toBe(true);
  });

  it('a file that has changed there since its end is left out, and holds nobody up', async () => {
    const { driver } = rig;
    const { localDirectory, directory } = await driver.prepareLaunch(rig.plan('changed'), () => undefined);
    await driver.send(offers('changed', 1, { x: 0.5, noise: 300_000 }));
    const [record] = await lookUntil(
      () => driver,
      (records) => records.length >= 1,
    );
    if (record === undefined) throw new Error('no record');
    appendFileSync(join(directory, record.directory, 'stdout.log'), 'a child of the training goes on\n');
    const path = record.files.find(({ path }) => path === 'stdout.log')?.path ?? '';
    const before = readFileSync(join(directory, record.directory, path), 'utf8');
    await driver.collect('changed', { ...record, files: [{ path, size: before.length - 5, sha256: 'a'.repeat(64) }] }, localDirectory);
    mkdirSync(localDirectory, { recursive: true });
    expect(existsSync(join(localDirectory, record.directory, 'stdout.log'))).toBe(false);
    expect(existsSync(join(localDirectory, record.directory, 'stdout.log.part'))).toBe(false);
    await driver.closeLaunch('changed');
  });

  it('whose process died unseen with a trial that waited there has it again: the engine that answers is another one', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-waited') });
    rig.endpoint.workers = 1;
    rig.service.fault = withoutConsole;
    const second = new GlobusSdkChild(54_001);
    let first: GlobusSdkChild | undefined;
    try {
      await second.ready;
      await driver.prepareLaunch(rig.plan('waited'), () => undefined);
      await driver.send(offers('waited', 1, { x: 0.5, seconds: 6 }));
      await driver.send(offers('waited', 3, { x: 0.5, seconds: 3 }).slice(1));
      // A small task overtook those that wait, and saw that they wait.
      const facts = () => readFileSync(join(rig.folder, 'state-waited', 'campaigns', 'waited.json'), 'utf8');
      const early = await lookUntil(
        () => driver,
        () => facts().includes('"engine"'),
      );
      rig.endpoint.loseQueued();
      rig.endpoint.killProcess();
      first = rig.endpoint.useEngine(second);
      const rest = await lookUntil(
        () => driver,
        (records) => early.length + records.length >= 3,
        { seconds: 90 },
      );
      expect([...early, ...rest].map(({ trial, status }) => [trial, status]).sort()).toEqual(
        [1, 2, 3].map((number) => [`trial-000${number}`, 'completed']),
      );
    } finally {
      rig.service.fault = () => undefined;
      rig.endpoint.workers = 4;
    }
    await driver.closeLaunch('waited');
    if (first !== undefined) rig.endpoint.useEngine(first);
    await second.end();
  });

  it('whose process died before any small task of ours had come, and whose next one cannot be told from it: what was sent later shows what is gone', async () => {
    const driver = rig.restart({ stateDirectory: join(rig.folder, 'state-overtaken'), times: { ...RIG_TIMES, lossCheck: 1 } });
    rig.service.fault = withoutConsole;
    try {
      const plan = rig.plan('overtaken');
      const system = { ...plan.spec.system, settings: { ...plan.spec.system.settings, functionTimeoutSeconds: 3_600 } };
      await driver.prepareLaunch({ ...plan, spec: { ...plan.spec, system } }, () => undefined);
      rig.endpoint.workers = 0;
      await driver.send(offers('overtaken', 2));
      rig.endpoint.loseQueued();
      rig.endpoint.killProcess();
      rig.endpoint.workers = 4;
      await driver.send(offers('overtaken', 3, { x: 0.5, seconds: 600 }).slice(2));
      const lost = await lookUntil(
        () => driver,
        (records) => records.length >= 2,
      );
      expect(lost.map(({ trial, status, retried }) => [trial, status, retried]).sort()).toEqual(
        [1, 2].map((number) => [`trial-000${number}`, 'completed', 1]),
      );
      await driver.send(stops('overtaken', 3).slice(2));
      const [last] = await lookUntil(
        () => driver,
        (records) => records.length >= 1,
      );
      expect([last?.trial, last?.status, last?.retried]).toEqual(['trial-0003', 'stopped', undefined]);
    } finally {
      rig.service.fault = () => undefined;
      rig.endpoint.workers = 4;
    }
    await driver.closeLaunch('overtaken');
  });

  it('whose process died unseen with our small tasks in hand is asked again: its trial ends', async () => {
    const { driver } = rig;
    rig.endpoint.workers = 1;
    rig.service.fault = withoutConsole;
    try {
      await driver.prepareLaunch(rig.plan('unseen'), () => undefined);
      await driver.send(offers('unseen', 1, { x: 0.5, seconds: 12 }));
      // After a while without news the file system is asked; the only worker is busy.
      await lookUntil(
        () => driver,
        () => rig.endpoint.queued > 0,
      );
      rig.endpoint.loseQueued();
      rig.endpoint.killProcess();
      const [record] = await lookUntil(
        () => driver,
        (records) => records.length >= 1,
        { seconds: 60 },
      );
      expect([record?.status, record?.values]).toEqual(['completed', [0.5]]);
    } finally {
      rig.service.fault = () => undefined;
      rig.endpoint.workers = 4;
    }
    await driver.closeLaunch('unseen');
  });
});
