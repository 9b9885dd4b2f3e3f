import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CampaignResult } from '../../workflows/messages.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('a campaign that is asked to end while it is prepared', () => {
  let engine: Engine;
  const system = createScriptedDriver('local');
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
});
