import type { PbsProfile } from '../../spec/profile.ts';
import type { Reservation } from './reservations.ts';

/** A time in which the system runs nothing of ours. Seconds since the epoch. */
export interface ClosedTime {
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** For people: `maintenance reservation M123`. */
  readonly what: string;
}

/** Reservations that will take place or do: not unconfirmed, finished or being deleted ones (OpenPBS src/cmds/pbs_rstat.c, convert_resv_state). */
const LIVE_STATES = new Set(['RESV_CONFIRMED', 'RESV_WAIT', 'RESV_TIME_TO_RUN', 'RESV_RUNNING', 'RESV_DEGRADED', 'RESV_BEING_ALTERED']);

/**
 * Ids of reservations made by `pbs_rsub --hosts` begin with M (pbs_ifl.h, PBS_MNTNC_RESV_ID_CHAR); a site may use an ordinary one and say so in
 * its name. Other people's reservations leave room beside them, and PBS itself plans around those.
 */
function isMaintenance({ id, name }: Reservation): boolean {
  return /^M\d/.test(id) || /maint|downtime|outage|(^|[^a-z])pm([^a-z]|$)/i.test(name ?? '');
}

/** A system is closed when so much of it is reserved: some nodes are always down already, and never in a reservation. */
const CLOSED_SHARE = 0.75;

function nodesThatClose(profile: PbsProfile): number {
  return profile.maintenance?.nodes ?? CLOSED_SHARE * Math.max(...profile.queues.map((queue) => queue.nodes.max));
}

/**
 * When the system is closed, earliest first: the profile's own windows, and the times in which maintenance reservations together take (nearly) all
 * of it. A reservation that does not say its size counts as all; a few nodes under repair close nothing.
 */
export function closedTimes(profile: PbsProfile, reservations: readonly Reservation[]): readonly ClosedTime[] {
  const live = reservations.filter((each) => LIVE_STATES.has(each.state) && isMaintenance(each));
  const needed = nodesThatClose(profile);
  const sizeOf = ({ nodes }: Reservation) => nodes ?? Number.POSITIVE_INFINITY;
  const closing = live.filter((each) => {
    const beside = live.filter((other) => other.startSeconds < each.endSeconds && each.startSeconds < other.endSeconds);
    return beside.reduce((sum, other) => sum + sizeOf(other), 0) >= needed;
  });
  return [
    ...(profile.maintenance?.windows ?? []).map(({ from, until, what }) => ({ startSeconds: from, endSeconds: until, what })),
    ...closing.map(({ id, startSeconds, endSeconds }) => ({
      startSeconds,
      endSeconds,
      what: `maintenance reservation ${id.split('.')[0]}`,
    })),
  ].sort((a, b) => a.startSeconds - b.startSeconds);
}

/** A job whose walltime ends this long before a closed time: it may wait a little in the queue and still start. */
export const MARGIN_SECONDS = 300;

export type Fit =
  | { readonly kind: 'whole' }
  | { readonly kind: 'shorter'; readonly walltimeSeconds: number; readonly before: ClosedTime }
  | { readonly kind: 'none'; readonly before: ClosedTime; readonly untilSeconds: number };

/**
 * Whether a job of `walltimeSeconds` that starts now ends before the next closed time. If not: with the walltime that is left when that is at least
 * `leastSeconds`, else not before `untilSeconds`, the end of the closed times that follow each other without a gap worth a job.
 */
export function fitBefore(closed: readonly ClosedTime[], nowSeconds: number, walltimeSeconds: number, leastSeconds: number): Fit {
  const ahead = closed.filter((each) => each.endSeconds > nowSeconds);
  const before = ahead.find((each) => each.startSeconds < nowSeconds + walltimeSeconds + MARGIN_SECONDS);
  if (before === undefined) return { kind: 'whole' };
  const left = Math.floor((before.startSeconds - MARGIN_SECONDS - nowSeconds) / 60) * 60;
  if (left >= leastSeconds) return { kind: 'shorter', walltimeSeconds: Math.min(walltimeSeconds, left), before };
  const untilSeconds = ahead.reduce(
    (until, each) => (each.startSeconds < until + leastSeconds + MARGIN_SECONDS ? Math.max(until, each.endSeconds) : until),
    before.endSeconds,
  );
  return { kind: 'none', before, untilSeconds };
}

/** `maintenance reservation M123, 2026-11-30 06:00 to 2026-11-30 22:00 UTC`. */
export function describeClosed({ what, startSeconds, endSeconds }: ClosedTime): string {
  return `${what}, ${minute(startSeconds)} to ${minute(endSeconds)} UTC`;
}

/** `2026-11-30 06:00`, UTC. */
export function minute(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ');
}
