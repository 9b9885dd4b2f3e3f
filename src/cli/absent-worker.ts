import type { Client } from '@temporalio/client';
import type { CampaignStatus } from '../../workflows/messages.ts';
import { systemTaskQueue, TASK_QUEUE } from '../domain/ids.ts';

/** TASK_QUEUE_TYPE_WORKFLOW and TASK_QUEUE_TYPE_ACTIVITY of temporal.api.enums.v1. */
const QUEUE_TYPES = { workflow: 1, activity: 2 } as const;

/** A worker asks for work at least once a minute. */
const FRESH_MILLISECONDS = 90_000;

async function isAskedFor(client: Client, queue: string, type: keyof typeof QUEUE_TYPES): Promise<boolean> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: QUEUE_TYPES[type],
  });
  const fresh = Date.now() - FRESH_MILLISECONDS;
  return (pollers ?? []).some((poller) => Number(poller.lastAccessTime?.seconds ?? 0) * 1000 > fresh);
}

/** Whether a worker has polled the workflows' queue within the last minutes. */
export function isPolled(client: Client): Promise<boolean> {
  return isAskedFor(client, TASK_QUEUE, 'workflow');
}

/** Whether a worker that holds this system has polled within the last minutes. */
export function isHeld(client: Client, system: string): Promise<boolean> {
  return isAskedFor(client, systemTaskQueue(system), 'activity');
}

/** What a campaign waits for that no worker holds the system of, and what to do. */
export function absence(system: string): string {
  return `No worker holds system ${system}: what is to be done there waits for one. Start it: holdfast worker --systems ${system}`;
}

/** A campaign that is under way while no worker holds its system has one problem more. */
export async function withAbsence(client: Client, status: CampaignStatus): Promise<CampaignStatus> {
  if (status.phase === 'ended' || status.system === '' || (await isHeld(client, status.system))) return status;
  return { ...status, problems: [...status.problems, absence(status.system)] };
}
