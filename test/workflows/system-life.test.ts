import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemWorkflowId, TASK_QUEUE } from '../../src/domain/ids.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

/** A system's workflow is terminated and somebody else brings it back before its campaigns have noticed: what only the old one knew is lost. */
describe('a system that somebody else has brought back', () => {
  let engine: Engine;
  beforeEach(async () => {
    engine = await startEngine();
  });
  afterEach(() => engine.close());

  /** A system in memory whose sends can be held back: what is submitted meanwhile is known to the system's workflow alone. */
  function holdableSystem(runMs: number) {
    let isHeld = false;
    let refused = 0;
    const system = createScriptedDriver('local', {
      runMs,
      before: (call) => {
        if (!isHeld || call !== 'send') return;
        refused += 1;
        throw new Error('the network is down');
      },
    });
    return {
      system,
      hold: () => {
        refused = 0;
        isHeld = true;
      },
      isRefusing: () => refused > 0,
      release: () => {
        isHeld = false;
      },
    };
  }
  const terminateSystem = () => engine.client.workflow.getHandle(systemWorkflowId('local')).terminate('test');

  it('is given again what a campaign had submitted to the one before', async () => {
    const { system, hold, isRefusing, release } = holdableSystem(300);
    await engine.startWorker({ local: system.driver });
    await engine.start(specification({ budget: { trials: 6 }, concurrency: 2 }), 'first');
    await eventually(async () => (await engine.status('first')).counts.completed >= 1);
    hold();
    await eventually(isRefusing);
    await terminateSystem();
    release();
    const other = await engine.run(specification({ budget: { trials: 1 } }), 'other');
    expect(other.counts.completed).toBe(1);
    const result = (await engine.client.workflow.getHandle('first').result()) as typeof other;
    expect(result.counts.completed).toBe(6);
    expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
  });

  it('is asked again to stop what runs', async () => {
    const { system, hold, isRefusing, release } = holdableSystem(600_000);
    await engine.startWorker({ local: system.driver });
    await engine.start(specification({ budget: { trials: 2 }, concurrency: 2 }), 'stopped');
    await eventually(() => system.running.size === 2);
    hold();
    await engine.client.workflow.getHandle('stopped').signal('stop');
    await eventually(isRefusing);
    await terminateSystem();
    await engine.client.workflow.start('computeSystem', {
      taskQueue: TASK_QUEUE,
      workflowId: systemWorkflowId('local'),
      args: [{ name: 'local', hasSearchAttributes: false }],
    });
    release();
    const result = (await engine.client.workflow.getHandle('stopped').result()) as { counts: { cancelled: number } };
    expect(result.counts.cancelled).toBe(2);
    expect(system.seen.stopped.sort()).toEqual(['stopped:trial-0001.1', 'stopped:trial-0002.1']);
    expect(system.running.size).toBe(0);
    expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
  });
});
