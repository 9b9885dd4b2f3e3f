import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trialWorkflowId } from '../../src/domain/ids.ts';
import type { RunningWorkers } from '../../src/worker.ts';
import { type CampaignResult, statusQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('spacing between submissions', () => {
  let engine: Engine;
  let worker: RunningWorkers;
  const { driver } = createScriptedDriver('local', { description: { slotsPerPilot: 20 } });
  beforeAll(async () => {
    engine = await startEngine();
    worker = await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  /** Seconds between the starts of a campaign's trials, by the server's clock. */
  async function gapsOf(id: string, trials: number): Promise<number[]> {
    const starts: number[] = [];
    for (let number = 1; number <= trials; number += 1) {
      const { startTime } = await engine.client.workflow.getHandle(trialWorkflowId(id, number)).describe();
      starts.push(startTime.getTime() / 1000);
    }
    return starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
  }

  it('of half a second means two a second at most, though every place is free', async () => {
    const result = await engine.run(specification({ budget: { trials: 6 }, concurrency: 6, spacing: 0.5 }), 'rate-1');
    expect(result.counts.completed).toBe(6);
    for (const gap of await gapsOf('rate-1', 6)) expect(gap).toBeGreaterThanOrEqual(0.5);
  });

  it('is durable: a worker that was away in between changes nothing', async () => {
    await engine.start(specification({ budget: { trials: 3 }, concurrency: 3, spacing: 4 }), 'durable-1');
    const handle = engine.client.workflow.getHandle('durable-1');
    await eventually(async () => (await handle.query(statusQuery)).counts.total === 2);
    worker.shutdown();
    await worker.finished;
    worker = await engine.startWorker({ local: driver });
    const result = (await handle.result()) as CampaignResult;
    expect(result.counts.completed).toBe(3);
    const gaps = await gapsOf('durable-1', 3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4);
  });

  it('keeps no stop rule waiting: nothing more is started once the target is reached', async () => {
    const enqueue = [{ x: 0.2 }, { x: 0.99 }, { x: 0.5 }, { x: 0.6 }];
    const objective = { metric: 'x', direction: 'maximize', target: 0.9 };
    const result = await engine.run(
      specification({ budget: { trials: 40 }, concurrency: 40, spacing: 1.5, enqueue, objective }),
      'target-1',
    );
    expect(result.stopReason).toContain('0.9');
    expect(result.counts.total).toBe(2);
  });

  it('keeps nobody waiting who stops the campaign', async () => {
    await engine.start(specification({ budget: { trials: 40 }, concurrency: 40, spacing: 3600 }), 'stop-1');
    const handle = engine.client.workflow.getHandle('stop-1');
    await eventually(async () => (await handle.query(statusQuery)).counts.completed === 1);
    await handle.signal('stop');
    expect(await handle.result()).toMatchObject({ status: 'stopped', counts: { total: 1, completed: 1 } });
  });
});
