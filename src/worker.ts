import { Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities/index.ts';
import { systemTaskQueue, TASK_QUEUE } from './domain/ids.ts';
import type { SystemDriver } from './systems/driver.ts';
import { workflowSource } from './temporal/bundle.ts';
import { installRuntime } from './temporal/runtime.ts';
import { ensureSearchAttributes } from './temporal/search-attributes.ts';
import { connectWorker, idOfNamespace } from './temporal/worker-connection.ts';

export interface WorkerSettings {
  /** Systems whose connection this worker holds. Only one worker at a time should hold a system. */
  readonly drivers: ReadonlyMap<string, SystemDriver>;
  readonly logger: Logger;
  /** Workflows kept in memory; each idle one costs about 0.25 MiB. */
  readonly maxCachedWorkflows?: number;
  /** A prebuilt workflow bundle; absent: the one of the build, else the sources. */
  readonly bundleFile?: string;
  /** A server other than the environment's. */
  readonly server?: { readonly address: string; readonly namespace: string };
}

/** Running workers of one process. */
export interface RunningWorkers {
  /** Resolves when all have stopped; rejects when one has failed. */
  readonly finished: Promise<void>;
  /** Lets running activities end (at most 30 s), then stops. */
  shutdown(): void;
  readonly address: string;
  readonly namespace: string;
}

/**
 * Starts one worker for workflows and host-independent activities and one for each system's queue. Throws TemporalUnreachable.
 * SIGTERM and SIGINT stop them in an orderly way (the SDK's own handling).
 */
export async function startWorkers(settings: WorkerSettings): Promise<RunningWorkers> {
  installRuntime(settings.logger);
  const { connection, namespace, address } = await connectWorker(settings.server);
  const hasSearchAttributes = await ensureSearchAttributes(connection, namespace, (text) => settings.logger.warn(text));
  const namespaceId = await idOfNamespace(connection, namespace);
  for (const driver of settings.drivers.values()) driver.serve?.(namespaceId);
  const activities = createActivities({ drivers: settings.drivers, hasSearchAttributes, logger: settings.logger, env: process.env });
  const common = {
    connection,
    namespace,
    activities,
    shutdownGraceTime: '30 seconds',
    // A look answers within moments; details of running work in the Web UI should be as fresh.
    maxHeartbeatThrottleInterval: '2 seconds',
    defaultHeartbeatThrottleInterval: '2 seconds',
  } as const;
  const main = await Worker.create({
    ...common,
    ...workflowSource(settings.bundleFile),
    taskQueue: TASK_QUEUE,
    maxCachedWorkflows: settings.maxCachedWorkflows ?? 2000,
    // After a crash the next worker waits this long for the dead one's sticky queue.
    stickyQueueScheduleToStartTimeout: '3 seconds',
  });
  const systems = await Promise.all(
    [...settings.drivers.keys()].map((name) =>
      Worker.create({ ...common, taskQueue: systemTaskQueue(name), maxConcurrentActivityTaskExecutions: 20 }),
    ),
  );
  const workers = [main, ...systems];
  const finished = Promise.all(workers.map((worker) => worker.run())).then(() => connection.close());
  return {
    finished,
    address,
    namespace,
    shutdown: () => {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    },
  };
}
