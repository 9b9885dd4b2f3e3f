import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import type { CampaignResult } from '../../workflows/messages.ts';
import { trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

/** `temporal workflow reset`, or the button of the Web UI: the campaign's workflow goes back to an earlier point of its history. */
describe('a campaign that somebody resets', () => {
  let engine: Engine;
  beforeEach(async () => {
    engine = await startEngine();
  });
  afterEach(() => engine.close());

  it.each(['LastWorkflowTask', 'FirstWorkflowTask'])('to its %s adopts the trials that run, and runs none twice', async (point) => {
    let runMs = 400;
    const system = createScriptedDriver('local', { runMs: () => runMs });
    await engine.startWorker({ local: system.driver });
    await engine.start(specification({ budget: { trials: 16 }, concurrency: 4 }), 'again');
    await eventually(async () => (await engine.status('again')).counts.completed >= 5);
    // What runs goes on until the reset is done: a campaign that was over by then would have closed its launch.
    runMs = 3_600_000;
    const words = ['workflow', 'reset', '--workflow-id', 'again', '--type', point, '--reason', 'test', '--address', engine.server.address];
    await promisify(execFile)(inject('temporalBinary'), words);
    runMs = 400;
    const handle = engine.client.workflow.getHandle('again');
    const { counts } = (await handle.result()) as CampaignResult;
    expect(counts).toMatchObject({ total: 16, completed: 16 });
    expect(Object.keys(system.starts)).toHaveLength(16);
    expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
    const { rows } = await handle.query(trialsQuery);
    for (const row of rows) expect(row.values).toEqual([row.params.x]);
  });
});
