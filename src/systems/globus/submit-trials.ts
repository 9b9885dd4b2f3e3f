import type { OfferRecord } from '../../domain/spool.ts';
import { DriverError } from '../driver.ts';
import type { CampaignFacts } from './campaign-facts.ts';
import type { TaskTarget } from './control-tasks.ts';
import { AmbiguousAnswerError, concernsOneCampaign } from './http-errors.ts';
import { sendInParts } from './payload-parts.ts';
import { sleep } from './request-budget.ts';
import { packPayload } from './serialize.ts';
import { endAttempt, givenUp } from './watch-trials.ts';

/** Attempts of one submission, as the SDK batches. */
export const SUBMIT_BATCH = 128;

export interface SubmitContext {
  readonly facts: CampaignFacts;
  readonly target: TaskTarget;
  /** Writes the facts down before anything else happens. */
  readonly save: () => Promise<void>;
  /** What the task gets. */
  readonly request: (offer: OfferRecord) => unknown;
  /** Opens a new group when the service has forgotten ours. */
  readonly openGroup: () => Promise<{ groupId: string; taskId: string }>;
  /** Seconds until an empty list of the group is believed. */
  readonly settleSeconds: number;
}

/**
 * Submits attempts that are in the facts and have no task yet. Submissions have no idempotency key, so each is written down before it is made, and one
 * whose answer was lost is looked up in the group's list before anything is sent again. What slips through even so is caught by the claim on the
 * endpoint's file system.
 */
export async function submitAttempts(context: SubmitContext, names: readonly string[]): Promise<void> {
  const { facts } = context;
  try {
    await settleIntent(context);
    const due = names.filter((name) => facts.attempts[name]?.tasks.length === 0 && facts.attempts[name].ended === undefined);
    for (let from = 0; from < due.length; from += SUBMIT_BATCH) await submitBatch(context, due.slice(from, from + SUBMIT_BATCH));
  } catch (error) {
    if (error instanceof DriverError && error.class !== 'needs_login') await noteUnsent(context, names, error);
    throw error;
  }
}

async function submitBatch(context: SubmitContext, batch: readonly string[]): Promise<void> {
  const { attempts } = context.facts;
  const payloads = batch.map((name) => packPayload([context.request((attempts[name] as { offer: OfferRecord }).offer)]));
  const chosen = (from: readonly string[], part: readonly number[]) => part.map((index) => from[index] as string);
  await sendInParts(
    payloads,
    (part) => submitPart(context, chosen(batch, part), chosen(payloads, part)),
    (index, error) => giveUp(context, batch[index] as string, error.message),
  );
}

/** On record with each attempt that went out with none of the submissions, so that a restarted worker knows it too. */
async function noteUnsent({ facts, save }: SubmitContext, names: readonly string[], error: DriverError): Promise<void> {
  const { code, message } = error;
  const isRefusal = concernsOneCampaign(error);
  for (const name of names) {
    const attempt = facts.attempts[name];
    if (attempt === undefined || attempt.tasks.length > 0 || attempt.ended !== undefined) continue;
    if (isRefusal) attempt.refused = message;
    else attempt.unsent = code;
  }
  await save();
}

/** One attempt that no submission can carry fails alone: the others and the system go on. */
async function giveUp({ facts, save }: SubmitContext, name: string, message: string): Promise<void> {
  const attempt = facts.attempts[name];
  if (attempt === undefined) return;
  attempt.failure = { class: 'too_large', message, infrastructure: false };
  endAttempt(attempt, givenUp(facts, attempt));
  await save();
}

async function submitPart(context: SubmitContext, names: readonly string[], payloads: readonly string[]): Promise<void> {
  const { facts, target } = context;
  for (let attempt = 1; ; attempt++) {
    facts.intent = [...names];
    await context.save();
    try {
      const answer = await target.client.submit(
        {
          endpointId: facts.endpointId,
          functionId: await target.functionId(),
          payloads,
          groupId: facts.groupId,
          ...(facts.userEndpointConfig === undefined ? {} : { userEndpointConfig: facts.userEndpointConfig }),
        },
        { repeatable: false },
      );
      for (const [index, name] of names.entries()) carry(facts, name, [answer.taskIds[index] as string]);
      await closeIntent(context, answer.taskIds);
      return;
    } catch (error) {
      if (error instanceof AmbiguousAnswerError) {
        if (await settleIntent(context)) return;
        if (attempt <= 3) continue;
        throw error;
      }
      // Everything else is a refusal before any effect.
      await closeIntent(context, []);
      if (error instanceof DriverError && attempt <= 3 && (await mend(context, error))) continue;
      throw error;
    }
  }
}

/** Registers the function or opens the group again when the service has forgotten it; false: nothing to mend. */
async function mend(context: SubmitContext, error: DriverError): Promise<boolean> {
  if (error.code === 'HF-GLOBUS-FUNCTION-NOT-FOUND') {
    await context.target.functionId(await context.target.functionId());
    return true;
  }
  if (error.code !== 'HF-GLOBUS-GROUP-NOT-FOUND') return false;
  const { groupId, taskId } = await context.openGroup();
  context.facts.groupId = groupId;
  context.facts.groupTasks = [taskId];
  await context.save();
  return true;
}

/**
 * Finds out whether a submission with a lost answer had arrived: true when its attempts have tasks now. The list does not say which task carries which
 * attempt, so several of them share the new tasks until each task's own answer names its attempt. Throws DriverError transport while it cannot be known.
 */
export async function settleIntent(context: SubmitContext): Promise<boolean> {
  const { facts } = context;
  const names = facts.intent;
  if (names === undefined) return true;
  let found = await strangers(context);
  if (found.length < names.length) {
    // The request may still be on its way.
    await sleep(context.settleSeconds * 1000);
    found = await strangers(context);
  }
  for (const name of names) carry(facts, name, found);
  await closeIntent(context, found);
  return found.length > 0;
}

/** Tasks in the group that no answer has told us of. */
async function strangers(context: SubmitContext): Promise<string[]> {
  const { facts, target } = context;
  try {
    const known = new Set(facts.groupTasks);
    return (await target.client.group(facts.groupId)).map((task) => task.id).filter((id) => !known.has(id));
  } catch (error) {
    // A group that is gone holds nothing of ours.
    if (error instanceof DriverError && error.code === 'HF-GLOBUS-GROUP-NOT-FOUND') return [];
    throw error;
  }
}

function carry(facts: CampaignFacts, name: string, tasks: readonly string[]): void {
  const attempt = facts.attempts[name];
  if (!attempt) return;
  attempt.tasks = [...tasks];
  delete attempt.engine;
  if (tasks.length > 0) {
    delete attempt.refused;
    delete attempt.unsent;
  }
  if (tasks.length === 1 && tasks[0] !== undefined) attempt.task = tasks[0];
}

async function closeIntent(context: SubmitContext, tasks: readonly string[]): Promise<void> {
  delete context.facts.intent;
  context.facts.groupTasks.push(...tasks);
  await context.save();
}
