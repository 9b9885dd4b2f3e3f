import type { WorkflowFailedError } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type CampaignResult, statusQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import type { Script } from '../support/scripted-driver.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

const error = { class: 'exit_code', message: 'The training command ended with exit code 1.', evidence: "NameError: name 'modle'" } as const;
const failing: Script['end'] = () => ({ status: 'failed', values: null, error });

describe('a campaign whose first trials all fail alike', () => {
  let engine: Engine;
  let isMended = false;
  let runMs = 20;
  const system = createScriptedDriver('local', {
    description: { slotsPerPilot: 12 },
    runMs: () => runMs,
    end: (...trial) => (isMended ? {} : failing(...trial)),
  });
  const spec = (change: object = {}) => specification({ budget: { trials: 40 }, concurrency: 2, ...change });
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ local: system.driver });
  });
  afterAll(() => engine.close());

  it('ends as failed when ten have used up their own attempts, with class, last lines, cost and next step; and replays', async () => {
    isMended = false;
    const caught = (await engine.run(spec(), 'alike-1').catch((cause: unknown) => cause)) as WorkflowFailedError;
    const failure = caught.cause as ApplicationFailure;
    const [result] = failure.details as [CampaignResult];
    expect(result.status).toBe('failed');
    // What ran beside the tenth is ended.
    expect(result.counts.failed).toBeGreaterThanOrEqual(10);
    expect(result.counts.total).toBeLessThanOrEqual(12);
    expect(failure.message).toContain('all failed with exit_code: The training command ended with exit code 1. ');
    expect(failure.message).toMatch(/1\d of 40 trials and .* of training are spent\. Mend it, then start anew with `holdfast run FILE`/);
    expect(failure.message).toMatch(/\nLast lines of trial 1:\nNameError: name 'modle'$/);
    expect(result.lastWords).toEqual({ number: 1, lines: ["NameError: name 'modle'"] });
    for (const number of ['0001', '0010']) expect(system.starts[`alike-1:trial-${number}.2`]).toBe(1);
    const handle = engine.client.workflow.getHandle('alike-1');
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, await handle.fetchHistory(), 'alike-1');
  });

  it('spends its whole budget when the file says so', async () => {
    isMended = false;
    const source = spec({ budget: { trials: 14 }, stop: { failures_alike: 0 }, retries: { trial: 0 } });
    await expect(engine.run(source, 'alike-2')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('No trial completed (14 failed)') },
    });
  });

  it('waits while it is paused, and judges anew what comes after resume', async () => {
    isMended = false;
    runMs = 3_600_000;
    await engine.start(spec({ budget: { trials: 24 }, concurrency: 12, stop: { failures_alike: 11 }, retries: { trial: 0 } }), 'alike-3');
    const handle = engine.client.workflow.getHandle('alike-3');
    await eventually(async () => (await handle.query(statusQuery)).counts.total === 12);
    await handle.executeUpdate('pause');
    runMs = 20;
    await eventually(async () => (await handle.query(statusQuery)).inFlight.length === 0);
    const { counts, phase } = await handle.query(statusQuery);
    expect(phase).toBe('paused');
    expect(counts.failed).toBe(12);
    isMended = true;
    await handle.executeUpdate('resume');
    expect(await handle.result()).toMatchObject({ status: 'completed', counts: { failed: 12, completed: 12 } });
  });
});
