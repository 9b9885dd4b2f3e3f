import { describe, expect, it } from 'vitest';
import type { OfferRecord } from '../../../src/domain/spool.ts';
import { type CampaignFacts, newAttempt } from '../../../src/systems/globus/campaign-facts.ts';
import { newWatch } from '../../../src/systems/globus/campaign-watch.ts';
import { AmbiguousAnswerError, GlobusHttpError } from '../../../src/systems/globus/http-errors.ts';
import type { SubmitContext } from '../../../src/systems/globus/submit-trials.ts';
import { isPausing, isWaiting, submitOrWait, wasNeverSent } from '../../../src/systems/globus/waiting-attempts.ts';

const TIMES = { health: 60 };

/** A campaign with one attempt, and a service that answers its submissions as told. */
function campaign(answer: () => Error | undefined) {
  const offer: OfferRecord = {
    version: 1,
    campaign: 'c',
    trial: 'trial-0001',
    attempt: 1,
    params: {},
    resume_from: null,
    target_step: null,
  };
  const facts = {
    campaign: 'c',
    endpointId: 'e',
    groupId: 'g',
    groupTasks: [],
    attempts: { 'trial-0001.1': newAttempt(offer) },
  } as unknown;
  let submitted = 0;
  const client = {
    submit: async () => {
      submitted += 1;
      const error = answer();
      if (error) throw error;
      return { groupId: 'g', taskIds: ['task-1'] };
    },
    group: async () => [],
  };
  const context = {
    facts,
    target: { client, functionId: async () => 'f' },
    save: async () => undefined,
    request: () => ({}),
    settleSeconds: 0,
  } as unknown as SubmitContext;
  const attempt = () => (facts as CampaignFacts).attempts['trial-0001.1'];
  return { context, watch: newWatch(), attempt, submitted: () => submitted };
}

const LOST = new AmbiguousAnswerError('POST submit', new Error('HTTP 503'));
const REFUSED = new GlobusHttpError({ class: 'refused', code: 'HF-GLOBUS-FORBIDDEN' }, 'no access', 403);

describe('a submission that does not get through', () => {
  it('is tried again ever less often, at most every ten minutes, and at the first success as before', async () => {
    let error: Error | undefined = LOST;
    const { context, watch, attempt } = campaign(() => error);
    const pauses: (number | undefined)[] = [];
    for (let round = 0; round < 6; round++) {
      await submitOrWait(context, watch, TIMES, ['trial-0001.1']);
      pauses.push(watch.resend?.seconds);
    }
    expect(pauses).toEqual([60, 120, 240, 480, 600, 600]);
    expect(isPausing(watch)).toBe(true);
    expect(attempt()).toMatchObject({ unsent: 'HF-GLOBUS-ANSWER-LOST', resubmits: 0, tasks: [] });
    error = undefined;
    await submitOrWait(context, watch, TIMES, ['trial-0001.1']);
    expect([watch.resend, isPausing(watch), attempt()?.unsent, attempt()?.tasks]).toEqual([undefined, false, undefined, ['task-1']]);
  });

  it('may have arrived where its answer was lost, and cannot where it was refused', async () => {
    const lost = campaign(() => LOST);
    await submitOrWait(lost.context, lost.watch, TIMES, ['trial-0001.1']);
    const refused = campaign(() => REFUSED);
    await submitOrWait(refused.context, refused.watch, TIMES, ['trial-0001.1']);
    const verdicts = [lost, refused].map(({ attempt }) => {
      const found = attempt();
      return found && [isWaiting(found), wasNeverSent(found)];
    });
    expect(verdicts).toEqual([
      [true, false],
      [true, true],
    ]);
    // A refusal is asked about at the same pace for ever, and holds back nothing that comes after it.
    expect([refused.watch.resend?.seconds, isPausing(refused.watch)]).toEqual([60, false]);
  });
});
