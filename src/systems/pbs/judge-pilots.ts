import type { PilotSeen } from '../driver.ts';
import type { PbsListing } from './attributes.ts';
import type { PilotEnd, PilotRow, Submission } from './exchange.ts';
import { judgeExit, type PbsCommand, type PbsVerdict } from './exit-status.ts';
import { type JobEnd, type JobJudgement, judgeJob } from './judge-job.ts';
import { type QstatAnswer, readJobs } from './qstat-answer.ts';

/** What one look's answer means for the pilots, and what must be done about it. */
export interface PilotsJudged {
  readonly seen: readonly PilotSeen[];
  /** Ends to put on record; their agents are dead. */
  readonly settle: readonly { readonly campaign: string; readonly pilot: string; readonly end: PilotEnd }[];
  /** Jobs to delete: asked for and still alive, or never starting. */
  readonly cancel: readonly { readonly campaign: string; readonly pilot: string; readonly reason: string }[];
  readonly notices: readonly string[];
  /** The scheduler did not answer this look. */
  readonly isSilent: boolean;
}

export interface LostRule {
  /** Looks in a row without the job. */
  readonly looks: number;
  /** Seconds between the first and the last of them. */
  readonly seconds: number;
  /** Seconds after its submission within which a job may be unknown. */
  readonly settleSeconds: number;
  /** Seconds within which a request that was sent may still arrive: more than a remote command may last. */
  readonly arrivalSeconds: number;
}

export const LOST_RULE: LostRule = { looks: 3, seconds: 600, settleSeconds: 120, arrivalSeconds: 300 };

/**
 * Since when a job has not been in whole answers: kept from look to look, in seconds of a monotonic clock. `beats`: the heartbeats of its agents at the last
 * of them.
 */
export type Missing = Map<string, { looks: number; since: number; beats?: string }>;

/**
 * Truth order: end on record, the job script's exit file, PBS's history, live qstat, what was known. Silence of the scheduler changes nothing.
 * An id that a whole answer lacks is no end by itself (R4): within the settling time it waits, later it was dropped by routing (never seen) or is
 * lost (seen before, missing for several looks over a time).
 */
export function judgePilots(
  rows: readonly PilotRow[],
  qstat: QstatAnswer | null,
  missing: Missing,
  nowSeconds: number,
  rule: LostRule = LOST_RULE,
  asked: readonly AskedPilot[] = [],
): PilotsJudged {
  const scheduler = readScheduler(qstat);
  const found = rows.map((row) => ({ row, verdict: judgeRow(row, scheduler, missing, nowSeconds, rule) }));
  const names = new Set([...rows.map((row) => row.pilot), ...asked.map(({ pilot }) => pilot)]);
  for (const pilot of missing.keys()) if (!names.has(pilot)) missing.delete(pilot);
  const absent = judgeAbsent(
    asked.filter(({ pilot }) => !rows.some((row) => row.pilot === pilot)),
    missing,
    nowSeconds,
    rule,
  );
  return {
    seen: [
      ...found.map(({ row, verdict }) => pilotSeen(row, verdict)),
      ...absent.map(({ pilot, end }) => ({ ...NOTHING, pilot, state: 'ended' as const, end })),
    ],
    settle: [
      ...absent,
      ...found.flatMap(({ row: { campaign, pilot, ended }, verdict }) =>
        verdict.end && !ended ? [{ campaign, pilot, end: verdict.end }] : [],
      ),
    ],
    cancel: found.flatMap(({ row: { campaign, pilot }, verdict }) =>
      verdict.cancel === undefined ? [] : [{ campaign, pilot, reason: verdict.cancel }],
    ),
    notices: [
      ...(scheduler.notice === undefined ? [] : [scheduler.notice]),
      ...found.flatMap(({ row, verdict }) => (verdict.notice === undefined ? [] : [`${row.pilot}: ${verdict.notice}`])),
      ...found.flatMap(({ row, verdict }) =>
        row.about.note === undefined || verdict.state === 'ended' ? [] : [`${row.pilot}: ${row.about.note}`],
      ),
    ],
    isSilent: scheduler.isSilent,
  };
}

export interface AskedPilot {
  readonly campaign: string;
  readonly pilot: string;
  /** It had a job: that nothing is known of it any more means that its folder was removed. */
  readonly nativeId?: string;
}

const NOTHING = { slots: 0, finished: 0, allocatedSlotSeconds: 0, busySlotSeconds: 0 };

/** Pilots that were asked for and of which the system knows nothing: the request was cut off on its way. After a while it is given up, there too. */
function judgeAbsent(
  asked: readonly AskedPilot[],
  missing: Missing,
  now: number,
  rule: LostRule,
): (AskedPilot & { readonly end: PilotEnd })[] {
  return asked
    .filter(({ pilot, nativeId }) => {
      const known = missing.get(pilot) ?? { looks: 0, since: now };
      missing.set(pilot, { looks: known.looks + 1, since: known.since });
      return nativeId === undefined ? now - known.since >= rule.arrivalSeconds : known.looks + 1 >= rule.looks;
    })
    .map(({ campaign, pilot, nativeId }) => ({
      campaign,
      pilot,
      end:
        nativeId === undefined
          ? { kind: 'normal', message: 'The request for it never arrived; nothing was submitted.' }
          : { kind: 'killed', message: `Its launch folder was removed by hand; job ${nativeId} was deleted.` },
    }));
}

interface Scheduler {
  readonly listing: PbsListing;
  /** Whether an id that is not in the listing is unknown to PBS. */
  readonly provesAbsence: boolean;
  readonly isSilent: boolean;
  readonly notice?: string;
}

function readScheduler(qstat: QstatAnswer | null): Scheduler {
  const listing = readJobs(qstat);
  if (qstat === null) return { listing, provesAbsence: false, isSilent: false };
  const verdict = judgeExit('qstat', qstat.exit, qstat.stderr);
  const hasNoHistory = verdict.code === 'HF-PBS-NO-HISTORY';
  if (verdict.action === 'ok' || verdict.action === 'gone' || verdict.action === 'finished' || hasNoHistory) {
    // An answer without a word for several ids is the shape of a lost one (goldens: unknown ids alone give 153).
    const isEmptySuccess = qstat.exit === 0 && qstat.stdout.trim() === '' && qstat.json === undefined && !hasNoHistory;
    return { listing, provesAbsence: listing.isComplete && !isEmptySuccess, isSilent: isEmptySuccess };
  }
  return { listing, provesAbsence: false, isSilent: true, notice: `PBS: ${verdict.message}. ${verdict.advice}` };
}

interface RowVerdict {
  readonly state: PilotSeen['state'];
  readonly comment?: string;
  readonly end?: PilotEnd;
  readonly cancel?: string;
  readonly notice?: string;
}

function judgeRow(row: PilotRow, scheduler: Scheduler, missing: Missing, now: number, rule: LostRule): RowVerdict {
  if (row.ended) return { state: 'ended', end: row.ended };
  if (row.id === undefined) return judgeUnsubmitted(row);
  const job = scheduler.listing.objects.get(row.id);
  const name = job?.attributes.get('Job_Name');
  if (job && name === row.key) {
    const judged = judgeJob(job.attributes);
    if (judged.state === 'unclear' && judged.presumed !== undefined && scheduler.provesAbsence)
      return judgeDoubtful(row, judged.why, judged.presumed, missing, now, rule);
    missing.delete(row.pilot);
    return judgeKnown(row, judged, job.attributes);
  }
  if (job) return { ...asKnown(row), notice: `job ${row.id} is called ${name}, not ${row.key}: it is not ours and is left alone` };
  if (!scheduler.provesAbsence || scheduler.listing.damaged.includes(row.id)) return asKnown(row);
  return judgeMissing(row, missing, now, rule);
}

/** Without news from PBS: what the pilot's own files say. */
function asKnown(row: PilotRow): RowVerdict {
  return { state: row.claimed ? 'running' : 'queued' };
}

function judgeUnsubmitted(row: PilotRow): RowVerdict {
  const verdict = row.submission === undefined ? undefined : judgeSubmission(row.submission);
  const comment = verdict?.message ?? 'its submission is being looked up';
  if (row.given_up || verdict?.action === 'refuse' || row.submission?.answer === 'cancelled') {
    const message =
      row.cancelled === undefined ? `It was not submitted: ${comment}` : `Cancelled before it was submitted: ${row.cancelled}`;
    return { state: 'ended', end: { kind: row.cancelled === undefined ? 'never_ran' : 'normal', message } };
  }
  return { state: 'unknown', comment };
}

const STEP_COMMANDS: Readonly<Record<string, PbsCommand>> = { qsub: 'qsub', qselect: 'qselect', qstat: 'qstat' };

/** What a submission that left no id means: undefined when nothing failed (it is under way, settling or cancelled). */
export function judgeSubmission(found: Submission): PbsVerdict | undefined {
  if (found.answer !== 'failed' || found.step === undefined) return undefined;
  const command = STEP_COMMANDS[found.step];
  if (command) return judgeExit(command, found.exit ?? -1, found.stderr ?? '');
  const words = `${found.step.split('-')[0]} answered without a whole id: ${JSON.stringify((found.stdout || found.stderr || '').slice(0, 200))}`;
  return {
    action: 'unknown',
    code: 'HF-PBS-WORDS',
    message: words,
    advice: 'The job is looked up by its name before anything is sent again.',
  };
}

function judgeKnown(row: PilotRow, job: JobJudgement, attributes: ReadonlyMap<string, string>): RowVerdict {
  if (job.state === 'unclear') return { ...asKnown(row), comment: `PBS is not clear: ${job.why}` };
  const comment = job.comment === undefined ? {} : { comment: job.comment };
  if (job.state === 'ended') return { state: 'ended', ...comment, end: endOf(row, job.end.kind, job.end.message) };
  if (row.cancelled !== undefined && job.state === 'queued') return { state: job.state, ...comment, cancel: row.cancelled };
  if (job.trouble?.action === 'give_up')
    return { state: job.state, ...comment, cancel: `${GAVE_UP}${job.trouble.message}`, notice: job.trouble.message };
  const notice = job.trouble?.message ?? byHand(row, attributes);
  return { state: job.state, ...comment, ...(notice === undefined ? {} : { notice }) };
}

/** Things that a person changed at the job behind our back (R34). */
function byHand(row: PilotRow, attributes: ReadonlyMap<string, string>): string | undefined {
  if (attributes.get('job_state') === 'H' && /[uo]/.test(attributes.get('Hold_Types') ?? '')) return 'held by hand; qrls lets it go on';
  const walltime = attributes.get('Resource_List.walltime');
  const asked = row.about.walltime_seconds;
  const seconds = walltime?.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  if (seconds !== undefined && seconds !== asked) return `its walltime was changed by hand to ${walltime}`;
  const queue = attributes.get('queue');
  if (queue !== undefined && row.about.other_queues.includes(queue)) return `it was moved by hand to queue ${queue}`;
  return undefined;
}

/** Marks our own deletion of a job that would never have started. */
const GAVE_UP = 'gave up: ';

function endOf(row: PilotRow, kind: PilotEnd['kind'], message: string): PilotEnd {
  if (row.cancelled?.startsWith(GAVE_UP)) return { kind: 'never_ran', message: row.cancelled.slice(GAVE_UP.length) };
  // What we asked for is a normal end: it says nothing about the site, and the circuit breaker must not count it.
  if (row.cancelled !== undefined && (kind === 'killed' || kind === 'never_ran'))
    return { kind: 'normal', message: `Deleted on request: ${row.cancelled}` };
  if (kind === 'killed') return { kind, message: `${message} Not by Holdfast: by hand or by the site.` };
  return { kind, message };
}

/** One more whole answer without the job, or without its end: how many there are by now, since when, and whether its agents have beaten since the last. */
function countLook(row: PilotRow, missing: Missing, now: number): { looks: number; since: number; isAlive: boolean } {
  const beats = row.heartbeats.map(({ agent, beat }) => `${agent}:${beat}`).join(' ');
  const before = missing.get(row.pilot);
  const isAlive = before?.beats !== undefined && before.beats !== beats;
  const counted = { looks: (before?.looks ?? 0) + 1, since: isAlive ? now : (before?.since ?? now) };
  missing.set(row.pilot, { ...counted, beats });
  return { ...counted, isAlive };
}

/**
 * PBS shows F without the marks of every F that was recorded. One such answer ends nothing; the script's own exit file does, or the same answer as often
 * and as long as it takes a job to be lost while none of its agents beats, or its trials would wait for ever.
 */
function judgeDoubtful(row: PilotRow, why: string, presumed: JobEnd, missing: Missing, now: number, rule: LostRule): RowVerdict {
  if (row.exit !== undefined) {
    const kind = row.exit === '0' ? 'normal' : 'failed';
    return { state: 'ended', end: endOf(row, kind, `The job script ended with ${row.exit}; PBS says no more than ${why}.`) };
  }
  const { looks, since, isAlive } = countLook(row, missing, now);
  const isCertain = looks >= rule.looks && (now - since >= rule.seconds || row.cancelled !== undefined);
  if (isAlive || !isCertain) return { ...asKnown(row), comment: `PBS is not clear: ${why}` };
  const isUntold = presumed.exitStatus === null && row.claimed;
  const kind = isUntold ? (row.cancelled === undefined ? 'lost' : 'killed') : presumed.kind;
  const message = isUntold ? 'The job ended, and PBS does not say how.' : presumed.message;
  return { state: 'ended', end: endOf(row, kind, `${message} It has shown no more for ${looks} looks: ${why}.`) };
}

function judgeMissing(row: PilotRow, missing: Missing, now: number, rule: LostRule): RowVerdict {
  if (row.exit !== undefined) {
    const isGood = row.exit === '0';
    return {
      state: 'ended',
      end: endOf(row, isGood ? 'normal' : 'failed', `The job script ended with ${row.exit}; PBS has forgotten the job.`),
    };
  }
  const { looks, since, isAlive } = countLook(row, missing, now);
  // Whatever PBS has forgotten (its server was renamed, a row of its answer is lost): what beats is not dead.
  if (isAlive) return { state: 'running', comment: 'PBS does not know the job, but its agents are alive' };
  const wasThere = row.seen || row.claimed;
  if (!wasThere) {
    if (looks < 2 || (row.age ?? 0) < rule.settleSeconds) return { state: 'unknown', comment: 'PBS does not show the job yet' };
    return {
      state: 'ended',
      end: endOf(
        row,
        'never_ran',
        'PBS took the job and dropped it without a trace: no queue behind the routing queue takes it. Compare nodes and walltime with `holdfast systems show`.',
      ),
    };
  }
  if (looks >= rule.looks && (now - since >= rule.seconds || row.cancelled !== undefined)) {
    return {
      state: 'ended',
      end: endOf(
        row,
        row.cancelled === undefined ? 'lost' : 'killed',
        `PBS no longer knows the job, and it left no exit file (${looks} looks).`,
      ),
    };
  }
  return { ...asKnown(row), comment: `PBS does not know the job (${looks} looks)` };
}

function pilotSeen(row: PilotRow, verdict: RowVerdict): PilotSeen {
  const sum = (pick: (beat: PilotRow['heartbeats'][number]) => number) => row.heartbeats.reduce((total, beat) => total + pick(beat), 0);
  return {
    pilot: row.pilot,
    state: verdict.state,
    ...(row.id === undefined ? {} : { nativeId: row.id }),
    slots: row.about.slots,
    ...(verdict.comment === undefined ? {} : { comment: verdict.comment }),
    ...(verdict.end === undefined ? {} : { end: verdict.end }),
    finished: sum((beat) => beat.finished),
    allocatedSlotSeconds: sum((beat) => beat.allocated_slot_seconds),
    busySlotSeconds: sum((beat) => beat.busy_slot_seconds),
  };
}
