import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { CampaignResult } from '../../workflows/messages.ts';
import { setBudgetUpdate, setConcurrencyUpdate, statusQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

/** Milliseconds of a trial that ends only when the test lets it. */
const HELD = 3_600_000;

/** What people say to a campaign while it is busy with something else, twice, or against what they said before. */
describe('a campaign that is steered at odd moments', () => {
  let engine: Engine;
  let staged = Promise.resolve();
  let runMs = 20;
  const system = createScriptedDriver('local', { runMs: () => runMs });
  beforeAll(async () => {
    engine = await startEngine();
    const prepareLaunch: typeof system.driver.prepareLaunch = async (...order) => {
      await staged;
      return system.driver.prepareLaunch(...order);
    };
    await engine.startWorker({ local: { ...system.driver, prepareLaunch } });
  });
  afterAll(() => engine.close());

  const begin = async (id: string, change: object) => {
    await engine.start(specification(change), id);
    return engine.client.workflow.getHandle(id);
  };
  const replays = async (id: string) => {
    const history = await engine.client.workflow.getHandle(id).fetchHistory();
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, history, id);
  };

  it('keeps what it is told while its code is staged', async () => {
    let release: () => void = () => undefined;
    staged = new Promise((resolve) => {
      release = resolve;
    });
    const handle = await begin('told-early', { budget: { trials: 40 }, concurrency: 1 });
    await eventually(async () => /staging code/.test((await engine.status('told-early')).headline));
    expect(await handle.executeUpdate(setConcurrencyUpdate, { args: [3] })).toBe('at most 3 trials in flight');
    await handle.executeUpdate(setBudgetUpdate, { args: [{ trials: 6 }] });
    expect(await handle.executeUpdate('pause')).toBe('paused as soon as its code is staged');
    expect((await engine.status('told-early')).headline).toMatch(/, then paused as asked$/);
    release();
    await eventually(async () => (await engine.status('told-early')).phase === 'paused');
    expect(await engine.status('told-early')).toMatchObject({ concurrency: 3, budget: { trials: 6 } });
    await handle.executeUpdate('resume');
    expect(((await handle.result()) as CampaignResult).counts).toMatchObject({ total: 6, completed: 6 });
    await replays('told-early');
  });

  it('never goes back from an end, and says what it does instead', async () => {
    runMs = HELD;
    const handle = await begin('contrary', { budget: { trials: 40 }, concurrency: 4 });
    await eventually(async () => (await engine.status('contrary')).inFlight.length === 4);
    expect(await handle.executeUpdate('pause')).toBe('paused; 4 in flight go on');
    expect(await handle.executeUpdate('drain', { args: ['enough'] })).toBe('draining; 4 in flight will finish');
    expect(await handle.executeUpdate('resume')).toBe('not paused (draining)');
    expect(await handle.executeUpdate('pause')).toBe('not running (draining), nothing to pause');
    await expect(handle.executeUpdate(setConcurrencyUpdate, { args: [9] })).rejects.toThrow();
    expect(await handle.executeUpdate('stop', { args: ['now'] })).toBe('stopping; 4 in flight are ended');
    expect(await handle.executeUpdate('stop')).toBe('stopping; 4 in flight are ended');
    expect(await handle.executeUpdate('drain')).toBe('already stopping: now (before that: enough)');
    const result = (await handle.result()) as CampaignResult;
    expect(result).toMatchObject({
      status: 'stopped',
      stopReason: 'now (before that: enough)',
      counts: { total: 4, completed: 0, cancelled: 4 },
    });
    runMs = 20;
    await replays('contrary');
  });

  it('that is stopped and then cancelled is cancelled, once', async () => {
    runMs = HELD;
    const handle = await begin('both', { budget: { trials: 40 }, concurrency: 4 });
    await eventually(async () => (await engine.status('both')).inFlight.length === 4);
    await handle.signal('stop', 'first');
    await handle.cancel();
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(system.seen.closed.filter((id) => id === 'both')).toEqual(['both']);
    runMs = 20;
    await replays('both');
  });

  it('that drains and is cancelled says so, and that it had been drained before', async () => {
    runMs = HELD;
    const handle = await begin('given-up', { budget: { trials: 40 }, concurrency: 2 });
    await eventually(async () => (await engine.status('given-up')).inFlight.length === 2);
    expect(await handle.executeUpdate('drain')).toBe('draining; 2 in flight will finish');
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    const said = 'cancelled by the user (before that: drained by the user)';
    expect(await handle.query(statusQuery)).toMatchObject({ phase: 'ended', headline: said, stopReason: said, counts: { cancelled: 2 } });
    runMs = 20;
    await replays('given-up');
  });

  it('that drains has no more time than its budget gives', async () => {
    runMs = HELD;
    const handle = await begin('out-of-time', { budget: { trials: 40 }, concurrency: 2 });
    await eventually(async () => (await engine.status('out-of-time')).inFlight.length === 2);
    const { elapsedSeconds } = await handle.query(statusQuery);
    const wallSeconds = Math.ceil(elapsedSeconds) + 15;
    await handle.executeUpdate(setBudgetUpdate, { args: [{ wallSeconds }] });
    expect(await handle.executeUpdate('drain')).toBe('draining; 2 in flight will finish');
    const result = (await handle.result()) as CampaignResult;
    const stopReason = `The campaign has run for its ${wallSeconds} seconds of wall time (before that: drained by the user)`;
    expect(result).toMatchObject({ status: 'stopped', stopReason, counts: { total: 2, cancelled: 2 } });
    expect(result.elapsedSeconds).toBeGreaterThanOrEqual(wallSeconds);
    runMs = 20;
    await replays('out-of-time');
  });

  it('with a budget below what has run finishes what runs, and refuses limits that have passed', async () => {
    runMs = 400;
    const handle = await begin('less', { budget: { trials: 400 }, concurrency: 4 });
    await eventually(async () => (await engine.status('less')).counts.completed >= 6);
    const past = { deadline: new Date(Date.now() - 60_000).toISOString() };
    await expect(handle.executeUpdate(setBudgetUpdate, { args: [past] })).rejects.toThrow();
    await expect(handle.executeUpdate(setBudgetUpdate, { args: [{ wallSeconds: 0.001 }] })).rejects.toThrow();
    expect((await engine.status('less')).phase).toBe('running');
    runMs = HELD;
    const { counts } = await handle.query(statusQuery);
    await handle.executeUpdate(setBudgetUpdate, { args: [{ trials: 2 }] });
    runMs = 20;
    const result = (await handle.result()) as CampaignResult;
    expect(result).toMatchObject({ status: 'completed', counts: { cancelled: 0, failed: 0 } });
    expect(result.counts.total).toBeLessThanOrEqual(counts.total + 4);
    await replays('less');
  });
});
