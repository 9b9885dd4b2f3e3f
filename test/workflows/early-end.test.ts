import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { withAbsence } from '../../src/cli/absent-worker.ts';
import { DriverError } from '../../src/systems/driver.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('a campaign that is asked to end while it is prepared', () => {
  let engine: Engine;
  let isLoggedIn = true;
  let asked = 0;
  let prepared = 0;
  const system = createScriptedDriver('local', {
    before: (call) => {
      asked += 1;
      if (call === 'prepare') prepared += 1;
      if (!isLoggedIn) throw new DriverError('needs_login', 'HF-SSH-LOGIN', 'there is no master connection');
    },
  });
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ local: system.driver });
  });
  afterAll(() => engine.close());

  it.each(['drain', 'stop'])('by %s prepares nothing, starts no trial and ends', async (signal) => {
    const order = { taskQueue: 'holdfast', workflowId: `early-${signal}`, args: [specification({ budget: { trials: 12 } })], signal };
    const handle = await engine.client.workflow.signalWithStart('hpoCampaign', { ...order, signalArgs: ['not now'] });
    const result = (await handle.result()) as CampaignResult;
    expect(result).toMatchObject({ stopReason: 'not now', counts: { total: 0 } });
    expect(prepared).toBe(0);
    expect(Object.keys(system.starts)).toEqual([]);
  });

  it('by a cancellation too, and is cancelled', async () => {
    const order = { taskQueue: 'holdfast', workflowId: 'early-cancel', args: [specification({ budget: { trials: 12 } })] };
    const handle = await engine.client.workflow.start('hpoCampaign', order);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    // What its worker had begun to prepare is closed.
    expect(system.seen.closed).toHaveLength(prepared);
    expect(Object.keys(system.starts)).toEqual([]);
  });

  it.each(['drain', 'stop', 'cancel'])(
    'by %s while it waits for its first login ends without it, and asks the system no more',
    async (how) => {
      isLoggedIn = false;
      const id = `waits-${how}`;
      await engine.start(specification({ budget: { trials: 12 } }), id);
      const problems = () => engine.status(id).then((status) => status.problems);
      expect(await eventually(async () => (await problems()).length > 0 && problems())).toEqual([
        expect.stringContaining('holdfast login local'),
      ]);
      const handle = engine.client.workflow.getHandle(id);
      const before = asked;
      if (how === 'cancel') await handle.cancel();
      else await handle.signal(how, 'not now');
      const end = await handle.result().then(
        (result) => (result as CampaignResult).stopReason,
        (error: Error) => (error.cause as Error).name,
      );
      expect(end).toBe(how === 'cancel' ? 'CancelledFailure' : 'not now');
      expect(asked).toBe(before);
      expect(await problems()).toEqual([]);
    },
  );
});

describe('a campaign on a system that no worker holds', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ another: createScriptedDriver('another').driver });
  });
  afterAll(() => engine.close());

  it.each(['drain', 'stop', 'cancel'])('ends by %s at once', async (how) => {
    const id = `nobody-${how}`;
    await engine.start(specification({ budget: { trials: 12 } }), id);
    const handle = engine.client.workflow.getHandle(id);
    await eventually(async () => (await handle.describe()).raw.pendingActivities?.length === 1);
    const { headline, problems } = await withAbsence(engine.client, await engine.status(id));
    expect(headline).toMatch(/staging code on local \(waits for its worker/);
    expect(problems).toEqual([expect.stringContaining('holdfast worker --systems local')]);
    const asked = Date.now();
    if (how === 'cancel') await handle.cancel();
    else await handle.signal(how, 'not now');
    const end = await handle.result().then(
      (result) => (result as CampaignResult).stopReason,
      (error: Error) => (error.cause as Error).name,
    );
    expect(end).toBe(how === 'cancel' ? 'CancelledFailure' : 'not now');
    // Of a wait for the worker nobody would see the end; on a loaded computer a moment may be long.
    expect(Date.now() - asked).toBeLessThan(60_000);
    expect((await withAbsence(engine.client, await engine.status(id))).problems).toEqual([]);
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, await handle.fetchHistory(), id);
  });
});
