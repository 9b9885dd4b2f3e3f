import type { Client } from '@temporalio/client';

/** TASK_QUEUE_TYPE_WORKFLOW and TASK_QUEUE_TYPE_ACTIVITY of temporal.api.enums.v1. */
const QUEUE_TYPES = { workflow: 1, activity: 2 } as const;

/** A worker asks for work at least once a minute; older ones have ended. */
const FRESH_MILLISECONDS = 90_000;

/** Names of the workers (`<process>@<computer>`) that have asked a task queue for work just now. */
export async function pollersOf(client: Client, queue: string, type: keyof typeof QUEUE_TYPES): Promise<string[]> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: QUEUE_TYPES[type],
  });
  const fresh = (pollers ?? []).filter(
    ({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1000 > Date.now() - FRESH_MILLISECONDS,
  );
  return fresh.map(({ identity }) => identity ?? '');
}
