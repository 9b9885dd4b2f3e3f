import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bestQuery, describeQuery, statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

const spec = (change: object = {}) => specification({ budget: { trials: 12 }, ...change });

describe('a campaign', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  it('runs its budget of trials and returns the best one', async () => {
    const system = createScriptedDriver('local');
    const worker = await engine.startWorker({ local: system.driver });
    const result = await engine.run(spec(), 'plain-1');
    expect(result).toMatchObject({ status: 'completed', counts: { total: 12, completed: 12, failed: 0 } });
    const rows = (await engine.client.workflow.getHandle('plain-1').query(trialsQuery)).rows;
    expect(rows).toHaveLength(12);
    expect(result.best?.values[0]).toBe(Math.max(...rows.map((row) => row.values?.[0] ?? 0)));
    expect(await engine.client.workflow.getHandle('plain-1').query(bestQuery, 3)).toHaveLength(3);
    expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
    expect(system.seen.closed).toEqual(['plain-1']);
    worker.shutdown();
    await worker.finished;
  });

  it('refuses a bad specification at once, with every problem, and never retries', async () => {
    const worker = await engine.startWorker({ local: createScriptedDriver('local').driver });
    const failure = await engine
      .run(spec({ max_iteratons: 3, budget: { trials: -1 } }), 'bad-1')
      .catch((error: Error) => error.cause as Error);
    expect((failure as Error).message).toContain('max_iteratons');
    expect((failure as Error).message).toContain('budget.trials');
    worker.shutdown();
    await worker.finished;
  });

  it('with a warm start begins where the earlier one ended, and counts only trials of its own', async () => {
    const worker = await engine.startWorker({ local: createScriptedDriver('local').driver });
    const warm_start = Array.from({ length: 12 }, (_, i) => ({ params: { x: i / 12 }, values: { x: i / 12 } }));
    const result = await engine.run(spec({ sampler: 'auto', warm_start, budget: { trials: 4 }, concurrency: 2 }), 'warm-1');
    expect(result).toMatchObject({ status: 'completed', counts: { total: 4, completed: 4 } });
    const handle = engine.client.workflow.getHandle('warm-1');
    const { rows } = await handle.query(trialsQuery);
    expect(rows.map(({ number, origin }) => [number, origin])).toEqual([1, 2, 3, 4].map((number) => [number, 'gp']));
    // Without it, the first points are a design over the whole of 0 to 1.
    expect(rows[0]?.params.x).toBeGreaterThan(0.85);
    expect((await handle.query(describeQuery)).provenance.warm_start).toBe('12 results of earlier campaigns');
    worker.shutdown();
    await worker.finished;
  });

  it('ends when the model leaves no more to gain than stop.regret_bound allows, and starts nothing after that', async () => {
    const worker = await engine.startWorker({ local: createScriptedDriver('local').driver });
    const result = await engine.run(
      spec({ sampler: 'auto', stop: { regret_bound: 0.05 }, budget: { trials: 80 }, concurrency: 3 }),
      'regret-1',
    );
    expect(result.stopReason).toMatch(
      /^By the model no point is more than 0\.0\d+ better than the best, within the 0\.05 that stop\.regret_bound allows\.$/,
    );
    expect(result).toMatchObject({ status: 'completed' });
    expect(result.counts.completed).toBe(result.counts.total);
    expect(result.counts.total).toBeGreaterThanOrEqual(20);
    expect(result.counts.total).toBeLessThan(60);
    // The best point of all is x = 1.
    expect(result.best?.values[0]).toBeGreaterThan(0.95);
    const { regretBound } = await engine.client.workflow.getHandle('regret-1').query(statusQuery);
    expect(regretBound).toBeLessThanOrEqual(0.05);
    worker.shutdown();
    await worker.finished;
  });

  it('pauses, resumes, takes points, concurrency and budget while it runs', async () => {
    const system = createScriptedDriver('local', { runMs: 300 });
    const worker = await engine.startWorker({ local: system.driver });
    await engine.start(spec({ budget: { trials: 30 }, concurrency: 4 }), 'steer-1');
    const handle = engine.client.workflow.getHandle('steer-1');
    await eventually(async () => (await handle.query(statusQuery)).counts.completed >= 2);
    await expect(handle.executeUpdate('pause')).resolves.toContain('paused');
    await eventually(async () => (await handle.query(statusQuery)).inFlight.length === 0);
    const paused = await handle.query(statusQuery);
    expect(paused.phase).toBe('paused');
    await expect(handle.executeUpdate('enqueue', { args: [{ x: 7 }] })).rejects.toThrow();
    await handle.executeUpdate('enqueue', { args: [[{ x: 0.25 }, { x: 0.75 }]] });
    await handle.executeUpdate('setBudget', { args: [{ trials: paused.counts.total + 3 }] });
    await handle.executeUpdate('setConcurrency', { args: [2] });
    await handle.signal('resume');
    const result = (await handle.result()) as { counts: { total: number } };
    expect(result.counts.total).toBe(paused.counts.total + 3);
    const rows = (await handle.query(trialsQuery)).rows;
    expect(rows.slice(paused.counts.total, paused.counts.total + 2).map((row) => [row.params.x, row.origin])).toEqual([
      [0.25, 'user'],
      [0.75, 'user'],
    ]);
    worker.shutdown();
    await worker.finished;
  });
});
