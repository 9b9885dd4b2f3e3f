import { Context, heartbeat, sleep } from '@temporalio/activity';
import { NativeConnection, Worker } from '@temporalio/worker';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createActivities } from '../../activities/index.ts';
import { systemTaskQueue } from '../../src/domain/ids.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { quietRuntime } from '../support/quiet-runtime.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

quietRuntime();

describe('a report that is written while the campaign runs', () => {
  let engine: Engine;
  let connection: NativeConnection;
  beforeAll(async () => {
    engine = await startEngine();
    connection = await NativeConnection.connect({ address: engine.server.address });
  });
  afterAll(async () => {
    await connection.close();
    await engine.close();
  });

  it('does not stand in the way of a cancellation that comes meanwhile', async () => {
    const { driver } = createScriptedDriver('local', { runMs: 100 });
    const reports: string[] = [];
    const activities = {
      ...createActivities({
        drivers: new Map([['local', driver]]),
        hasSearchAttributes: false,
        logger: pino({ level: 'silent' }),
        env: {},
      }),
      async writeReport({ status }: { readonly status: string }) {
        reports.push(status);
        // The interim one takes its time and hears of cancellations, as a long one would.
        for (let beats = 0; status === 'running' && beats < 40; beats += 1) {
          heartbeat(beats);
          await Promise.race([sleep(100), Context.current().cancelled]);
        }
        return { path: 'report.html' };
      },
    };
    const system = await Worker.create({ connection, activities, taskQueue: systemTaskQueue('local') });
    const bundle = { codePath: inject('bundleFile') };
    const main = await Worker.create({ connection, activities, taskQueue: 'holdfast', workflowBundle: bundle });
    await main.runUntil(
      system.runUntil(async () => {
        await engine.start(specification({ budget: { trials: 200 }, concurrency: 6 }), 'interim-1');
        await eventually(() => reports.includes('running'), 50, 'an interim report');
        const handle = engine.client.workflow.getHandle('interim-1');
        await handle.cancel();
        const end = await handle.result().then(
          () => 'returned',
          (error: Error) => (error.cause as Error).name,
        );
        expect(end).toBe('CancelledFailure');
        expect(reports.at(-1)).toBe('cancelled');
        // An error that nobody caught would fail the workflow task, which is then tried again and again.
        const { events = [] } = await handle.fetchHistory();
        expect(events?.filter((event) => event.workflowTaskFailedEventAttributes != null)).toEqual([]);
      }),
    );
  });
});
