import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DriverError } from '../../src/systems/driver.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('a campaign that is asked to end while it is prepared', () => {
  let engine: Engine;
  let isLoggedIn = true;
  let asked = 0;
  const system = createScriptedDriver('local', {
    before: () => {
      asked += 1;
      if (!isLoggedIn) throw new DriverError('needs_login', 'HF-SSH-LOGIN', 'there is no master connection');
    },
  });
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ local: system.driver });
  });
  afterAll(() => engine.close());

  it.each(['drain', 'stop'])('by %s starts no trial, closes its launch and ends', async (signal) => {
    const order = { taskQueue: 'holdfast', workflowId: `early-${signal}`, args: [specification({ budget: { trials: 12 } })], signal };
    const handle = await engine.client.workflow.signalWithStart('hpoCampaign', { ...order, signalArgs: ['not now'] });
    const result = (await handle.result()) as CampaignResult;
    expect(result).toMatchObject({ stopReason: 'not now', counts: { total: 0 } });
    expect(system.seen.closed).toContain(`early-${signal}`);
    expect(Object.keys(system.starts)).toEqual([]);
  });

  it('by a cancellation too, and is cancelled', async () => {
    const order = { taskQueue: 'holdfast', workflowId: 'early-cancel', args: [specification({ budget: { trials: 12 } })] };
    const handle = await engine.client.workflow.start('hpoCampaign', order);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(system.seen.closed).toContain('early-cancel');
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
