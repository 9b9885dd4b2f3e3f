import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CampaignResult, trialQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { doneRecord } from '../support/records.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('a result that comes after its attempt was given up', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  it('counts, once: the trial is complete, and the attempt that replaced it is stopped', async () => {
    const system = createScriptedDriver('local', {
      runMs: 8000,
      end: (trial, attempt) =>
        trial === 'trial-0001' && attempt === 1
          ? { status: 'failed', values: null, error: { class: 'lost', message: 'the node is silent' } }
          : {},
    });
    await engine.startWorker({ local: system.driver });
    // A second trial keeps the campaign going: its end would end whatever runs, the replacement too.
    await engine.start(specification({ budget: { trials: 2 }, concurrency: 1 }), 'late-1');
    const trial = engine.client.workflow.getHandle('late-1/trial-0001');
    await eventually(() => system.running.has('late-1:trial-0001.2'), 90, 'the second attempt');

    const record = doneRecord({ campaign: 'late-1', attempt: 1, values: [0.99] });
    await trial.signal('attemptEnded', { kind: 'record', record });
    // Told again, as a look does whose worker died: nothing changes.
    await trial.signal('attemptEnded', { kind: 'record', record: { ...record, values: [0.1] } }).catch(() => undefined);

    const result = (await engine.client.workflow.getHandle('late-1').result()) as CampaignResult;
    expect(result.counts).toMatchObject({ total: 2, completed: 2, failed: 0 });
    expect(result.best?.values).toEqual([0.99]);
    const { rows } = await engine.client.workflow.getHandle('late-1').query(trialsQuery);
    expect(rows.map((row) => [row.state, row.values])[0]).toEqual(['completed', [0.99]]);
    expect((await trial.query(trialQuery)).outcome).toMatchObject({ state: 'completed', values: [0.99] });
    expect([...system.seen.stopped, ...system.seen.withdrawn]).toEqual(['late-1:trial-0001.2']);
    expect(system.running.size).toBe(0);
  });
});
