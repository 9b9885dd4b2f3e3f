import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningWorkers } from '../../src/worker.ts';
import { type CampaignResult, statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('points that the user enqueues', () => {
  let engine: Engine;
  let worker: RunningWorkers;
  let runMs = 200;
  beforeAll(async () => {
    engine = await startEngine();
    worker = await engine.startWorker({ local: createScriptedDriver('local', { runMs: () => runMs }).driver });
  });
  afterAll(async () => {
    worker.shutdown();
    await worker.finished;
    await engine.close();
  });

  it('and that were tried already are not run again, are told of, and leave no campaign waiting', async () => {
    const change = { sampler: 'auto', budget: { trials: 5 }, concurrency: 1, enqueue: [{ x: 0.25 }, { x: 0.25 }] };
    const handle = engine.client.workflow.getHandle('again-1');
    await engine.start(specification(change), 'again-1');
    await eventually(async () => (await handle.query(statusQuery)).counts.completed >= 1);
    // The budget must not be spent before the points are there.
    runMs = 3_600_000;
    await expect(handle.executeUpdate('enqueue', { args: [[{ x: 0.25 }, { x: 0.75 }]] })).resolves.toMatch(
      /^1 point enqueued; 1 point tried already/,
    );
    // By signal nobody can be answered, so nothing may hang on it.
    await handle.signal('enqueue', [{ x: 0.25 }]);
    runMs = 200;
    const result = (await handle.result()) as CampaignResult;
    expect(result.counts).toMatchObject({ total: 5, completed: 5 });
    const { rows } = await handle.query(trialsQuery);
    expect(rows.filter((row) => row.params.x === 0.25)).toHaveLength(1);
    expect(rows.filter((row) => row.params.x === 0.75)).toHaveLength(1);
    expect((await handle.query(statusQuery)).problems.join(' ')).toContain('1 enqueued point not run: tried already');
  });

  it('are run again where allow_duplicates says so', async () => {
    const change = { budget: { trials: 2 }, concurrency: 1, allow_duplicates: true, enqueue: [{ x: 0.25 }, { x: 0.25 }] };
    await engine.run(specification(change), 'again-2');
    const { rows } = await engine.client.workflow.getHandle('again-2').query(trialsQuery);
    expect(rows.map((row) => row.params.x)).toEqual([0.25, 0.25]);
  });

  it('before the campaign file is read, and that do not lie in its space, are left out', async () => {
    const handle = await engine.client.workflow.signalWithStart('hpoCampaign', {
      taskQueue: 'holdfast',
      workflowId: 'early-1',
      args: [specification({ budget: { trials: 2 }, concurrency: 1 })],
      signal: 'enqueue',
      signalArgs: [[{ x: 7 }, { x: 0.5 }]],
    });
    await handle.result();
    const { rows } = await handle.query(trialsQuery);
    expect(rows.map((row) => row.origin)).toEqual(['user', 'random']);
    expect(rows[0]?.params).toEqual({ x: 0.5 });
  });
});

describe('a space of few points', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ local: createScriptedDriver('local').driver });
  });
  afterAll(() => engine.close());

  it.each(['grid', 'random', 'auto'])(
    'is tried to its last point by %s, one at a time, and the campaign ends by itself',
    async (sampler) => {
      const search_space = { x: { type: 'int', min: 1, max: 3 } };
      const result = await engine.run(specification({ search_space, sampler, budget: { trials: 50 }, concurrency: 1 }), `few-${sampler}`);
      expect(result.counts).toMatchObject({ total: 3, completed: 3 });
    },
  );
});
