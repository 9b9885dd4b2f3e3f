import { ApplicationFailure } from '@temporalio/activity';
import { ApplicationFailureCategory } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createActivities } from '../../activities/index.ts';
import { systemTaskQueue } from '../../src/domain/ids.ts';
import type { Message } from '../../src/notify/send.ts';
import { DriverError } from '../../src/systems/driver.ts';
import {
  attemptEndedSignal,
  attemptStartedSignal,
  type CampaignResult,
  cancelTrialSignal,
  pauseSignal,
  systemNoticeSignal,
  type TrialInput,
  trialQuery,
} from '../../workflows/messages.ts';
import { quietRuntime } from '../support/quiet-runtime.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

quietRuntime();

/** scripts/time-skipping-server.mjs fetches it; without Java these tests are left out. */
const SERVER = process.env.HOLDFAST_TIME_SKIPPING_SERVER;
const HOUR = 3_600_000;

/** The SDK gives the server five seconds to start, which its Java may not keep on a busy machine. */
async function startServer(path: string, tries = 6): Promise<TestWorkflowEnvironment> {
  try {
    return await TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } });
  } catch (error) {
    if (tries === 1) throw error;
    return startServer(path, tries - 1);
  }
}

describe.skipIf(SERVER === undefined)('timers of hours and days', { timeout: 180_000 }, () => {
  let environment: TestWorkflowEnvironment;
  beforeAll(async () => {
    environment = await startServer(SERVER as string);
  });
  afterAll(() => environment?.teardown());

  const { driver, seen } = createScriptedDriver('local', {
    before: (call) => {
      if (call === 'prepare' && preparesLeft > 0) {
        preparesLeft -= 1;
        throw new DriverError('needs_login', 'HF-SSH-LOGIN', 'the master connection is gone');
      }
    },
  });
  let preparesLeft = 0;
  let submissions = 0;
  const told: string[] = [];

  /** Activities that ask often in real life ask once a day here: each skipped poll would cost real time. */
  const activities = {
    ...createActivities({ drivers: new Map([['local', driver]]), hasSearchAttributes: false, logger: pino({ level: 'silent' }), env: {} }),
    ensureSystem: async () => undefined,
    submitThroughClient: async () => {
      submissions += 1;
    },
    guardSystem: async () => {
      throw ApplicationFailure.create({ type: 'AllIsWell', nextRetryDelay: '1 day', category: ApplicationFailureCategory.BENIGN });
    },
    writeReport: async () => ({ path: 'report.html' }),
    notify: async ({ message }: { readonly message: Message }) => void told.push(message.text),
  };

  async function run<T>(work: () => Promise<T>): Promise<T> {
    const common = { connection: environment.nativeConnection, activities };
    const system = await Worker.create({ ...common, taskQueue: systemTaskQueue('local') });
    const main = await Worker.create({ ...common, taskQueue: 'holdfast', workflowBundle: { codePath: inject('bundleFile') } });
    return main.runUntil(system.runUntil(work));
  }

  const trial: TrialInput = {
    campaign: 'none',
    number: 1,
    params: { x: 0.5 },
    origin: 'random',
    system: 'local',
    objectives: [{ metric: 'x', direction: 'maximize', reduce: 'result' }],
    retries: { infrastructure: 5, trial: 1 },
    graceSeconds: 30,
    hasSearchAttributes: false,
  };

  it('a paused campaign ends by its wall time of three days, not before and not much later', async () => {
    await run(async () => {
      const handle = await environment.client.workflow.signalWithStart('hpoCampaign', {
        taskQueue: 'holdfast',
        workflowId: 'wall',
        args: [specification({ budget: { wall_time: '3d' } })],
        signal: pauseSignal,
        signalArgs: [],
      });
      const result = (await handle.result()) as CampaignResult;
      expect(result).toMatchObject({ status: 'stopped', counts: { total: 0 } });
      expect(result.stopReason).toContain('wall time');
      // The workflow's own clock: the server's may skip on to the next timer of anything else.
      const hours = (result.elapsedSeconds * 1000) / HOUR;
      expect(hours).toBeGreaterThanOrEqual(72);
      expect(hours).toBeLessThan(73);
    });
  });

  it('a launch whose login ended in the night is tried seldom, and goes on by itself once the login stands', async () => {
    preparesLeft = 12;
    await run(async () => {
      const handle = await environment.client.workflow.signalWithStart('hpoCampaign', {
        taskQueue: 'holdfast',
        workflowId: 'night',
        args: [specification({ budget: { wall_time: '3h' } })],
        signal: pauseSignal,
        signalArgs: [],
      });
      const result = (await handle.result()) as CampaignResult;
      expect(preparesLeft).toBe(0);
      expect((result.elapsedSeconds * 1000) / HOUR).toBeGreaterThanOrEqual(3);
      expect(seen.closed).toContain('night');
    });
  });

  it('a login that is missing for days is told once, then every twelve hours, and no more once somebody has logged in', async () => {
    told.length = 0;
    await run(async () => {
      const handle = await environment.client.workflow.signalWithStart('hpoCampaign', {
        taskQueue: 'holdfast',
        workflowId: 'weekend',
        args: [specification({ budget: { wall_time: '3d' }, notify: [{ command: ['true'], on: ['needs-login'] }] })],
        signal: pauseSignal,
        signalArgs: [],
      });
      await environment.sleep(HOUR);
      await handle.signal(systemNoticeSignal, { topic: 'login', text: 'system local needs a login.' });
      await environment.sleep(30 * HOUR);
      await handle.signal(systemNoticeSignal, { topic: 'login' });
      await handle.result();
      expect(told).toEqual([
        'system local needs a login.',
        'system local needs a login. It has waited for 12 h.',
        'system local needs a login. It has waited for 24 h.',
      ]);
    });
  });

  it('an attempt past its wall-clock limit is asked to stop by the durable timer when its agent does not', async () => {
    submissions = 0;
    await run(async () => {
      const handle = await environment.client.workflow.start('hpoTrial', {
        taskQueue: 'holdfast',
        workflowId: 'overdue/trial-0001',
        args: [{ ...trial, trialSeconds: 86_400 }],
      });
      await handle.signal(attemptStartedSignal, { attempt: 1, pilot: 'p', slot: 0 });
      await environment.sleep(23 * HOUR);
      expect(submissions).toBe(1);
      await environment.sleep(2 * HOUR);
      // There is no system here to take the stop, so the trial submits again, which is how a lost system learns of it.
      expect(submissions).toBeGreaterThan(1);
      await handle.signal(cancelTrialSignal, { kind: 'cancel', reason: 'test' });
      await handle.signal(attemptEndedSignal, { kind: 'withdrawn', attempt: 1 });
      expect(await handle.result()).toMatchObject({ state: 'cancelled' });
    });
  });

  it('attempts that are lost again and again wait longer each time, and the trial fails when its infrastructure budget is spent', async () => {
    await run(async () => {
      const handle = await environment.client.workflow.start('hpoTrial', {
        taskQueue: 'holdfast',
        workflowId: 'unlucky/trial-0001',
        args: [trial],
      });
      for (let attempt = 1; attempt <= 6; attempt += 1) {
        for (;;) {
          const view = await handle.query(trialQuery);
          if (view.attempt === attempt) break;
          await environment.sleep('1 second');
        }
        await handle.signal(attemptEndedSignal, { kind: 'lost', attempt, failure: { class: 'node_failure', message: 'the node died' } });
      }
      expect(await handle.result()).toMatchObject({ state: 'failed', attempts: 6, failure: { class: 'node_failure' } });
      // 0 + 10 + 20 + 40 + 80 seconds before attempts 2 to 6 (src/domain/trial-policy.ts).
      const { attempts, outcome } = await handle.query(trialQuery);
      expect((outcome?.finishedAt ?? 0) - (attempts[0]?.offeredAt ?? 0)).toBeGreaterThanOrEqual(150_000);
    });
  });
});
