import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pino from 'pino';
import { inject } from 'vitest';
import type { SystemDriver } from '../../src/systems/driver.ts';
import { type DevServer, startDevServer } from '../../src/temporal/dev-server.ts';
import { type RunningWorkers, startWorkers } from '../../src/worker.ts';
import type { CampaignResult, CampaignStatus } from '../../workflows/messages.ts';
import { statusQuery } from '../../workflows/messages.ts';

/** A real Temporal dev server on a temporary file, with a client. Workers are started by the test. */
export interface Engine {
  readonly server: DevServer;
  readonly client: Client;
  readonly folder: string;
  startWorker(drivers: Record<string, SystemDriver>): Promise<RunningWorkers>;
  run(source: unknown, id: string): Promise<CampaignResult>;
  start(source: unknown, id: string): Promise<void>;
  status(id: string): Promise<CampaignStatus>;
  close(): Promise<void>;
}

/** Histories of so many events make a workflow go on as new; the server's own limit is 4,096. */
export const shortHistories = (events: number) => [`limit.historyCount.suggestContinueAsNew=${events}`];

/** `settings`: the server's dynamic configuration, for what else would take thousands of trials. */
export async function startEngine(settings: readonly string[] = []): Promise<Engine> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-engine-'));
  const server = await startDevServer({
    binary: inject('temporalBinary'),
    dbFile: path.join(folder, 'temporal.db'),
    logFile: path.join(folder, 'server.log'),
    isHeadless: true,
    settings,
  });
  const connection = await Connection.connect({ address: server.address });
  const client = new Client({ connection });
  const workers: RunningWorkers[] = [];
  const engine: Engine = {
    server,
    client,
    folder,
    async startWorker(drivers) {
      const started = await startWorkers({
        drivers: new Map(Object.entries(drivers)),
        logger: pino({ level: process.env.HOLDFAST_TEST_LOG ?? 'silent' }),
        bundleFile: inject('bundleFile'),
        server: { address: server.address, namespace: 'default' },
      });
      started.finished.catch(() => undefined);
      workers.push(started);
      return started;
    },
    async start(source, id) {
      await client.workflow.start('hpoCampaign', { taskQueue: 'holdfast', workflowId: id, args: [source] });
    },
    async run(source, id) {
      return (await client.workflow.execute('hpoCampaign', { taskQueue: 'holdfast', workflowId: id, args: [source] })) as CampaignResult;
    },
    status: (id) => client.workflow.getHandle(id).query(statusQuery),
    async close() {
      for (const worker of workers) worker.shutdown();
      await Promise.all(workers.map((worker) => worker.finished.catch(() => undefined)));
      await connection.close();
      await server.stop();
      // An agent of a campaign that was terminated may still write into it.
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return engine;
}

/** Waits until a count has not moved for so long: what was under way when it should stop may still arrive. Throws when it never rests. */
export async function atRest(count: () => number, milliseconds: number): Promise<void> {
  await eventually(
    async () => {
      const before = count();
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      return count() === before;
    },
    90,
    `a pause of ${milliseconds} ms`,
  );
}

/** Polls until `check` gives something; for what has no event to wait for. Throws after `seconds`. */
export async function eventually<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
  seconds = 90,
  what = 'the condition',
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  let last: unknown;
  for (;;) {
    try {
      const seen = await check();
      if (seen !== undefined && seen !== false) return seen as T;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`${what} did not come within ${seconds} s`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
