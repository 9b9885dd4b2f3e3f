import type { CampaignLook } from './campaign-watch.ts';
import { endAttempt, givenUp, sight } from './watch-trials.ts';

/**
 * Ends attempts that were asked to stop on an endpoint that nobody can reach, so that a campaign can be cancelled whose endpoint is gone: after two looks at
 * an endpoint that the service refuses, after a longer time at one that is offline. Their stop requests wait at the service and overtake them. True: some
 * were ended.
 */
export function endUnreachable({ facts, watch, times }: Pick<CampaignLook, 'facts' | 'watch' | 'times'>): boolean {
  const { isOnline, refusal } = watch.health;
  const patienceMs = 1000 * (refusal === undefined ? times.unreachable : 2 * times.health);
  let isGivenUp = false;
  for (const [name, attempt] of Object.entries(facts.attempts)) {
    if (attempt.stop === undefined || attempt.ended !== undefined) continue;
    const view = sight(watch.sights, name);
    // An endpoint that is online and takes no stop request is as good as none.
    if (isOnline && (attempt.stop.placed || watch.stopping !== undefined)) {
      delete view.unreachableSince;
      continue;
    }
    view.unreachableSince ??= performance.now();
    if (performance.now() - view.unreachableSince < patienceMs) continue;
    const message = `It was asked to stop, and its endpoint cannot be asked what became of it: ${refusal ?? `${facts.endpointId} is offline.`}`;
    attempt.failure = { class: 'endpoint_offline', message, infrastructure: true };
    endAttempt(attempt, givenUp(facts, attempt));
    isGivenUp = true;
  }
  return isGivenUp;
}
