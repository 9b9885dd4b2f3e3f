import { RECALL_REASON, type SentOrders, type SystemOrder } from '../driver.ts';
import { type CampaignFacts, newAttempt } from './campaign-facts.ts';
import type { CampaignWatch } from './campaign-watch.ts';
import { submitControl } from './control-tasks.ts';
import { noteRefusal } from './endpoint-health.ts';
import { concernsOneCampaign } from './http-errors.ts';
import type { KnownCampaigns } from './known-campaigns.ts';
import { sendStops } from './stop-files.ts';
import { isPausing, isTrouble, submitOrWait, wasNeverSent } from './waiting-attempts.ts';
import { nameOf, sight } from './watch-trials.ts';

type Answer = SentOrders['answers'][number];
type Offer = Extract<SystemOrder, { kind: 'offer' }>;
type Stop = Extract<SystemOrder, { kind: 'stop' }>;

/** Takes one campaign's offers and stops: what is new goes into the facts first, then out. Each order however often it is given has one effect. */
export async function takeOrders(
  known: KnownCampaigns,
  campaign: string,
  orders: readonly (Offer | Stop)[],
): Promise<Map<SystemOrder, Answer>> {
  const facts = known.find(campaign);
  // One that is being closed, or that is lost and cannot be built again yet: what is offered is asked for once more when it can.
  if (facts === undefined) return new Map(orders.map((order) => [order, order.kind === 'offer' ? 'offered' : 'unknown']));
  const watch = known.watchOf(campaign);
  const answers = new Map<SystemOrder, Answer>();
  const due: string[] = [];
  for (const order of orders) {
    const name = order.kind === 'offer' ? nameOf(order.offer) : nameOf(order);
    if (facts.acknowledged.includes(name) || facts.attempts[name]?.ended !== undefined) answers.set(order, 'done');
    else if (order.kind === 'stop') answers.set(order, await takeStop(known, facts, name, order));
    else {
      if (takeOffer(facts, watch, name, order)) due.push(name);
      answers.set(order, 'offered');
    }
  }
  await known.store.save(facts);
  // A stop that is refused, or that the service cannot take now, is tried again with each look; the attempt ends without it in the end.
  await unlessHeldUp(watch, () => sendStops(known.lookOf(facts)));
  if (isPausing(watch)) await putOff(known, facts, watch, due);
  else if (due.length > 0 || facts.intent !== undefined) await submitOrWait(known.submitContext(facts), watch, known.times, due);
  for (const name of due) sight(watch.sights, name);
  return answers;
}

/** What is new while the service has trouble with this campaign's submissions goes out with the rest. */
async function putOff(known: KnownCampaigns, facts: CampaignFacts, watch: CampaignWatch, due: readonly string[]): Promise<void> {
  for (const name of due) {
    const attempt = facts.attempts[name];
    if (attempt !== undefined) attempt.unsent = watch.resend?.trouble;
  }
  await known.store.save(facts);
}

/** True: it is to be submitted now. */
function takeOffer(facts: CampaignFacts, watch: CampaignWatch, name: string, { offer }: Offer): boolean {
  const { rebuilding } = facts;
  if (facts.attempts[name] === undefined && rebuilding?.uncertain.includes(name)) {
    // It may have been sent before the facts were lost: the pending tasks of the group and the file system are asked first.
    rebuilding.uncertain = rebuilding.uncertain.filter((other) => other !== name);
    facts.attempts[name] = newAttempt(offer, rebuilding.strays);
    sight(watch.sights, name).isSuspect = true;
    return false;
  }
  // What was offered before and has no task (its submission was cut off) is due again; what has one is not.
  facts.attempts[name] ??= newAttempt(offer);
  return facts.attempts[name].tasks.length === 0 && !watch.sights.get(name)?.isSuspect;
}

async function takeStop(known: KnownCampaigns, facts: CampaignFacts, name: string, { reason }: Stop): Promise<Answer> {
  const attempt = facts.attempts[name];
  if (reason === RECALL_REASON) return attempt === undefined ? 'unknown' : 'stopping';
  if (attempt === undefined) {
    // One that was sent before the facts were lost runs perhaps, and nobody waits for its end: it stops by its file.
    if (facts.rebuilding?.uncertain.includes(name)) {
      const stop = { op: 'stop', directory: facts.directory, names: [name], reason };
      await unlessRefused(known.watchOf(facts.campaign), () => submitControl(known.targetOf(facts), [stop]));
    }
    return 'unknown';
  }
  if (wasNeverSent(attempt)) {
    delete facts.attempts[name];
    known.watchOf(facts.campaign).sights.delete(name);
    return 'withdrawn';
  }
  attempt.stop ??= { reason, placed: false };
  return 'stopping';
}

/** What keeps one campaign's requests from going out, and is asked again by its looks, ends the exchange for nobody. */
async function unlessHeldUp(watch: CampaignWatch, work: () => Promise<unknown>): Promise<void> {
  await unlessRefused(watch, async () => {
    try {
      await work();
    } catch (error) {
      if (!isTrouble(error)) throw error;
      watch.trouble = error.code;
    }
  });
}

/** What the campaign's endpoint refuses ends the exchange for nobody; the campaign is told. */
async function unlessRefused(watch: CampaignWatch, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!concernsOneCampaign(error)) throw error;
    noteRefusal(watch.health, error);
  }
}
