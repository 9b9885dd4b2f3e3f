import { type Client, type ScheduleDescription, ScheduleNotFoundError } from '@temporalio/client';
import { type HealthReport, healthScheduleId } from '../domain/health.ts';

/** A system's schedule and what its last finished check found. */
export interface WatchedSystem {
  readonly system: string;
  readonly everySeconds: number;
  readonly isPaused: boolean;
  /** ISO 8601. */
  readonly nextAt?: string;
  readonly report?: HealthReport;
}

/** The schedule and the newest report; undefined when the system is not watched. */
export async function readWatched(client: Client, system: string): Promise<WatchedSystem | undefined> {
  let schedule: ScheduleDescription;
  try {
    schedule = await client.schedule.getHandle(healthScheduleId(system)).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
  const report = await newestReport(client, schedule);
  const [next] = schedule.info.nextActionTimes;
  return {
    system,
    everySeconds: Number(schedule.spec.intervals?.[0]?.every ?? 0) / 1000,
    isPaused: schedule.state.paused,
    ...(next === undefined ? {} : { nextAt: next.toISOString() }),
    ...(report === undefined ? {} : { report }),
  };
}

/** Of the schedule's last actions (the server keeps ten) the newest that has finished. */
async function newestReport(client: Client, { info }: ScheduleDescription): Promise<HealthReport | undefined> {
  for (const { action } of [...info.recentActions].reverse()) {
    const { workflowId, firstExecutionRunId } = action.workflow;
    const handle = client.workflow.getHandle(workflowId, firstExecutionRunId);
    const { status } = await handle.describe();
    if (status.name === 'COMPLETED') return (await handle.result()) as HealthReport;
  }
  return undefined;
}
