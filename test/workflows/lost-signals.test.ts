import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrialOutcome } from '../../src/domain/trial.ts';
import type { TrialInput } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

describe('a signal that got lost', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  const trial: TrialInput = {
    campaign: 'ghost',
    number: 1,
    params: { x: 0.5 },
    origin: 'random',
    system: 'local',
    objectives: [{ metric: 'x', direction: 'maximize', reduce: 'result' }],
    retries: { infrastructure: 5, trial: 1 },
    graceSeconds: 1,
    hasSearchAttributes: false,
  };

  it('leaves no trial waiting for ever: a system that does not know an attempt says so when it is asked to end it', async () => {
    const { driver } = createScriptedDriver('local', { runMs: 600_000 });
    await engine.startWorker({ local: driver });
    // A campaign that keeps the system's workflow alive.
    await engine.start(specification({ budget: { trials: 1 } }), 'holder');
    const system = engine.client.workflow.getHandle('system/local');
    await eventually(async () => (await system.describe()).status.name === 'RUNNING');

    const campaigns = async () => (await system.query<{ campaigns: { campaign: string; queued: number }[] }>('system')).campaigns;
    const handle = await engine.client.workflow.start('hpoTrial', {
      taskQueue: 'holdfast',
      workflowId: 'ghost/trial-0001',
      args: [trial],
    });
    await eventually(async () => (await campaigns()).some(({ campaign, queued }) => campaign === 'ghost' && queued === 1));
    // The system forgets it, as when its word to the trial was lost.
    await system.signal('closeLaunch', { campaign: 'ghost' });
    await eventually(async () => (await campaigns()).every(({ campaign }) => campaign !== 'ghost'));
    await handle.signal('cancelTrial', { kind: 'cancel', reason: 'test' });
    expect(((await handle.result()) as TrialOutcome).state).toBe('cancelled');
    await engine.client.workflow.getHandle('holder').signal('stop');
    await engine.client.workflow.getHandle('holder').result();
  });
});
