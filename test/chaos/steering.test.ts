import path from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, shortHistories } from '../support/engine.ts';
import { type Lab, seededRandom, startLab } from '../support/lab.ts';
import { processesOf } from '../support/processes.ts';

const SEED = Number(process.env.HOLDFAST_CHAOS_SEED ?? Date.now() % 1_000_000);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Trials at the end; no order on the way takes the budget below what may have run by then. */
const TRIALS = 40;

/**
 * Orders by chance, by update and by signal, repeated and against each other, to two campaigns that share the slots, while their worker is killed
 * again and again and histories are so short that workflows go on as new every few trials.
 */
describe(`campaigns that are steered by chance while their worker is killed (HOLDFAST_CHAOS_SEED=${SEED})`, () => {
  let lab: Lab;
  const random = seededRandom(SEED);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  beforeAll(async () => {
    lab = await startLab({ slots: 4, settings: shortHistories(160) });
  });
  afterAll(() => lab.close());

  /** `pace`: a file that says how many of its trials may end. */
  const begin = (id: string, seed: number, ...pace: string[]) =>
    lab.start(
      id,
      lab.campaign({
        training: { command: ['{python}', path.join(lab.folder, 'train.py'), path.join(lab.folder, `${id}.log`), '0.2', ...pace] },
        sampler: { type: 'random', seed },
        budget: { trials: TRIALS },
      }),
    );
  const orders: readonly ((handle: WorkflowHandle) => Promise<unknown>)[] = [
    (handle) => handle.executeUpdate('pause'),
    (handle) => handle.executeUpdate('resume'),
    (handle) => handle.signal('pause'),
    (handle) => handle.signal('resume'),
    (handle) => handle.executeUpdate('setConcurrency', { args: [1 + Math.floor(random() * 6)] }),
    (handle) => handle.executeUpdate('setBudget', { args: [{ trials: TRIALS + Math.floor(random() * 9) }] }),
    (handle) => handle.signal('enqueue', { x: random(), k: Math.floor(random() * 10) }),
    (handle) => handle.executeUpdate('retry'),
  ];
  /** Orders to a campaign that nobody serves at this moment, or that has ended, are given up: what counts is what the campaigns come to. */
  const order = async (id: string) => {
    const client = lab.client();
    await client.withDeadline(Date.now() + 4_000, () => pick(orders)(client.workflow.getHandle(id))).catch(() => undefined);
  };

  it('end with every trial of their budget, each run once', async () => {
    const ids = ['chance-1', 'chance-2'];
    for (const [at, id] of ids.entries()) await begin(id, at + 1);
    const until = Date.now() + 30_000;
    const steering = ids.map(async (id) => {
      while (Date.now() < until) {
        await order(id);
        await sleep(random() * 400);
      }
    });
    while (Date.now() < until) {
      await sleep(500 + random() * 3_500);
      await lab.killWorker();
      await lab.startWorker();
    }
    await Promise.all(steering);
    for (const id of ids) {
      const handle = lab.client().workflow.getHandle(id);
      await handle.executeUpdate('setBudget', { args: [{ trials: TRIALS + 10 }] }).catch(() => undefined);
      await handle.signal('resume').catch(() => undefined);
    }
    for (const id of ids) {
      const result = await lab.result(id, 200);
      const rows = await lab.rows(id);
      expect(result.counts).toMatchObject({ total: rows.length, completed: rows.length, failed: 0, cancelled: 0 });
      expect(rows.length).toBeGreaterThanOrEqual(TRIALS);
      expect(lab.starts(`${id}.log`).sort()).toEqual(rows.map(({ number }) => `trial-${String(number).padStart(4, '0')}.1`));
      let runs = 0;
      for await (const _ of lab.client().workflow.list({ query: `WorkflowId = "${id}"` })) runs += 1;
      expect(runs).toBeGreaterThan(1);
    }
  }, 400_000);

  it.each(['drain', 'stop', 'cancel'] as const)(
    'end by %s, whatever was said before, and leave nothing running',
    async (how) => {
      const id = `ends-${how}`;
      // The campaign is not over by itself before it is told how to end.
      const pace = `${id}.pace`;
      lab.letEnd(pace, 20);
      await begin(id, 3, path.join(lab.folder, pace));
      await eventually(() => lab.starts(`${id}.log`).length > 2, 90, 'the first trials');
      for (let kills = 0; kills < 3; kills += 1) {
        await sleep(random() * 3_000);
        await Promise.all([order(id), order(id), lab.killWorker()]);
        if (kills === 1) {
          const handle = lab.client().workflow.getHandle(id);
          await (how === 'cancel' ? handle.cancel() : handle.signal(how));
          lab.letEnd(pace, 1000);
        }
        await lab.startWorker();
      }
      await lab.result(id, 240).catch((error: Error) => {
        if (how !== 'cancel') throw error;
      });
      const rows = await lab.rows(id);
      expect(rows.every(({ state }) => state === 'completed' || state === 'cancelled')).toBe(true);
      expect(processesOf(`${id}.log`)).toEqual([]);
      const starts = lab.starts(`${id}.log`);
      expect(new Set(starts).size).toBe(starts.length);
    },
    400_000,
  );
});
