import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LaunchMemory, RECALL_REASON, type SystemDriver, type SystemOrder } from '../../src/systems/driver.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { lookUntil, offer, type Rig, startRig } from '../support/globus-rig.ts';
import { HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

describe.skipIf(!HAS_GLOBUS_PYTHON)('a Globus Compute system whose state folder is lost', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig?.end());

  const named = (number: number) => `trial-${String(number).padStart(4, '0')}`;
  const offers = (campaign: string, count: number, params: Parameters<typeof offer>[2]): SystemOrder[] =>
    Array.from({ length: count }, (_, index) => ({ kind: 'offer', campaign, offer: offer(campaign, index + 1, params) }));
  const submissions = () =>
    rig.service.exchanges.filter(({ path, body }) => path.endsWith('/submit') && /op[\\": ]+trial\\/.test(JSON.stringify(body)));

  /** A prepared campaign with offers sent; then a driver that knows nothing of it, and what the history would tell it. */
  async function lose(campaign: string, count: number, params: Parameters<typeof offer>[2], until: () => boolean) {
    const before = rig.restart({ stateDirectory: join(rig.folder, `state-${campaign}`) });
    const plan = rig.plan(campaign);
    const prepared = await before.prepareLaunch(plan, () => undefined);
    const orders = offers(campaign, count, params);
    await before.send(orders);
    await eventually(until, 60, 'the moment of the loss');
    const memory: LaunchMemory = {
      campaign,
      spec: plan.spec,
      launch: plan.launch,
      directory: prepared.directory,
      localDirectory: prepared.localDirectory,
      provenance: prepared.provenance,
      attempts: orders.map((_, index) => `${named(index + 1)}.1`),
    };
    const after = rig.restart({ stateDirectory: join(rig.folder, `state-${campaign}-new`) });
    expect(await after.lost?.([campaign])).toEqual([campaign]);
    await after.rebuild?.(memory);
    return { after, orders, memory };
  }

  async function ends(driver: SystemDriver, count: number) {
    const ended = await lookUntil(
      () => driver,
      (records) => new Set(records.map((record) => record.trial)).size >= count,
    );
    return ended.map((record) => [record.trial, record.status, record.values?.[0]]).sort();
  }

  it('runs nothing twice: what was sent is waited for, what has ended is read from the file system', async () => {
    const from = rig.starts().length;
    const sent = submissions().length;
    // Four run, two wait at the endpoint.
    const { after, orders } = await lose('lost', 6, { x: 0.5, steps: 4, seconds: 0.25 }, () => rig.starts().length - from >= 4);
    const recall = orders.map(
      (order): SystemOrder => ({
        kind: 'stop',
        campaign: 'lost',
        trial: order.kind === 'offer' ? order.offer.trial : '',
        attempt: 1,
        reason: RECALL_REASON,
      }),
    );
    expect((await after.send(recall)).answers).toEqual(Array(6).fill('unknown'));
    await after.recalled?.('lost');
    expect(await after.lost?.(['lost'])).toEqual([]);
    expect((await after.send(orders)).answers).toEqual(Array(6).fill('offered'));
    expect((await after.send(recall)).answers).toEqual(Array(6).fill('stopping'));
    expect(await ends(after, 6)).toEqual(orders.map((_, index) => [named(index + 1), 'completed', 0.5]));
    expect(rig.starts().slice(from).sort()).toEqual(orders.map((_, index) => `${named(index + 1)}.1`));
    expect(submissions().length - sent).toBe(1);
    await after.closeLaunch('lost');
    expect(await after.lost?.(['lost'])).toEqual([]);
  });

  it('is damaged: the file is put aside, and its campaign alone counts as lost', async () => {
    const stateDirectory = join(rig.folder, 'state-damaged');
    const before = rig.restart({ stateDirectory });
    for (const campaign of ['whole', 'half', 'other']) await before.prepareLaunch(rig.plan(campaign), () => undefined);
    const folder = join(stateDirectory, 'campaigns');
    const text = readFileSync(join(folder, 'half.json'), 'utf8');
    writeFileSync(join(folder, 'half.json'), text.slice(0, text.length / 2));
    writeFileSync(join(folder, 'other.json'), '{"version": 99}');
    const after = rig.restart({ stateDirectory });
    expect(await after.lost?.(['whole', 'half', 'other'])).toEqual(['half', 'other']);
    expect(readdirSync(folder).sort()).toEqual(['half.json.damaged', 'other.json.damaged', 'whole.json']);
  });

  it('sends what never arrived, and reads what the service has dropped meanwhile', async () => {
    const from = rig.starts().length;
    const { after, orders, memory } = await lose('dropped', 3, { x: 0.5 }, () => {
      const done = join(rig.folder, 'remote', 'launch-dropped', 'spool', 'done');
      return existsSync(done) && readdirSync(done).length >= 3;
    });
    for (const task of rig.service.tasks.values()) if (task.result?.includes('trial-')) rig.service.forget(task, 'gone');
    // A fourth one was about to be sent when the worker died.
    expect(memory.attempts).not.toContain('trial-0004.1');
    const all = [...orders, { kind: 'offer' as const, campaign: 'dropped', offer: offer('dropped', 4, { x: 0.25 }) }];
    await after.send(all);
    expect(await ends(after, 4)).toEqual([
      ...orders.map((_, index) => [named(index + 1), 'completed', 0.5]),
      ['trial-0004', 'completed', 0.25],
    ]);
    expect(rig.starts().slice(from).sort()).toEqual(all.map((_, index) => `${named(index + 1)}.1`));
    await after.closeLaunch('dropped');
  });

  it('finds its way when the service has forgotten the group as well: the claim on the file system stands', async () => {
    const from = rig.starts().length;
    const before = rig.restart({ stateDirectory: join(rig.folder, 'state-group') });
    const plan = rig.plan('group');
    const prepared = await before.prepareLaunch(plan, () => undefined);
    const orders = offers('group', 2, { x: 0.5, steps: 4, seconds: 0.25 });
    await before.send(orders);
    await eventually(() => rig.starts().length - from >= 2, 60, 'two trainings');
    rig.service.groups.delete(prepared.provenance.task_group ?? '');
    const after = rig.restart({ stateDirectory: join(rig.folder, 'state-group-new') });
    await after.rebuild?.({
      campaign: 'group',
      spec: plan.spec,
      launch: plan.launch,
      ...prepared,
      attempts: ['trial-0001.1', 'trial-0002.1'],
    });
    await after.send(orders);
    expect(await ends(after, 2)).toEqual(orders.map((_, index) => [named(index + 1), 'completed', 0.5]));
    expect(rig.starts().slice(from).sort()).toEqual(['trial-0001.1', 'trial-0002.1']);
    await after.closeLaunch('group');
  });

  it('ends what still runs of a campaign that is closed or stopped before it was offered again', async () => {
    const from = rig.starts().length;
    const { after } = await lose('closed', 2, { x: 0.5, steps: 1000, seconds: 0.3 }, () => rig.starts().length - from >= 2);
    const stop: SystemOrder = { kind: 'stop', campaign: 'closed', trial: named(1), attempt: 1, reason: 'pruned' };
    expect((await after.send([stop])).answers).toEqual(['unknown']);
    const done = join(rig.folder, 'remote', 'launch-closed', 'spool', 'done');
    await eventually(() => readdirSync(done).includes('trial-0001.1.json'), 60, 'the stop of the first');
    await after.closeLaunch('closed');
    await rig.endpoint.idle();
    expect(readdirSync(done).sort()).toEqual(['trial-0001.1.json', 'trial-0002.1.json']);
  });
});

describe.skipIf(!HAS_GLOBUS_PYTHON)('a campaign on Globus Compute whose worker loses its state folder', () => {
  let engine: Engine;
  let rig: Rig;
  beforeAll(async () => {
    [engine, rig] = await Promise.all([startEngine(), startRig()]);
  });
  afterAll(async () => {
    await engine?.close();
    await rig?.end();
  });

  it('goes on with the next worker from the history: every trial once', { timeout: 180_000 }, async () => {
    const first = await engine.startWorker({ 'globus-compute': rig.restart({ pollSeconds: 0.2 }) });
    await engine.start(
      {
        version: 1,
        name: 'lost',
        objective: { metric: 'score', direction: 'maximize' },
        search_space: {
          x: { type: 'float', min: 0, max: 1 },
          steps: { type: 'constant', value: 4 },
          seconds: { type: 'constant', value: 0.3 },
        },
        sampler: { type: 'random', seed: 5 },
        training: { bundle: join(rig.folder, 'code'), command: ['{python}', '{code}/train.py', join(rig.folder, 'starts.log')] },
        budget: { trials: 9 },
        globus_compute: { enabled: true, endpoint_id: rig.endpoint.id },
        working_dirs: { aurora_base: join(rig.folder, 'remote'), local_base: join(rig.folder, 'results') },
      },
      'lost-1',
    );
    await eventually(() => rig.starts().length >= 4, 120, 'four trainings');
    first.shutdown();
    await first.finished;
    const running = rig.endpoint.running.length;
    expect(running).toBeGreaterThan(0);
    rmSync(join(rig.folder, 'state'), { recursive: true });
    await engine.startWorker({ 'globus-compute': rig.restart({ pollSeconds: 0.2 }) });
    const result = (await engine.client.workflow.getHandle('lost-1').result()) as CampaignResult;
    expect(result.counts).toMatchObject({ total: 9, completed: 9 });
    expect(rig.starts().sort()).toEqual(Array.from({ length: 9 }, (_, index) => `trial-${String(index + 1).padStart(4, '0')}.1`));
  });
});
