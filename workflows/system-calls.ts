import { getExternalWorkflowHandle, isCancellation, log, patched } from '@temporalio/workflow';
import { trialWorkflowId } from '../src/domain/ids.ts';
import { attemptKey, type Told } from '../src/domain/system-events.ts';
import type { SystemState } from '../src/domain/system-state.ts';
import {
  attemptEndedSignal,
  attemptStartedSignal,
  cancelTrialSignal,
  rungReportsSignal,
  type StopRequest,
  type SystemNotice,
  systemNoticeSignal,
} from './messages.ts';

/** What a system says to trials and campaigns. */

/** Passes on what a look has changed: starts to trials, rungs to pruners, what stops work to campaigns. */
export async function tell(state: SystemState, told: Told): Promise<void> {
  const signals: Promise<void>[] = [];
  for (const { campaign, number, started } of told.started) {
    signals.push(getExternalWorkflowHandle(trialWorkflowId(campaign, number)).signal(attemptStartedSignal, started));
  }
  for (const { campaign, reports } of told.rungs) signals.push(getExternalWorkflowHandle(campaign).signal(rungReportsSignal, { reports }));
  await Promise.all(signals.map((signal) => signal.catch(noteLostSignal)));
  if (told.breaker !== undefined) await notifyCampaigns(state, { topic: 'breaker', text: told.breaker });
  for (const { campaign, text } of [...(told.spent ?? []), ...overdrawnNow(state, told)])
    await getExternalWorkflowHandle(campaign).signal(systemNoticeSignal, { topic: 'budget', text }).catch(noteLostSignal);
  for (const { campaign, ...words } of told.concerned ?? [])
    await getExternalWorkflowHandle(campaign)
      .signal(systemNoticeSignal, { topic: 'refusal', ...words })
      .catch(noteLostSignal);
  // Histories of earlier versions have no such message.
  if (told.nearlySpent !== undefined && patched('node-hour-marks'))
    for (const { campaign, ...words } of told.nearlySpent)
      await getExternalWorkflowHandle(campaign)
        .signal(systemNoticeSignal, { topic: 'node-hours', ...words })
        .catch(noteLostSignal);
}

/** Histories of earlier versions let a campaign on this computer go on behind its budget: it is told at the first look after them. */
function overdrawnNow(state: SystemState, { overdrawn = [] }: Told): NonNullable<Told['overdrawn']> {
  if (overdrawn.length === 0 || patched('node-hours-without-walltime')) return overdrawn;
  for (const { campaign } of overdrawn) delete state.overdrawn?.[campaign];
  return [];
}

/** Tells every campaign with an open launch. */
export async function notifyCampaigns(state: SystemState, notice: SystemNotice): Promise<void> {
  const campaigns = Object.keys(state.launches);
  await Promise.all(campaigns.map((id) => getExternalWorkflowHandle(id).signal(systemNoticeSignal, notice).catch(noteLostSignal)));
}

/**
 * An attempt that will never start: its trial hears that nothing ran. Also one that this system does not know (any more), since a trial that
 * asked for its end would wait for ever.
 */
export async function withdraw(state: SystemState, { campaign, number, attempt }: AttemptName): Promise<void> {
  const key = attemptKey({ campaign, number, attempt });
  // Histories of earlier versions say nothing to such a trial.
  if (state.attempts[key] === undefined && !patched('withdraw-unknown')) return;
  delete state.attempts[key];
  const handle = getExternalWorkflowHandle(trialWorkflowId(campaign, number));
  await handle.signal(attemptEndedSignal, { kind: 'withdrawn', attempt }).catch(noteLostSignal);
}

/** Tells a trial that its campaign was terminated. `launch`: whose trial is meant, where that is known. */
export async function cancelOrphan({ campaign, number }: AttemptName, launch: string | undefined): Promise<void> {
  const request = { kind: 'cancel', reason: 'its campaign was terminated', ...(launch === undefined ? {} : { launch }) } as const;
  await getExternalWorkflowHandle(trialWorkflowId(campaign, number)).signal(cancelTrialSignal, request).catch(noteLostSignal);
}

/** A trial of an earlier campaign of the same name: its launch is closed, so nothing of it runs, and it is told to end. */
export async function sendAway({ launch, ...attempt }: AttemptName & { readonly launch?: string }): Promise<void> {
  await cancelOrphan(attempt, launch);
  const handle = getExternalWorkflowHandle(trialWorkflowId(attempt.campaign, attempt.number));
  await handle.signal(attemptEndedSignal, { kind: 'withdrawn', attempt: attempt.attempt }).catch(noteLostSignal);
}

type AttemptName = Pick<StopRequest, 'campaign' | 'number' | 'attempt'>;

/** Forgets the pilots of a campaign that is gone. */
export function forgetPilots(state: SystemState, campaign: string): void {
  for (const pilot of Object.values(state.pilots)) if (pilot.campaign === campaign) delete state.pilots[pilot.pilot];
}

/** Signals are also sent from handlers, where nobody would catch: a system that is cancelled ends, and is brought back by its campaigns. */
export function noteLostSignal(error: unknown): void {
  log.warn(
    isCancellation(error) ? 'a signal was given up because the system ends' : 'a workflow that should have been told something is gone',
    {
      error: String(error),
    },
  );
}
