import { rename, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { inflateSync } from 'node:zlib';
import { isFailureClass } from '../../domain/failures.ts';
import { attemptName } from '../../domain/ids.ts';
import type { BusySlot, DoneRecord } from '../../domain/spool.ts';
import { makeFolder } from '../../make-folder.ts';
import { type Seen, type TrialAnswer, trialAnswer } from './answers.ts';
import type { AttemptFacts, CampaignFacts } from './campaign-facts.ts';
import { type TaskEnd, taskEnd } from './control-tasks.ts';
import { judgeTaskFailure } from './task-errors.ts';
import type { GlobusTask } from './wire.ts';

/** What this process has seen of an attempt; lost with the process and seen again by the next one. */
export interface AttemptSight {
  /** State of its task in the service's words. */
  state: string;
  /** performance.now() when it was first seen running. */
  runningSince?: number;
  /** Last heartbeat number and when it changed (performance.now()). */
  beat?: { readonly value: number; readonly at: number };
  busy?: BusySlot;
  /** It was asked to stop, and its endpoint cannot be reached (performance.now()). */
  unreachableSince?: number;
  /** The file system must be asked: the service has lost it, or its agent may be dead. */
  isSuspect?: boolean;
  /** Trials that were sent after these tasks have begun, and nothing of it was there at any look since (seconds of performance.now()). */
  overtaken?: { readonly tasks: string; readonly at: number };
  /** Tasks that the service did not know at the last look: one that was just taken may not be everywhere yet. */
  unknown?: ReadonlySet<string>;
}

/** The one pilot name of a Globus system: the endpoint is the pilot. */
export const PILOT = 'globus';

/** Name of a record's attempt: `trial-0007.1`. */
export function nameOf(record: { readonly trial: string; readonly attempt: number }): string {
  return attemptName(Number(record.trial.replace('trial-', '')), record.attempt);
}

/**
 * Takes in the service's answer about the tasks of one campaign. Ends go into the facts; attempts whose last task ended without an end of their own
 * are left without tasks and suspect: the file system knows more. Returns the names of what ended, with the small files that came along.
 */
export function takeInTasks(
  facts: CampaignFacts,
  tasks: ReadonlyMap<string, GlobusTask>,
  sights: Map<string, AttemptSight>,
): TrialAnswer[] {
  const answers: TrialAnswer[] = [];
  for (const [id, names] of carriers(facts)) {
    const task = tasks.get(id);
    const isNewlyUnknown = names.map((name) => noteUnknown(sight(sights, name), id, task === undefined)).includes(true);
    if (isNewlyUnknown) continue;
    const end = taskEnd(task);
    if (end === undefined) {
      for (const name of names) noteState(sight(sights, name), task?.status ?? 'unknown');
      continue;
    }
    const answer = end.kind === 'value' ? trialAnswer.safeParse(end.value) : undefined;
    if (answer?.success) {
      if (names.includes(answer.data.name)) answers.push(answer.data);
      takeInAnswer(facts, sights, answer.data, id);
    }
    for (const name of names) {
      const attempt = facts.attempts[name];
      if (!attempt) continue;
      attempt.tasks = attempt.tasks.filter((task) => task !== id);
      if (attempt.ended !== undefined || (answer?.success && answer.data.name !== name)) continue;
      sight(sights, name).isSuspect = true;
      if (answer?.success) continue;
      const failure = failureOf(end);
      // Of a task that several share nobody knows whose end it is; one that is final must not end the others.
      if (failure?.infrastructure || names.length === 1) attempt.failure = failure;
    }
  }
  return answers;
}

/** True: the service does not know the task for the first time. The file system is asked, but only a second silence means that the task is gone. */
function noteUnknown(view: AttemptSight, id: string, isUnknown: boolean): boolean {
  const was = view.unknown?.has(id) === true;
  const others = [...(view.unknown ?? [])].filter((other) => other !== id);
  view.unknown = new Set(isUnknown ? [...others, id] : others);
  if (isUnknown) view.isSuspect = true;
  return isUnknown && !was;
}

function carriers(facts: CampaignFacts): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, attempt] of Object.entries(facts.attempts)) {
    if (attempt.ended !== undefined) continue;
    for (const id of attempt.tasks) found.set(id, [...(found.get(id) ?? []), name]);
  }
  return found;
}

function takeInAnswer(facts: CampaignFacts, sights: Map<string, AttemptSight>, answer: TrialAnswer, task: string): void {
  const attempt = facts.attempts[answer.name];
  if (!attempt || attempt.ended !== undefined) return;
  attempt.task = task;
  if (answer.state === 'ended') endAttempt(attempt, answer.record);
  else sight(sights, answer.name).isSuspect = true;
}

function failureOf(end: TaskEnd): AttemptFacts['failure'] {
  if (end.kind === 'failed') return judgeTaskFailure(end.text);
  const message = end.kind === 'lost' ? end.message : 'the task answered something unexpected';
  return { class: 'lost', message, infrastructure: true };
}

const RUNNING = new Set(['running', 'execution-start', 'execution-end']);

function noteState(sight: AttemptSight, state: string): void {
  sight.state = state;
  if (RUNNING.has(state)) sight.runningSince ??= performance.now();
}

/** What is known of an attempt from looks; a new one counts as submitted. */
export function sight(sights: Map<string, AttemptSight>, name: string): AttemptSight {
  let found = sights.get(name);
  if (!found) {
    found = { state: 'submitted' };
    sights.set(name, found);
  }
  return found;
}

/** What to do with an attempt after the file system was asked. */
export type AfterSight = 'ended' | 'wait' | 'submit';

/**
 * Judges what the endpoint's file system says of one attempt: an end counts, a growing heartbeat means patience, silence means that the same attempt is
 * submitted again (its claim makes sure that a training that was started is never started twice: the agent then tells what became of it).
 */
export function judgeSight(attempt: AttemptFacts, seen: Seen, view: AttemptSight, staleSeconds: number, restarted: boolean): AfterSight {
  if (seen.state === 'ended' && 'record' in seen) return 'ended';
  const carried = attempt.tasks.length > 0;
  if (!('beat' in seen) || typeof seen.beat !== 'number') return carried && !restarted ? 'wait' : 'submit';
  const now = performance.now();
  if (view.beat === undefined || view.beat.value !== seen.beat) {
    view.beat = { value: seen.beat, at: now };
    const busy = (seen.busy as readonly BusySlot[])[0];
    if (busy) view.busy = busy;
    view.runningSince ??= now;
    // An agent at its end without a record of this attempt has given it up.
    return seen.state === 'ended' ? 'submit' : 'wait';
  }
  return now - view.beat.at > staleSeconds ? 'submit' : 'wait';
}

/** An attempt's end, charged with the runs that the machine failed before. */
export function endAttempt(attempt: AttemptFacts, record: DoneRecord): void {
  attempt.ended = {
    ...record,
    pilot: PILOT,
    ...(attempt.task === undefined ? {} : { native_id: attempt.task }),
    ...(attempt.resubmits === 0 ? {} : { retried: attempt.resubmits }),
  };
}

/** The end of an attempt that the machine failed more often than allowed, or that failed for good outside the training. */
export function givenUp(facts: CampaignFacts, attempt: AttemptFacts, now: number = Date.now()): DoneRecord {
  const failure = attempt.failure ?? { class: 'lost', message: 'The attempt vanished without a result.', infrastructure: true };
  const { trial, attempt: number } = attempt.offer;
  return {
    version: 1,
    campaign: facts.campaign,
    trial,
    attempt: number,
    status: 'failed',
    exit_code: null,
    signal: null,
    error: { class: isFailureClass(failure.class) ? failure.class : 'lost', message: failure.message.slice(0, 500) },
    values: null,
    metrics: {},
    curve: [],
    step: null,
    started_at: now,
    ended_at: now,
    run_seconds: 0,
    pilot: PILOT,
    host: '',
    slot: 0,
    resumed_from: null,
    has_checkpoint: false,
    directory: `trials/${trial}/attempt-${number}`,
    files: [],
  };
}

/** What runs now, for the live view. */
export function busySlots(facts: CampaignFacts, sights: ReadonlyMap<string, AttemptSight>): BusySlot[] {
  const now = performance.now();
  return Object.entries(facts.attempts).flatMap(([name, attempt], slot): BusySlot[] => {
    const view = sights.get(name);
    if (attempt.ended !== undefined || view?.runningSince === undefined) return [];
    const seconds = Math.round((now - view.runningSince) / 1000);
    const task = attempt.task === undefined ? {} : { native_id: attempt.task };
    if (view.busy) return [{ ...view.busy, ...task, slot, run_seconds: Math.max(seconds, view.busy.run_seconds) }];
    return [
      {
        trial: attempt.offer.trial,
        attempt: attempt.offer.attempt,
        slot,
        run_seconds: seconds,
        step: null,
        value: null,
        rungs: [],
        recent: [],
        ...task,
      },
    ];
  });
}

/** Writes the small files that came with an end into the local launch folder. Names that lead out of it are dropped. */
export async function keepFiles(localDirectory: string, record: DoneRecord, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    const target = localPath(localDirectory, record, path);
    if (target !== undefined) await replaceFile(target, inflateSync(Buffer.from(text, 'base64')));
  }
}

/** Where a file of an attempt lies on this computer; undefined when its name leads out of the launch folder. */
export function localPath(localDirectory: string, record: DoneRecord, path: string): string | undefined {
  const relative = normalize(join(record.directory, path));
  return relative.startsWith('..') || relative.startsWith('/') ? undefined : join(localDirectory, relative);
}

/** Writes a file whole, by rename; not durable: it can be fetched again. */
export async function replaceFile(path: string, content: Buffer): Promise<void> {
  await makeFolder(dirname(path));
  await writeFile(`${path}.part`, content);
  await rename(`${path}.part`, path);
}
