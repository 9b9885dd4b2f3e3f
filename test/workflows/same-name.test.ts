import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DoneRecord } from '../../src/domain/spool.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { trialQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

const LOST: Partial<DoneRecord> = { status: 'failed', values: null, error: { class: 'lost', message: 'the node died' } };

/** Somebody terminates a campaign's workflow and starts one of the same name: nothing of the first may pass for the second's. */
describe('a campaign of the same name as one that was terminated', () => {
  let engine: Engine;
  beforeEach(async () => {
    engine = await startEngine();
  });
  afterEach(() => engine.close());

  const start = (seed: number, concurrency = 4) =>
    engine.start(specification({ budget: { trials: 8 }, concurrency, sampler: { type: 'random', seed } }), 'twice');

  /** Every result belongs to the parameters that it stands beside. */
  async function expectItsOwnResults(): Promise<void> {
    const handle = engine.client.workflow.getHandle('twice');
    const { counts } = (await handle.result()) as CampaignResult;
    expect(counts).toMatchObject({ total: 8, completed: 8 });
    const { rows } = await handle.query(trialsQuery);
    for (const row of rows) expect(row.values).toEqual([row.params.x]);
  }

  // At once; and when the system has noticed by itself that the first is gone.
  it.each([0, 11_000])('%s ms before begins when what ran of that one has ended', async (pauseMs) => {
    let runMs = 600_000;
    const system = createScriptedDriver('local', { runMs: () => runMs });
    await engine.startWorker({ local: system.driver });
    await start(1);
    await eventually(() => system.running.size === 4);
    await engine.client.workflow.getHandle('twice').terminate('test');
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    runMs = 100;
    await start(2);
    await expectItsOwnResults();
    expect(system.running.size).toBe(0);
  });

  it('puts its own trials in the place of those that wait for another attempt, and sends away what such a one submits', async () => {
    let losses = 0;
    let isFirst = true;
    const end = () => {
      if (!isFirst) return {};
      losses += 1;
      return LOST;
    };
    const system = createScriptedDriver('local', { runMs: () => (isFirst ? 20 : 2_500), end });
    await engine.startWorker({ local: system.driver });
    await start(1, 8);
    // Each is lost twice, and then waits ten seconds. The second campaign has come to some of the eight by then.
    await eventually(() => losses === 16);
    await engine.client.workflow.getHandle('twice').terminate('test');
    isFirst = false;
    await start(2, 1);
    const last = engine.client.workflow.getHandle('twice/trial-0008');
    await eventually(async () => (await last.describe()).status.name !== 'RUNNING', 60, 'the end of the last trial of the first');
    expect((await last.query(trialQuery)).outcome?.state).toBe('cancelled');
    await expectItsOwnResults();
    expect(Object.keys(system.starts).filter((key) => key.endsWith('.3'))).toEqual([]);
  });
});
