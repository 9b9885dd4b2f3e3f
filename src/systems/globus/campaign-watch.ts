import type { DoneRecord } from '../../domain/spool.ts';
import { lookAnswer, type Seen, seen as seenSchema } from './answers.ts';
import type { CampaignFacts } from './campaign-facts.ts';
import { submitControl, type TaskTarget, taskEnd } from './control-tasks.ts';
import { checkHealth, type EndpointHealth, unknownHealth } from './endpoint-health.ts';
import type { DriverTimes } from './options.ts';
import { type SubmitContext, settleIntent, submitAttempts } from './submit-trials.ts';
import { type AttemptSight, endAttempt, givenUp, judgeSight, keepFiles, sight, takeInTasks } from './watch-trials.ts';
import type { GlobusTask } from './wire.ts';

/** What this process sees of one campaign between looks; a restarted worker begins anew. */
export interface CampaignWatch {
  readonly sights: Map<string, AttemptSight>;
  readonly health: EndpointHealth;
  /** A task that asks the endpoint's file system, and what it was asked for. */
  scout?: { readonly id: string; readonly names: readonly string[]; readonly withRestart: boolean };
  scoutedAt: number;
  /** A task that writes stop files, and for which attempts. */
  stopping?: { readonly id: string; readonly names: readonly string[] };
}

export function newWatch(): CampaignWatch {
  return { sights: new Map(), health: unknownHealth(), scoutedAt: performance.now() };
}

/** Answers of one status request that was made for several campaigns together. */
export interface AskedTasks {
  readonly ids: ReadonlySet<string>;
  /** Absent: the service does not know it. */
  readonly found: ReadonlyMap<string, GlobusTask>;
}

/** The tasks of a campaign that a look asks about. */
export function taskIds(facts: CampaignFacts, watch: CampaignWatch): Set<string> {
  const live = Object.values(facts.attempts).filter((attempt) => attempt.ended === undefined);
  const ids = new Set(live.flatMap((attempt) => attempt.tasks));
  if (watch.scout) ids.add(watch.scout.id);
  if (watch.stopping) ids.add(watch.stopping.id);
  return ids;
}

export interface CampaignLook {
  readonly facts: CampaignFacts;
  readonly watch: CampaignWatch;
  readonly target: TaskTarget;
  readonly times: DriverTimes;
  readonly signal?: AbortSignal;
  /** What was asked for all campaigns at once; the rest is asked here. */
  readonly asked?: AskedTasks;
  readonly context: SubmitContext;
}

/** Submissions that only ask what became of a training that was started; they run nothing anew. */
const SETTLING_SUBMITS = 5;
/** Done records that are moved aside by one task. */
const COLLECT_BATCH = 50;

/** One look at one campaign: the states of all its tasks, and what follows from them. */
export async function lookAtCampaign(look: CampaignLook): Promise<void> {
  const { facts, watch } = look;
  if (facts.intent !== undefined) await settleIntent(look.context);
  const ids = taskIds(facts, watch);
  const tasks = await statesOf(look, ids);
  for (const answer of takeInTasks(facts, tasks, watch.sights)) {
    if (answer.state === 'ended') await keepFiles(facts.localDirectory, answer.record, answer.files);
  }
  for (const [name, attempt] of Object.entries(facts.attempts)) {
    if (attempt.ended === undefined && attempt.tasks.length === 0) sight(watch.sights, name).isSuspect = true;
  }
  await checkEndpoint(look);
  await takeInScout(look, tasks);
  takeInStops(look, tasks);
  if (ids.size > 0) await look.context.save();
  await sendStops(look);
  await sendScout(look);
  await moveCollected(look);
}

/** States of tasks: from the common answer, and for what came up since then by a request of its own. */
async function statesOf({ target, asked, signal }: CampaignLook, ids: ReadonlySet<string>): Promise<Map<string, GlobusTask>> {
  const rest = [...ids].filter((id) => !asked?.ids.has(id));
  const states = rest.length === 0 ? new Map<string, GlobusTask>() : await target.client.tasks(rest, signal);
  for (const id of ids) {
    const known = asked?.found.get(id);
    if (known !== undefined) states.set(id, known);
  }
  return states;
}

async function checkEndpoint({ facts, watch, target, times, signal }: CampaignLook): Promise<void> {
  const pending = Object.values(facts.attempts).filter((attempt) => attempt.ended === undefined && attempt.tasks.length > 0).length;
  if (pending === 0 || performance.now() - watch.health.checkedAt < times.health * 1000) return;
  await checkHealth(target.client, facts.endpointId, watch.health, pending, signal);
}

/** Asks the file system about suspects at once, about everything that runs for live metrics or now and then. One such task at a time. */
async function sendScout({ facts, watch, target, times, signal }: CampaignLook): Promise<void> {
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
  watch.scout = { id, names, withRestart: watch.health.hasRestarted };
  watch.scoutedAt = performance.now();
  watch.health.hasRestarted = false;
}

async function takeInScout(look: CampaignLook, tasks: ReadonlyMap<string, GlobusTask>): Promise<void> {
  const { facts, watch, target } = look;
  const { scout } = watch;
  if (!scout) return;
  const end = taskEnd(tasks.get(scout.id));
  if (end === undefined) {
    // A scout may itself have been handed to a process that died.
    if (watch.health.hasRestarted) delete watch.scout;
    return;
  }
  delete watch.scout;
  if (end.kind === 'failed' && /InvalidResourceSpecification/.test(end.text)) target.priority.isKnown = false;
  const parsed = end.kind === 'value' ? lookAnswer.safeParse(end.value) : undefined;
  if (!parsed?.success) return;
  const again: string[] = [];
  for (const name of scout.names) {
    const seen = parsed.data.found[`${name} ${facts.directory}`];
    if (seen === undefined) continue;
    const read = seenSchema.safeParse(seen);
    if (!read.success) takeInDamage(facts, name);
    else if (takeInSight(look, name, read.data, scout.withRestart)) again.push(name);
  }
  if (again.length === 0) return;
  await look.context.save();
  await submitAttempts(look.context, again);
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

/**
 * Sends stop files for everything that is to stop, by one small task that is not waited for: it needs a free worker. A running agent polls them, a
 * queued attempt finds its own when it starts and ends unstarted.
 */
export async function sendStops({ facts, watch, target, signal }: CampaignLook): Promise<void> {
  if (watch.stopping) return;
  const due = Object.entries(facts.attempts).filter(
    ([, attempt]) => attempt.stop !== undefined && !attempt.stop.placed && attempt.ended === undefined,
  );
  const reason = due[0]?.[1].stop?.reason;
  if (reason === undefined) return;
  const names = due.filter(([, attempt]) => attempt.stop?.reason === reason).map(([name]) => name);
  const [id] = await submitControl(target, [{ op: 'stop', directory: facts.directory, names, reason }], signal);
  if (id !== undefined) watch.stopping = { id, names };
}

function takeInStops({ facts, watch, target }: CampaignLook, tasks: ReadonlyMap<string, GlobusTask>): void {
  if (!watch.stopping) return;
  const end = taskEnd(tasks.get(watch.stopping.id));
  if (end === undefined && !watch.health.hasRestarted) return;
  if (end?.kind === 'failed' && /InvalidResourceSpecification/.test(end.text)) target.priority.isKnown = false;
  if (end?.kind === 'value') {
    for (const name of watch.stopping.names) {
      const stop = facts.attempts[name]?.stop;
      if (stop) stop.placed = true;
    }
  }
  delete watch.stopping;
}

/** Acknowledged records leave spool/done, many by one small task that nobody waits for. */
async function moveCollected({ facts, target, context, signal }: CampaignLook): Promise<void> {
  if (facts.uncollected.length < COLLECT_BATCH) return;
  await submitControl(target, [{ op: 'collect', directory: facts.directory, names: facts.uncollected }], signal);
  facts.uncollected = [];
  await context.save();
}

/** What people should know: states in the service's own words, an endpoint that is offline. */
export function watchNotices(facts: CampaignFacts, watch: CampaignWatch): string[] {
  const notices: string[] = [];
  if (facts.warning !== undefined) notices.push(`${facts.campaign}: ${facts.warning}`);
  if (!watch.health.isOnline)
    notices.push(`endpoint ${facts.endpointId} is offline: start it with \`holdfast endpoint start\`; the trials wait.`);
  const counts = new Map<string, number>();
  for (const [name, attempt] of Object.entries(facts.attempts)) {
    if (attempt.ended !== undefined) continue;
    const state = watch.sights.get(name)?.state ?? 'submitted';
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  if (counts.size > 0) notices.push(`${facts.campaign}: ${[...counts].map(([state, count]) => `${count} ${state}`).join(', ')}`);
  const lost = Object.entries(facts.attempts).filter(
    ([name, attempt]) => attempt.ended === undefined && watch.sights.get(name)?.isSuspect,
  ).length;
  if (lost > 0) notices.push(`${facts.campaign}: ${lost} attempts are looked up on the endpoint's file system`);
  return notices;
}
