import { hostname } from 'node:os';
import type { Client } from '@temporalio/client';
import type { CampaignStatus } from '../../workflows/messages.ts';
import { systemTaskQueue, TASK_QUEUE } from '../domain/ids.ts';
import { pollersOf } from '../temporal/pollers.ts';

/** Whether a worker has polled the workflows' queue within the last minutes. */
export async function isPolled(client: Client): Promise<boolean> {
  return (await pollersOf(client, TASK_QUEUE, 'workflow')).length > 0;
}

/** Whether a worker that holds this system has polled within the last minutes. */
export async function isHeld(client: Client, system: string): Promise<boolean> {
  return (await pollersOf(client, systemTaskQueue(system), 'activity')).length > 0;
}

/** Whether a worker can be thought to answer: one has polled the workflows' queue within the last minutes and, where it was on this computer, its process lives. */
export async function mayAnswer(client: Client): Promise<boolean> {
  return (await pollersOf(client, TASK_QUEUE, 'workflow')).some((worker) => !isGone(worker));
}

/** The server remembers a worker for minutes; of a process here the kernel knows more. */
function isGone(worker: string): boolean {
  const [, pid, computer] = /^(\d+)@(.+)$/.exec(worker) ?? [];
  if (computer !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
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
