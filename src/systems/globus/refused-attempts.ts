import type { AttemptFacts } from './campaign-facts.ts';
import type { CampaignLook, CampaignWatch } from './campaign-watch.ts';
import { concernsOneCampaign } from './http-errors.ts';
import { type SubmitContext, submitAttempts } from './submit-trials.ts';

/**
 * Submits attempts; a refusal is no failure of the caller, who has other campaigns to serve. It stays on record with the attempts that it met: they wait, and
 * their campaign is told. What is refused today (a function that the endpoint does not allow, settings that its template does not know) its owner may
 * mend tomorrow, and no trial is charged for it.
 */
export async function submitOrWait(context: SubmitContext, watch: CampaignWatch, names: readonly string[]): Promise<void> {
  try {
    await submitAttempts(context, names);
  } catch (error) {
    if (!concernsOneCampaign(error)) throw error;
    watch.refusedAt = performance.now();
  }
}

/** What was refused is sent again as often as the endpoint is asked how it is. */
export async function sendRefused({ facts, watch, times, context }: CampaignLook): Promise<void> {
  if (!watch.health.isOnline || performance.now() - (watch.refusedAt ?? Number.NEGATIVE_INFINITY) < times.health * 1000) return;
  const names = Object.entries(facts.attempts).flatMap(([name, attempt]) => (isRefused(attempt) ? [name] : []));
  if (names.length > 0) await submitOrWait(context, watch, names);
}

/** It waits because its submission was refused, and nobody wants its end. */
export function isRefused(attempt: AttemptFacts): boolean {
  return attempt.refused !== undefined && attempt.tasks.length === 0 && attempt.ended === undefined && attempt.stop === undefined;
}

/** No submission of it has ever been taken: nothing of it can run, and it may be withdrawn. */
export function wasNeverSent({ refused, tasks, resubmits, settlings, failure, ended }: AttemptFacts): boolean {
  return refused !== undefined && tasks.length + resubmits + settlings === 0 && failure === undefined && ended === undefined;
}
