import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import { statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { seededRandom } from '../support/lab.ts';
import { processesOf } from '../support/processes.ts';

const SEED = Number(process.env.HOLDFAST_CHAOS_SEED ?? Date.now() % 1_000_000);
const TRIALS = 2000;

/** A training that costs next to nothing, on the real agent and the real spool. */
const spec = (folder: string, change: object) => ({
  version: 1,
  name: 'noop',
  system: 'local',
  objective: { metric: 'x', direction: 'maximize' },
  search_space: { x: { type: 'float', min: 0, max: 1 } },
  sampler: { type: 'random', seed: 5 },
  training: {
    command: [
      '/bin/sh',
      '-c',
      `echo "$HOLDFAST_TRIAL" >> ${folder}/starts.log; sleep "$1"; echo '{"x":1}' > "$HOLDFAST_OUT/results.json"`,
      'sh',
      '0',
    ],
  },
  ...change,
});

describe(`large campaigns (HOLDFAST_CHAOS_SEED=${SEED})`, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    const driver = createLocalDriver({ slots: 16, stateDirectory: path.join(engine.folder, 'state'), workingDirectory: engine.folder });
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  /** Trainings carry the campaign's name as their first word. */
  const trainingsOf = (id: string) => processesOf(`${id}-training`);

  it(`${TRIALS} trials cross several continue-as-new and are counted exactly`, async () => {
    const result = await engine.run(spec(engine.folder, { budget: { trials: TRIALS }, concurrency: 24 }), 'thousands');
    expect(result.counts).toEqual({ total: TRIALS, queued: 0, completed: TRIALS, pruned: 0, failed: 0, cancelled: 0 });
    const handle = engine.client.workflow.getHandle('thousands');
    const numbers = new Set<number>();
    for (let since = 0, more = true; more; ) {
      const page = await handle.query(trialsQuery, { since, limit: 700 });
      for (const row of page.rows) {
        expect(row).toMatchObject({ state: 'completed', attempts: 1 });
        numbers.add(row.number);
      }
      since = page.version;
      more = page.more;
    }
    expect(numbers.size).toBe(TRIALS);
    let runs = 0;
    for await (const _ of engine.client.workflow.list({ query: 'WorkflowId = "thousands"' })) runs += 1;
    expect(runs).toBeGreaterThanOrEqual(2);
  }, 1_800_000);

  it.each(['drain', 'stop', 'cancel'] as const)(
    '%s at a random instant leaves nothing running, and a pause before it lets everything come to rest',
    async (how) => {
      const random = seededRandom(SEED + how.length);
      const id = `end-${how}`;
      const change = { budget: { trials: 5000 }, concurrency: 20, limits: { grace_seconds: 1 } };
      const { training, ...rest } = spec(engine.folder, change);
      await engine.start({ ...rest, training: { command: [...training.command.slice(0, -2), `${id}-training`, '0.5'] } }, id);
      const handle = engine.client.workflow.getHandle(id);
      await eventually(async () => (await handle.query(statusQuery)).counts.completed > 0, 180, 'a first trial');
      await new Promise((resolve) => setTimeout(resolve, random() * 2000));
      await handle.signal('pause');
      await eventually(async () => (await handle.query(statusQuery)).phase === 'paused', 120, 'the pause');
      await eventually(async () => (await handle.query(statusQuery)).inFlight.length === 0, 120, 'the end of what ran');
      expect(trainingsOf(id)).toEqual([]);
      const resting = (await handle.query(statusQuery)).counts;
      await handle.signal('resume');
      await eventually(async () => (await handle.query(statusQuery)).counts.total > resting.total, 120, 'a trial after the pause');
      await new Promise((resolve) => setTimeout(resolve, random() * 1500));
      if (how === 'cancel') await handle.cancel();
      else await handle.signal(how);
      await handle.result().catch((error: Error) => {
        if (how !== 'cancel') throw error;
      });
      const status = await handle.query(statusQuery);
      expect(status).toMatchObject({ phase: 'ended', inFlight: [] });
      expect(status.counts.queued).toBe(0);
      expect(status.counts.completed + status.counts.cancelled).toBe(status.counts.total);
      expect(processesOf(path.join(engine.folder, 'results')).filter((command) => command.includes(id))).toEqual([]);
      expect(trainingsOf(id)).toEqual([]);
    },
    600_000,
  );
});
