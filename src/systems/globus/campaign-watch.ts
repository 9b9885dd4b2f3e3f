import type { CampaignFacts } from './campaign-facts.ts';
import { submitControl, type TaskTarget } from './control-tasks.ts';
import { checkHealth, type EndpointHealth, noteRefusal, unknownHealth } from './endpoint-health.ts';
import { concernsOneCampaign } from './http-errors.ts';
import type { DriverTimes } from './options.ts';
import { sendScout, takeInScout } from './scout-attempts.ts';
import { sendStops, takeInStops } from './stop-files.ts';
import { type SubmitContext, settleIntent } from './submit-trials.ts';
import { endUnreachable } from './unreachable-attempts.ts';
import { isWaiting, sendWaiting } from './waiting-attempts.ts';
import { type AttemptSight, keepFiles, sight, takeInTasks } from './watch-trials.ts';
import type { GlobusTask } from './wire.ts';

/** What this process sees of one campaign between looks; a restarted worker begins anew. */
export interface CampaignWatch {
  readonly sights: Map<string, AttemptSight>;
  readonly health: EndpointHealth;
  /** A task that asks the endpoint's file system, and what it was asked for. */
  scout?: {
    readonly id: string;
    readonly names: readonly string[];
    readonly withRestart: boolean;
    /** Tasks that had been submitted before it, by attempt. */
    readonly before: ReadonlyMap<string, string>;
  };
  scoutedAt: number;
  /** No worker was free to read files lately: until then (performance.now()) nobody waits for one again. */
  filesWaitUntil?: number;
  /** The code of what cut off the last look at it; its words may change from look to look. */
  trouble?: string;
  /** A submission of trials was refused or met trouble: when it is tried again (performance.now()), and the pause until then. */
  resend?: { readonly at: number; readonly seconds: number; readonly trouble?: string };
  /** A task that writes stop files, and for which attempts. */
  stopping?: { readonly id: string; readonly names: readonly string[]; readonly at: number };
}

/**
 * A small task that was sent so long ago may have been handed to a process that died, which nobody need have seen: the console is for owners. Another one
 * does no harm where the first only waits for a free worker.
 */
export function isForgotten(sentAt: number, { lossCheck }: DriverTimes): boolean {
  return performance.now() - sentAt > 2 * lossCheck * 1000;
}

/** A campaign of which nothing was seen yet. */
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

/** Done records that are moved aside by one task. */
const COLLECT_BATCH = 50;

/** One look at one campaign: the states of all its tasks, and what follows from them. */
export async function lookAtCampaign(look: CampaignLook): Promise<void> {
  const { facts, watch } = look;
  if (facts.intent !== undefined) await settleIntent(look.context);
  const ids = taskIds(facts, watch);
  const tasks = await statesOf(look, ids).catch(unlessRefused(look));
  if (tasks === undefined) return;
  for (const answer of takeInTasks(facts, tasks, watch.sights)) {
    if (answer.state === 'ended') await keepFiles(facts.localDirectory, answer.record, answer.files);
  }
  for (const [name, attempt] of Object.entries(facts.attempts)) {
    if (attempt.ended === undefined && attempt.tasks.length === 0 && !isWaiting(attempt)) sight(watch.sights, name).isSuspect = true;
  }
  await checkEndpoint(look);
  await takeInScout(look, tasks);
  takeInStops(look, tasks);
  const isGivenUp = endUnreachable(look);
  if (ids.size > 0 || isGivenUp) await look.context.save();
  await sendStops(look);
  await sendScout(look);
  await moveCollected(look);
  await sendWaiting(look);
}

/** While nothing may be asked of its tasks nothing follows from them, but what is to stop ends in the end. */
function unlessRefused({ facts, watch, times, context }: CampaignLook): (error: unknown) => Promise<undefined> {
  return async (error) => {
    if (!concernsOneCampaign(error)) throw error;
    noteRefusal(watch.health, error);
    if (endUnreachable({ facts, watch, times })) await context.save();
  };
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
  const open = Object.values(facts.attempts).filter((attempt) => attempt.ended === undefined);
  // Also those that no task carries any more: they wait for the endpoint to come back.
  if (open.length === 0 || performance.now() - watch.health.checkedAt < times.health * 1000) return;
  const pending = open.filter((attempt) => attempt.tasks.length > 0).length;
  await checkHealth(target.client, facts.endpointId, watch.health, pending, signal);
}

/** Acknowledged records leave spool/done, many by one small task that nobody waits for. */
async function moveCollected({ facts, target, context, signal }: CampaignLook): Promise<void> {
  if (facts.uncollected.length < COLLECT_BATCH) return;
  await submitControl(target, [{ op: 'collect', directory: facts.directory, names: facts.uncollected }], signal);
  facts.uncollected = [];
  await context.save();
}

/** What keeps one campaign from going on while the system serves the others: what was refused and what to do. Undefined: nothing. */
export function concernOf(facts: CampaignFacts, watch: CampaignWatch): string | undefined {
  const refusal =
    watch.health.refusal ??
    Object.values(facts.attempts)
      .filter(isWaiting)
      .find(({ refused }) => refused !== undefined)?.refused;
  return refusal === undefined ? undefined : `${refusal} The trials wait.`;
}

/** What people should know: states in the service's own words, an endpoint that is offline. */
export function watchNotices(facts: CampaignFacts, watch: CampaignWatch): string[] {
  const notices: string[] = [];
  const concern = concernOf(facts, watch);
  if (facts.warning !== undefined) notices.push(`${facts.campaign}: ${facts.warning}`);
  if (concern !== undefined) notices.push(`${facts.campaign}: ${concern}`);
  else if (!watch.health.isOnline)
    notices.push(`endpoint ${facts.endpointId} is offline: start it with \`holdfast endpoint start\`; the trials wait.`);
  if (watch.trouble !== undefined)
    notices.push(`${facts.campaign}: not all could be asked of its endpoint (${watch.trouble}); it is asked again.`);
  const unsent = Object.values(facts.attempts).filter((attempt) => isWaiting(attempt) && attempt.unsent !== undefined);
  if (unsent.length > 0)
    notices.push(
      `${facts.campaign}: ${unsent.length} attempts could not be sent (${unsent[0]?.unsent}); they are sent again, ever less often.`,
    );
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
