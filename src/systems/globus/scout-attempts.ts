import type { DoneRecord } from '../../domain/spool.ts';
import { lookAnswer, type Seen, seen as seenSchema } from './answers.ts';
import type { CampaignFacts } from './campaign-facts.ts';
import { type CampaignLook, isForgotten } from './campaign-watch.ts';
import { submitControl, taskEnd } from './control-tasks.ts';
import { newestStart, noteOvertaken, type TaskOrder, taskOrder } from './overtaken.ts';
import { isWaiting, submitOrWait } from './waiting-attempts.ts';
import { endAttempt, givenUp, judgeSight, sight } from './watch-trials.ts';
import type { GlobusTask } from './wire.ts';

/** Submissions that only ask what became of a training that was started; they run nothing anew. */
const SETTLING_SUBMITS = 5;
/** Asks the file system about suspects at once, about everything that runs for live metrics or now and then. One such task at a time. */
export async function sendScout({ facts, watch, target, times, signal }: CampaignLook): Promise<void> {
  if (watch.scout || !watch.health.isOnline) return;
  const live = Object.entries(facts.attempts).filter(([, attempt]) => attempt.ended === undefined);
  const isDue = performance.now() - watch.scoutedAt > times.lossCheck * 1000;
  const wantsAll = watch.health.hasRestarted || isDue;
  const names = live
    .filter(([name]) => {
      const view = watch.sights.get(name);
      return wantsAll || view?.isSuspect || view?.beat !== undefined || (facts.liveMetrics && view?.runningSince !== undefined);
    })
    .map(([name]) => name);
  const hasReason = wantsAll || (facts.liveMetrics && names.length > 0) || names.some((name) => watch.sights.get(name)?.isSuspect);
  if (!hasReason || names.length === 0) return;
  const [id] = await submitControl(target, [{ op: 'look', attempts: [[facts.directory, names]] }], signal);
  if (id === undefined) return;
  watch.scout = { id, names, withRestart: watch.health.hasRestarted, before: new Map(names.map((name) => [name, tasksOf(facts, name)])) };
  watch.scoutedAt = performance.now();
  watch.health.hasRestarted = false;
}

/** Takes in what the scout brought: ends, heartbeats, and attempts that must be submitted again. */
export async function takeInScout(look: CampaignLook, tasks: ReadonlyMap<string, GlobusTask>): Promise<void> {
  const { facts, watch, target } = look;
  const { scout } = watch;
  if (!scout) return;
  const end = taskEnd(tasks.get(scout.id));
  if (end === undefined) {
    if (watch.health.hasRestarted || isForgotten(watch.scoutedAt, look.times)) delete watch.scout;
    return;
  }
  delete watch.scout;
  if (end.kind === 'failed' && /InvalidResourceSpecification/.test(end.text)) target.priority.isKnown = false;
  const parsed = end.kind === 'value' ? lookAnswer.safeParse(end.value) : undefined;
  if (!parsed?.success) return;
  const again: string[] = [];
  const sights = new Map<string, Seen>();
  for (const name of scout.names) {
    const read = seenSchema.safeParse(parsed.data.found[`${name} ${facts.directory}`]);
    if (read.success) sights.set(name, read.data);
    else if (parsed.data.found[`${name} ${facts.directory}`] !== undefined) takeInDamage(facts, name);
  }
  const order = taskOrder(facts);
  const queue = { order, newest: newestStart(facts.attempts, sights, order) };
  for (const [name, seen] of sights) {
    const isLost = scout.withRestart || isOfAnotherEngine(facts, name, parsed.data.engine) || isOvertaken(look, name, seen, queue);
    if (takeInSight(look, name, seen, isLost)) again.push(name);
    else if (parsed.data.engine != null && scout.before.get(name) === tasksOf(facts, name)) noteEngine(facts, name, parsed.data.engine);
  }
  if (again.length === 0) return;
  await look.context.save();
  await submitOrWait(look.context, watch, look.times, again);
}

function tasksOf(facts: CampaignFacts, name: string): string {
  return facts.attempts[name]?.tasks.join(' ') ?? '';
}

/**
 * Its task had been handed to the endpoint when another engine ran there, and that one's queue is gone with it (globus.md section 1.4). A process that only
 * went idle held no task.
 */
function isOfAnotherEngine(facts: CampaignFacts, name: string, engine: string | null | undefined): boolean {
  const before = facts.attempts[name]?.engine;
  return engine != null && before !== undefined && before !== engine;
}

function isOvertaken(
  { facts, watch, times }: CampaignLook,
  name: string,
  seen: Seen,
  queue: { readonly order: TaskOrder; readonly newest: number },
): boolean {
  const attempt = facts.attempts[name];
  if (attempt === undefined || attempt.ended !== undefined) return false;
  const patience = { nowSeconds: performance.now() / 1000, patienceSeconds: times.lossCheck };
  return noteOvertaken(attempt, seen, sight(watch.sights, name), { ...queue, ...patience });
}

function noteEngine(facts: CampaignFacts, name: string, engine: string): void {
  const attempt = facts.attempts[name];
  if (attempt !== undefined && attempt.tasks.length > 0 && attempt.ended === undefined) attempt.engine = engine;
}

/** A done record that cannot be read is an end all the same: it stays on the endpoint for people to look at. */
function takeInDamage(facts: CampaignFacts, name: string): void {
  const attempt = facts.attempts[name];
  if (!attempt || attempt.ended !== undefined) return;
  attempt.failure = {
    class: 'bad_result',
    message: `The done record of ${name} cannot be read (${facts.directory}/spool/done).`,
    infrastructure: false,
  };
  endAttempt(attempt, givenUp(facts, attempt));
}

/** Applies what the file system says of one attempt; true: it is to be submitted again. */
function takeInSight({ facts, watch, times }: CampaignLook, name: string, seen: Seen, withRestart: boolean): boolean {
  const attempt = facts.attempts[name];
  if (!attempt || attempt.ended !== undefined) return false;
  const view = sight(watch.sights, name);
  const verdict = judgeSight(attempt, seen, view, times.stale, withRestart);
  if (verdict === 'ended' && 'record' in seen) {
    endAttempt(attempt, seen.record as DoneRecord);
    return false;
  }
  if (verdict === 'wait') {
    view.isSuspect = attempt.tasks.length === 0;
    return false;
  }
  // It is sent again by itself, and is not charged for what the service refused or could not do.
  if (isWaiting(attempt)) return false;
  const wasStarted = 'beat' in seen;
  const isFinal = attempt.failure !== undefined && !attempt.failure.infrastructure;
  const isSpent = wasStarted ? attempt.settlings >= SETTLING_SUBMITS : attempt.resubmits >= facts.maxRetries;
  if (isFinal || isSpent) {
    // A late start of what is given up here must end unstarted, or the next attempt would run beside it.
    if (attempt.stop?.placed) endAttempt(attempt, givenUp(facts, attempt));
    else attempt.stop ??= { reason: 'This attempt was given up.', placed: false };
    view.isSuspect = true;
    return false;
  }
  attempt.tasks = [];
  if (wasStarted) attempt.settlings++;
  else attempt.resubmits++;
  view.isSuspect = false;
  delete view.runningSince;
  delete view.beat;
  return true;
}
