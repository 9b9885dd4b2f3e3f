import { DriverError } from '../driver.ts';
import type { AttemptFacts } from './campaign-facts.ts';
import type { CampaignLook, CampaignWatch } from './campaign-watch.ts';
import { concernsOneCampaign } from './http-errors.ts';
import type { DriverTimes } from './options.ts';
import { type SubmitContext, submitAttempts } from './submit-trials.ts';

/** The longest pause between two tries of a submission that the service has trouble with. */
const LONGEST_PAUSE_SECONDS = 600;

/**
 * Submits attempts; what keeps one campaign's from going out is no failure of the caller, who has other campaigns to serve. It stays on record with the
 * attempts that it met: they wait, uncharged, and are sent by later looks. A refusal (a function that the endpoint does not allow, settings that its template
 * does not know), which its owner may mend tomorrow, is told to the campaign; trouble of the service is asked again ever less often.
 */
export async function submitOrWait(
  context: SubmitContext,
  watch: CampaignWatch,
  times: Pick<DriverTimes, 'health'>,
  names: readonly string[],
): Promise<void> {
  try {
    await submitAttempts(context, names);
    delete watch.resend;
  } catch (error) {
    if (isTrouble(error)) {
      const seconds = Math.min(LONGEST_PAUSE_SECONDS, Math.max(times.health, 2 * (watch.resend?.seconds ?? 0)));
      watch.resend = { at: performance.now() + seconds * 1000, seconds, trouble: error.code };
    } else if (concernsOneCampaign(error)) watch.resend = { at: performance.now() + times.health * 1000, seconds: times.health };
    else throw error;
  }
}

/** The service has trouble with submissions of this campaign, and is left alone for a while. */
export function isPausing({ resend }: CampaignWatch): boolean {
  return resend?.trouble !== undefined && performance.now() < resend.at;
}

/** What waits is sent again when its time has come. */
export async function sendWaiting({ facts, watch, times, context }: CampaignLook): Promise<void> {
  if (!watch.health.isOnline || performance.now() < (watch.resend?.at ?? 0)) return;
  const names = Object.entries(facts.attempts).flatMap(([name, attempt]) => (isWaiting(attempt) ? [name] : []));
  if (names.length > 0) await submitOrWait(context, watch, times, names);
}

/** The service could not be asked, or did not say what it did: another try may be let through. A lock is told as a refusal is. */
export function isTrouble(error: unknown): error is DriverError {
  return error instanceof DriverError && error.class === 'transport' && !concernsOneCampaign(error);
}

/** Its submission did not go out, nothing carries it, and nobody wants its end: it is sent again. */
export function isWaiting({ refused, unsent, tasks, ended, stop }: AttemptFacts): boolean {
  return (refused ?? unsent) !== undefined && tasks.length === 0 && ended === undefined && stop === undefined;
}

/** No submission of it has ever been taken: nothing of it can run, and it may be withdrawn. */
export function wasNeverSent({ refused, unsent, tasks, resubmits, settlings, failure, ended }: AttemptFacts): boolean {
  const mayHaveRun = unsent !== undefined || tasks.length + resubmits + settlings > 0 || failure !== undefined;
  return refused !== undefined && !mayHaveRun && ended === undefined;
}
