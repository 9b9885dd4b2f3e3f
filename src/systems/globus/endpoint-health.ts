import { DriverError } from '../driver.ts';
import type { GlobusClient } from './client.ts';

/** What the service says about an endpoint, kept between looks. */
export interface EndpointHealth {
  isOnline: boolean;
  /** The service's own words when it knows no such endpoint or lets us not see it. */
  refusal?: string;
  /** Its processes have changed, or none has our tasks: tasks handed to the old ones stay pending for ever (globus.md section 1.4). */
  hasRestarted: boolean;
  checkedAt: number;
  processes?: string;
  emptyChecks: number;
}

/** An endpoint that was never asked: it counts as online. */
export function unknownHealth(): EndpointHealth {
  return { isOnline: true, hasRestarted: false, checkedAt: Number.NEGATIVE_INFINITY, emptyChecks: 0 };
}

/** Asks status and console (two requests). `pending`: tasks of ours that the endpoint should hold. Only a hint: what it leads to is always safe. */
export async function checkHealth(
  client: GlobusClient,
  endpointId: string,
  health: EndpointHealth,
  pending: number,
  signal?: AbortSignal,
): Promise<void> {
  const status = await client.endpointStatus(endpointId, signal).catch((error: unknown) => {
    // One campaign's endpoint that is gone must not end the look for the others.
    if (!(error instanceof DriverError) || error.class !== 'refused') throw error;
    return error;
  });
  if (status instanceof DriverError) return noteRefusal(health, status);
  delete health.refusal;
  const processes = await client.processes(endpointId, signal);
  health.checkedAt = performance.now();
  health.isOnline = status.status === 'online';
  const active = processes.filter((process) => process.active !== false);
  const print = active
    .map((process) => `${process.user_endpoint_id}@${process.start_time_unix ?? ''}`)
    .sort()
    .join(' ');
  const outstanding = (status.details?.outstanding_tasks ?? Number.NaN) + (status.details?.pending_tasks ?? 0);
  // An online endpoint that holds nothing while we wait for tasks: twice in a row, since reports are up to a heartbeat old.
  health.emptyChecks = health.isOnline && pending > 0 && outstanding === 0 ? health.emptyChecks + 1 : 0;
  if (health.processes !== undefined && processes.length > 0 && print !== health.processes && !isSubset(health.processes, print))
    health.hasRestarted = true;
  if (health.emptyChecks >= 2) health.hasRestarted = true;
  if (processes.length > 0) health.processes = print;
}

/** The endpoint of one campaign refuses what is asked: it waits, and is asked again with the next check. */
export function noteRefusal(health: EndpointHealth, refusal: DriverError): void {
  health.checkedAt = performance.now();
  health.isOnline = false;
  health.refusal = refusal.message;
}

/** More processes than before is growth, not a restart. */
function isSubset(before: string, after: string): boolean {
  const now = new Set(after.split(' '));
  return before === '' || before.split(' ').every((process) => now.has(process));
}
