import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PrunerConfig } from '../../src/domain/campaign.ts';
import { reportSteps } from '../../src/search/pruning/report-steps.ts';
import { rungsOf } from '../../src/search/rungs.ts';
import { statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, shortHistories, startEngine } from '../support/engine.ts';
import { createScriptedDriver, type Script } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

const RUNGS = [1, 3, 9];
/** Each attempt trains from rung to rung, the better the nearer x is to 1. */
const end = (_trial: string, attempt: number, params: Readonly<Record<string, unknown>>) => {
  const step = RUNGS[attempt - 1] as number;
  const valueAt = (at: number) => Number(params.x) * (at / (1 + at));
  return { step, values: [valueAt(step)], curve: RUNGS.slice(0, attempt).map((at) => [at, valueAt(at)] as const) };
};
const nine = Array.from({ length: 9 }, (_, i) => ({ x: (i + 1) / 10 }));
const spec = (change: object = {}) =>
  specification({
    pruner: { type: 'asha', form: 'promote', max_steps: 9 },
    enqueue: nine,
    budget: { trials: 9 },
    concurrency: 9,
    ...change,
  });
/** Of nine trials three go on from step 1 and one from step 3. */
const ENDS = [1, 1, 1, 1, 1, 1, 3, 3, 9];
const rowsOf = async (engine: Engine, id: string) => (await engine.client.workflow.getHandle(id).query(trialsQuery)).rows;
/** Whether the campaign waits for its pruner's answer. */
const isAsked = async (engine: Engine, id: string) =>
  ((await engine.client.workflow.getHandle(id).describe()).raw.pendingActivities ?? []).some(
    (each) => each.activityType?.name === 'judgeRungs',
  );
const stepsOf = async (engine: Engine, id: string) => (await rowsOf(engine, id)).map((row) => row.step);

describe('a campaign whose trials pause on rungs', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  it('is not over while it is paused itself, and promotes when it is resumed', async () => {
    let isOpen = false;
    const system = createScriptedDriver('local', { description: { slotsPerPilot: 9 }, runMs: () => (isOpen ? 0 : 1e9), end });
    const worker = await engine.startWorker({ local: system.driver });
    await engine.start(spec(), 'held-1');
    const handle = engine.client.workflow.getHandle('held-1');
    await eventually(() => system.running.size === 9);
    await handle.executeUpdate('pause');
    isOpen = true;
    await eventually(async () => (await handle.query(statusQuery)).counts.pruned === 9);
    // The pruner has been asked about the last of them and has answered.
    await eventually(async () => !(await isAsked(engine, 'held-1')));
    expect(await handle.query(statusQuery)).toMatchObject({ phase: 'paused', inFlight: [] });
    await handle.executeUpdate('resume');
    expect(await handle.result()).toMatchObject({ status: 'completed', counts: { completed: 1, pruned: 8 }, best: { number: 9, step: 9 } });
    expect(await stepsOf(engine, 'held-1')).toEqual(ENDS);
    worker.shutdown();
    await worker.finished;
  });
});

describe('a campaign whose trials pause on rungs and whose history is short', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine(shortHistories(150));
  });
  afterAll(() => engine.close());

  it('promotes what paused at the moment at which it went on as new', async () => {
    let isOpen = false;
    const script: Script = { description: { slotsPerPilot: 9 }, runMs: () => (isOpen ? 0 : 1e9), end };
    const system = createScriptedDriver('local', script);
    const first = await engine.startWorker({ local: system.driver });
    await engine.start(spec(), 'renewed-1');
    const handle = engine.client.workflow.getHandle('renewed-1');
    await eventually(() => system.running.size === 9);
    first.shutdown();
    await first.finished;
    // Nobody works on it: all of this lies in one history when the next worker takes it up, and that is too long for this run.
    await Promise.all(Array.from({ length: 150 }, () => handle.signal('resume')));
    for (const [index, params] of nine.entries()) {
      const outcome = { number: index + 1, state: 'pruned', attempts: 1, runSeconds: 1, finishedAt: Date.now(), ...end('', 1, params) };
      await handle.signal('trialFinished', { outcome });
    }
    isOpen = true;
    const second = await engine.startWorker({ local: system.driver });
    expect(await handle.result()).toMatchObject({ status: 'completed', counts: { completed: 1, pruned: 8 }, best: { number: 9, step: 9 } });
    expect(await stepsOf(engine, 'renewed-1')).toEqual(ENDS);
    second.shutdown();
    await second.finished;
  });
});

/** Large x starts slowly and ends well (best 0.8); small x the other way round. */
const accuracyAt = (x: number, step: number) => -((x - 0.8) ** 2) - 0.5 * (0.05 + 2 * x) * Math.exp(-step / 6);
const THAW: PrunerConfig = { type: 'freeze_thaw', minSteps: 2, maxSteps: 26, reductionFactor: 2, options: {} };

describe('freeze_thaw with a budget of node-hours', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  it('begins no new trial once 80 % of them are used, as long as one that was begun promises a gain', { timeout: 600_000 }, async () => {
    const id = 'hours-1';
    // Five trials and some of their further attempts have ended when the sixth begins; it runs until the campaign knows of the node-hours.
    let isKnown = false;
    const isHeld = () => !isKnown && system.starts[`${id}:trial-0006.1`] !== undefined;
    const system = createScriptedDriver('local', {
      description: { slotsPerPilot: 1, maxPilots: 1, prefetch: 0 },
      runMs: () => (isHeld() ? 1e9 : 0),
      end: (_trial, attempt, params) => {
        const step = rungsOf(THAW)[attempt - 1] as number;
        const curve = reportSteps(THAW).flatMap((at) => (at <= step ? [[at, accuracyAt(Number(params.x), at)] as const] : []));
        return { step, curve, values: [accuracyAt(Number(params.x), step)] };
      },
    });
    const worker = await engine.startWorker({ local: system.driver });
    const { type, minSteps: min_steps, maxSteps: max_steps } = THAW;
    const campaign = { pruner: { type, min_steps, max_steps }, sampler: { type: 'gp', seed: 1, initial_points: 4 }, concurrency: 1 };
    await engine.start(specification({ ...campaign, budget: { trials: 40, node_hours: 1 } }), id);
    const handle = engine.client.workflow.getHandle(id);
    await eventually(isHeld, 240, 'the sixth trial');
    const before = Object.keys(system.starts).length;
    for (const [name, pilot] of system.pilots) system.pilots.set(name, { ...pilot, allocatedSlotSeconds: 0.85 * 3600 });
    const isTold = async () =>
      (await handle.query(statusQuery)).problems.some((each) => each.startsWith('more than 80 % of its node-hours'));
    await eventually(isTold, 60, 'the notice');
    isKnown = true;
    // Without that budget the seventh trial is begun after two further attempts of the sixth.
    const next = await eventually(() => Object.keys(system.starts).length >= before + 4 && Object.keys(system.starts).slice(before), 240);
    expect(next.filter((start) => start.endsWith('.1'))).toEqual([]);
    await handle.executeUpdate('stop', { args: ['seen'] });
    await handle.result();
    worker.shutdown();
    await worker.finished;
  });
});
