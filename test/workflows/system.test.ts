import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { systemWorkflowId } from '../../src/domain/ids.ts';
import { DriverError } from '../../src/systems/driver.ts';
import { loginDoneSignal, statusQuery, systemQuery, trialsQuery } from '../../workflows/messages.ts';
import { cli } from '../support/cli.ts';
import { atRest, type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver, type Script } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

const spec = (change: object = {}) => specification({ budget: { trials: 8 }, ...change });

describe('a system', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  /** One worker, one scripted system; every test has a server-wide fresh system workflow because it ends the old one first. */
  async function withSystem<T>(script: Script, work: (system: ReturnType<typeof createScriptedDriver>) => Promise<T>): Promise<T> {
    await engine.client.workflow
      .getHandle(systemWorkflowId('local'))
      .terminate('next test')
      .catch(() => undefined);
    const system = createScriptedDriver('local', script);
    const worker = await engine.startWorker({ local: system.driver });
    try {
      return await work(system);
    } finally {
      worker.shutdown();
      await worker.finished;
    }
  }
  const systemStatus = () => engine.client.workflow.getHandle(systemWorkflowId('local')).query(systemQuery);

  it('whose login has ended waits without trying again, says so once, and goes on after loginDone', async () => {
    let isLoggedIn = false;
    let refused = 0;
    const before: Script['before'] = (call) => {
      if (isLoggedIn || call === 'prepare') return;
      refused += 1;
      throw new DriverError('needs_login', 'HF-SSH-LOGIN', 'the master connection is gone');
    };
    await withSystem({ before }, async (system) => {
      await engine.start(spec(), 'login-1');
      const parked = await eventually(async () => {
        const status = await systemStatus();
        return status.login.kind === 'needs_login' && status;
      });
      expect(parked.headline).toContain('holdfast login local');
      const problems = await eventually(async () => {
        const status = await engine.status('login-1');
        return status.problems.length > 0 && status.problems;
      });
      expect(problems.join(' ')).toContain('needs a login');
      await atRest(() => refused, 1500);
      isLoggedIn = true;
      await engine.client.workflow.getHandle(systemWorkflowId('local')).signal(loginDoneSignal);
      const result = (await engine.client.workflow.getHandle('login-1').result()) as { counts: { completed: number } };
      expect(result.counts.completed).toBe(8);
      expect(Object.values(system.starts)).toEqual(Array(8).fill(1));
    });
  });

  it('stops submitting after three pilots that ended without one finished trial, and goes on when the breaker is reset', async () => {
    let isMended = false;
    await withSystem({ runMs: 5_000, description: { maxPilots: 1 } }, async (system) => {
      await engine.start(spec({ budget: { trials: 4 } }), 'breaker-1');
      const reaper = setInterval(() => {
        if (isMended) return;
        for (const pilot of system.pilots.values()) {
          if (pilot.state === 'ended') continue;
          for (const key of [...system.running.keys()]) {
            const trial = system.running.get(key);
            system.running.delete(key);
            if (trial) system.ready.push(trial);
          }
          system.endPilot(pilot.pilot, { kind: 'failed', message: 'module not found: frameworks' });
        }
      }, 100);
      const open = await eventually(async () => {
        const status = await systemStatus();
        return status.breaker.open && status;
      });
      expect(open.breaker.evidence.join(' ')).toContain('module not found');
      const started = system.seen.pilotStarts;
      expect(started).toBe(3);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(system.seen.pilotStarts).toBe(started);
      isMended = true;
      clearInterval(reaper);
      vi.stubEnv('TEMPORAL_ADDRESS', engine.server.address);
      onTestFinished(() => void vi.unstubAllEnvs());
      expect((await cli('status', 'breaker-1')).out).toContain('then run: holdfast systems reset local');
      expect(await cli('systems', 'reset', 'local')).toMatchObject({ exit: 0, out: expect.stringContaining('module not found') });
      expect((await cli('systems', 'reset', 'local')).out).toContain('closed; nothing was done');
      const result = (await engine.client.workflow.getHandle('breaker-1').result()) as { counts: { completed: number } };
      expect(result.counts.completed).toBe(4);
    });
  });

  it('waits out a site that refuses further jobs, and charges nobody', async () => {
    const startPilot: Script['startPilot'] = (_request, call) =>
      call <= 2
        ? { kind: 'wait', message: "would exceed queue debug's per-user limit", retrySeconds: 0.2 }
        : { kind: 'started', nativeId: `${call}.server` };
    await withSystem({ startPilot, description: { maxPilots: 1 } }, async (system) => {
      const result = await engine.run(spec(), 'wait-1');
      expect(result.counts).toMatchObject({ completed: 8, failed: 0 });
      expect(system.seen.pilotStarts).toBeGreaterThanOrEqual(3);
    });
  });

  it('gives a lost attempt a second one from the infrastructure budget, and a bad training only its own', async () => {
    const end: Script['end'] = (trial, attempt) => {
      if (trial === 'trial-0001' && attempt === 1)
        return { status: 'failed', values: null, error: { class: 'lost', message: 'the node died' } };
      if (trial === 'trial-0002') return { status: 'failed', values: null, error: { class: 'exit_code', message: 'exit 3' } };
      return {};
    };
    await withSystem({ end }, async (system) => {
      const result = await engine.run(spec(), 'retry-1');
      expect(result.counts).toMatchObject({ completed: 7, failed: 1 });
      const rows = (await engine.client.workflow.getHandle('retry-1').query(trialsQuery)).rows;
      expect(rows[0]).toMatchObject({ state: 'completed', attempts: 2 });
      expect(rows[1]).toMatchObject({ state: 'failed', attempts: 2, failure: { class: 'exit_code' } });
      expect(Object.entries(system.starts).filter(([, count]) => count !== 1)).toEqual([]);
    });
  });

  it('plans pilots within the node-hours as they stand after a change of the budget', async () => {
    const description = { slotsPerPilot: 1, nodesPerPilot: 1, maxPilots: 2, prefetch: 0, walltimeSeconds: 3600 };
    await withSystem({ description, runMs: 1500 }, async (system) => {
      const id = 'hours-1';
      await engine.start(spec({ budget: { trials: 8, node_hours: 1 }, concurrency: 2 }), id);
      const handle = engine.client.workflow.getHandle(id);
      await eventually(async () => (await handle.query(statusQuery)).counts.completed >= 1, 60, 'a finished trial');
      expect(system.seen.pilotStarts).toBe(1);
      await handle.executeUpdate('setBudget', { args: [{ nodeHours: 2 }] });
      await eventually(() => system.seen.pilotStarts === 2, 60, 'a second pilot');
      expect(await handle.result()).toMatchObject({ status: 'completed', counts: { completed: 8 } });
    });
  });

  it('shares its slots between two campaigns', async () => {
    await withSystem({ runMs: 200, description: { kind: 'local', slotsPerPilot: 4, prefetch: 0 } }, async (system) => {
      const campaigns = ['share-a', 'share-b'];
      for (const id of campaigns) await engine.start(spec({ budget: { trials: 16 }, concurrency: 8 }), id);
      const mixes: string[] = [];
      const watch = setInterval(
        () =>
          mixes.push(
            [...system.running.values()]
              .map((trial) => trial.campaign.at(-1))
              .sort()
              .join(''),
          ),
        50,
      );
      await Promise.all(campaigns.map((id) => engine.client.workflow.getHandle(id).result()));
      clearInterval(watch);
      expect(mixes).toContain('aabb');
      expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
    });
  });

  it('ends what runs of a campaign that was terminated from outside', async () => {
    await withSystem({ runMs: 600_000 }, async (system) => {
      await engine.start(spec({ budget: { trials: 4 } }), 'orphans-1');
      await eventually(() => system.running.size === 4);
      await engine.client.workflow.getHandle('orphans-1').terminate('test');
      await eventually(() => system.running.size === 0, 60, 'the end of what ran');
      expect(system.seen.closed).toEqual(['orphans-1']);
      await eventually(async () => {
        const { status } = await engine.client.workflow.getHandle('orphans-1/trial-0001').describe();
        return status.name === 'COMPLETED';
      });
    });
  });

  it('is brought back by its trials when somebody terminates its workflow', async () => {
    await withSystem({ runMs: 100 }, async (system) => {
      await engine.start(spec({ budget: { trials: 20 }, concurrency: 2 }), 'revive-1');
      await eventually(async () => (await engine.status('revive-1')).counts.completed >= 2);
      await engine.client.workflow.getHandle(systemWorkflowId('local')).terminate('test');
      const result = (await engine.client.workflow.getHandle('revive-1').result()) as { counts: { completed: number } };
      expect(result.counts.completed).toBe(20);
      expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
    });
  });

  it('is brought back by its campaign when nothing but running trials would notice its loss', async () => {
    await withSystem({ runMs: 4_000 }, async (system) => {
      await engine.start(spec({ budget: { trials: 4 } }), 'revive-2');
      await eventually(() => system.running.size === 4);
      await engine.client.workflow.getHandle(systemWorkflowId('local')).terminate('test');
      const result = (await engine.client.workflow.getHandle('revive-2').result()) as { counts: { completed: number } };
      expect(result.counts.completed).toBe(4);
      expect(Object.values(system.starts).every((count) => count === 1)).toBe(true);
    });
  });
});

describe('ending a campaign', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  it.each(['drain', 'stop', 'cancel'] as const)('%s leaves nothing running and still reports', async (how) => {
    const system = createScriptedDriver('local', { runMs: how === 'drain' ? 300 : 600_000 });
    const worker = await engine.startWorker({ local: system.driver });
    // A name of its own: a second try must not meet the first one's campaign.
    const id = `end-${how}-${Date.now()}`;
    onTestFinished(async () => {
      worker.shutdown();
      await worker.finished;
    });
    await engine.start(spec({ budget: { trials: 50 }, concurrency: 4 }), id);
    await eventually(() => system.running.size > 0);
    const handle = engine.client.workflow.getHandle(id);
    if (how === 'cancel') await handle.cancel();
    else await handle.signal(how);
    const end = await handle.result().then(
      () => 'returned',
      (error: Error) => (error.cause as Error).name,
    );
    expect(end).toBe(how === 'cancel' ? 'CancelledFailure' : how === 'stop' ? 'returned' : 'returned');
    expect(system.running.size + system.ready.length).toBe(0);
    expect(system.seen.closed).toEqual([id]);
    const status = await handle.query(statusQuery);
    expect(status.inFlight).toEqual([]);
    expect(status.phase).toBe('ended');
    if (how === 'drain') expect(status.counts.cancelled).toBe(0);
    else expect(status.counts.cancelled).toBeGreaterThan(0);
  });
});
