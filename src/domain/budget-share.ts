import type { Budget } from './campaign.ts';

/** How much of each limit in time is used, of wall time and of the time until the deadline: 1 is all, more is possible. Instants in milliseconds. */
export function timeShares({ wallSeconds, deadline }: Budget, startedAt: number, now: number): number[] {
  const limits = [
    ...(wallSeconds === undefined ? [] : [wallSeconds * 1000]),
    ...(deadline === undefined ? [] : [Date.parse(deadline) - startedAt]),
  ];
  return limits.map((milliseconds) => (now - startedAt) / Math.max(1, milliseconds));
}
