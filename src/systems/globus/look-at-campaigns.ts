import { createHash } from 'node:crypto';
import { DriverError, type LookRequest, type LookResult } from '../driver.ts';
import type { AuthMethod } from './authorizer.ts';
import type { CampaignFacts } from './campaign-facts.ts';
import { type AskedTasks, concernOf, lookAtCampaign, taskIds, watchNotices } from './campaign-watch.ts';
import type { GlobusConnection } from './connection.ts';
import { noteRefusal } from './endpoint-health.ts';
import { concernsOneCampaign } from './http-errors.ts';
import type { KnownCampaigns } from './known-campaigns.ts';
import { isTrouble } from './waiting-attempts.ts';
import { busySlots, nameOf, PILOT } from './watch-trials.ts';

/** The one look for all campaigns of a system; undefined when nothing is new. `told` are notices about the system itself. */
export async function lookAtCampaigns(
  known: KnownCampaigns,
  connection: GlobusConnection,
  request: LookRequest,
  signal: AbortSignal,
  told: () => Promise<readonly string[]>,
): Promise<LookResult | undefined> {
  for (const { campaign, ...name } of request.acks) {
    const facts = known.find(campaign);
    if (facts) await known.alone(campaign, () => acknowledge(known, facts, nameOf(name)));
  }
  const notices: string[] = [];
  const concerns: { campaign: string; text: string }[] = [];
  const asked = await askTogether(known, connection, signal);
  let failure: DriverError | undefined;
  let isServed = false;
  for (const facts of known.all()) {
    const failed = await lookAtOne(known, facts, { signal, ...asked.get(facts.authMethod) });
    failure ??= failed;
    isServed ||= failed === undefined;
    const watch = known.watchOf(facts.campaign);
    notices.push(...watchNotices(facts, watch));
    const text = concernOf(facts, watch);
    if (text !== undefined) concerns.push({ campaign: facts.campaign, text });
  }
  notices.unshift(...(await told()));
  const ended = known.all().flatMap((facts) => Object.values(facts.attempts).flatMap((attempt) => attempt.ended ?? []));
  // The service answers for nobody: the activity is tried again ever less often. What ended all the same is told first.
  if (failure !== undefined && !isServed && ended.length === 0) throw failure;
  const running = known
    .all()
    .map((facts) => ({ campaign: facts.campaign, pilot: PILOT, busy: busySlots(facts, known.watchOf(facts.campaign).sights) }))
    .filter((entry) => entry.busy.length > 0);
  const cursor = createHash('sha256')
    .update(JSON.stringify([running.map(({ campaign, busy }) => [campaign, busy.map(({ run_seconds: _, ...slot }) => slot)]), notices]))
    .digest('hex');
  if (ended.length === 0 && cursor === request.cursor) return undefined;
  return { cursor, ended, running, pilots: [], broken: [], notices: notices.slice(0, 10), concerns };
}

/** What one campaign's endpoint refuses, or does not answer, must not end the look for the others; the latter is returned. */
async function lookAtOne(
  known: KnownCampaigns,
  facts: CampaignFacts,
  { signal, asked, failure }: { readonly signal: AbortSignal } & Answer,
): Promise<DriverError | undefined> {
  const watch = known.watchOf(facts.campaign);
  delete watch.trouble;
  try {
    if (failure !== undefined) throw failure;
    await known.alone(facts.campaign, () => lookAtCampaign({ ...known.lookOf(facts, signal), ...(asked === undefined ? {} : { asked }) }));
    return undefined;
  } catch (error) {
    if (concernsOneCampaign(error)) {
      noteRefusal(watch.health, error);
      return undefined;
    }
    if (!(error instanceof DriverError) || error.class !== 'transport') throw error;
    watch.trouble = error.code;
    return error;
  }
}

interface Answer {
  readonly asked?: AskedTasks;
  /** The service could not be asked with this login; those of another one are served. */
  readonly failure?: DriverError;
}

/**
 * One status request for the pending tasks of all campaigns, for each login that they use. Where it is refused there is no answer: each campaign asks for
 * its own tasks then, so that a refusal of some concerns those alone.
 */
async function askTogether(known: KnownCampaigns, connection: GlobusConnection, signal: AbortSignal): Promise<Map<AuthMethod, Answer>> {
  const idsOf = new Map<AuthMethod, Set<string>>();
  for (const facts of known.all()) {
    const ids = idsOf.get(facts.authMethod) ?? new Set<string>();
    for (const id of taskIds(facts, known.watchOf(facts.campaign))) ids.add(id);
    idsOf.set(facts.authMethod, ids);
  }
  const answers = new Map<AuthMethod, Answer>();
  for (const [method, ids] of idsOf) {
    if (ids.size === 0) continue;
    try {
      answers.set(method, { asked: { ids, found: await connection.client(method).tasks([...ids], signal) } });
    } catch (error) {
      if (isTrouble(error)) answers.set(method, { failure: error });
      else if (!concernsOneCampaign(error)) throw error;
    }
  }
  return answers;
}

async function acknowledge(known: KnownCampaigns, facts: CampaignFacts, name: string): Promise<void> {
  if (facts.attempts[name]?.ended === undefined) return;
  delete facts.attempts[name];
  known.watchOf(facts.campaign).sights.delete(name);
  facts.acknowledged.push(name);
  facts.uncollected.push(name);
  await known.store.save(facts);
}
