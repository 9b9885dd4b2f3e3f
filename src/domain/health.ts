/** What a watched system's health is: findings, what has changed since the check before, and how bad it is. Pure; the workflow and the views read it. */

export type HealthStatus = 'ok' | 'warn' | 'fail' | 'skip';

/** One line of a check. `id` is the row of the features table; `about` tells several of one row apart (an endpoint's id). */
export interface HealthFinding {
  readonly id: string;
  readonly title: string;
  readonly about?: string;
  readonly status: HealthStatus;
  readonly found: string;
  /** The one command that mends it. */
  readonly advice?: string;
  /** Versions seen, by name: a change is an event although nothing is wrong. */
  readonly versions?: Readonly<Record<string, string>>;
}

/** Something that changed between two checks. */
export interface HealthEvent {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly title: string;
  readonly about?: string;
  readonly from: HealthStatus;
  readonly to: HealthStatus;
  readonly text: string;
}

export interface KnownFinding extends HealthFinding {
  /** When the status it has now was first seen, milliseconds since the epoch. */
  readonly since: number;
  /** Of a skipped row: the last status that somebody could see. */
  readonly was?: HealthStatus;
}

export interface HealthReport {
  readonly system: string;
  readonly checkedAt: number;
  readonly verdict: 'ok' | 'warn' | 'fail';
  readonly findings: readonly KnownFinding[];
  /** Newest last. */
  readonly events: readonly HealthEvent[];
}

/** Id of a system's health schedule, and the beginning of the ids of its checks. */
export function healthScheduleId(system: string): string {
  return `health/${system}`;
}

/** A year of a flapping endpoint must not grow the result of each check. */
const EVENTS_KEPT = 50;
const TEXT_KEPT = 300;

/**
 * The report of a check, given the one before it. A status that changed is an event, so is a version; the first check has events only for what is
 * wrong. A row that was skipped (nobody could ask) says nothing: it neither ends nor begins anything.
 */
export function nextReport(
  system: string,
  before: HealthReport | undefined,
  findings: readonly HealthFinding[],
  now: number,
): HealthReport {
  const known = new Map(before?.findings.map((finding) => [keyOf(finding), finding]));
  const events: HealthEvent[] = [...(before?.events ?? [])];
  const next = findings.map((raw): KnownFinding => {
    const finding = { ...raw, found: raw.found.slice(0, TEXT_KEPT) };
    const last = known.get(keyOf(finding));
    const from = (last?.status === 'skip' ? last.was : last?.status) ?? 'ok';
    const what = {
      at: now,
      title: finding.title,
      ...(finding.about === undefined ? {} : { about: finding.about }),
      from,
      to: finding.status,
    };
    if (finding.status !== 'skip' && finding.status !== from) events.push({ ...what, text: finding.found });
    else if (last !== undefined) for (const text of versionChanges(last, finding)) events.push({ ...what, text });
    const since = last?.status === finding.status ? last.since : now;
    return { ...finding, since, ...(finding.status === 'skip' ? { was: from } : {}) };
  });
  return { system, checkedAt: now, verdict: worst(next), findings: next, events: events.slice(-EVENTS_KEPT) };
}

function keyOf({ id, about }: HealthFinding): string {
  return `${id} ${about ?? ''}`;
}

function versionChanges(last: HealthFinding, now: HealthFinding): string[] {
  return Object.entries(now.versions ?? {}).flatMap(([name, version]) => {
    const before = last.versions?.[name];
    return before === undefined || before === version ? [] : [`${name} ${before} is now ${version}`];
  });
}

function worst(findings: readonly HealthFinding[]): HealthReport['verdict'] {
  for (const status of ['fail', 'warn'] as const) if (findings.some((finding) => finding.status === status)) return status;
  return 'ok';
}
