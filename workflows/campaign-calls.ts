import { CancellationScope, getExternalWorkflowHandle, isCancellation, log, patched } from '@temporalio/workflow';
import type { CampaignState } from '../src/domain/campaign-state.ts';
import { systemWorkflowId, trialWorkflowId } from '../src/domain/ids.ts';
import { changeRow } from '../src/domain/table.ts';
import { plural } from '../src/view/format.ts';
import { type Desk, specOf } from './campaign-desk.ts';
import { cancelTrialSignal, openLaunchSignal, resubmitSignal } from './messages.ts';
import { awaitTrialEnd, endForeignTrial, findLostTrials, guardSystem, viewTrial } from './options.ts';

/** What a campaign says to its trials and to its system while it runs. */

/** Asks a trial to end early; its checkpoint stays. */
export async function pruneTrial(state: CampaignState, number: number, reason: string): Promise<void> {
  await getExternalWorkflowHandle(trialWorkflowId(state.campaign, number))
    .signal(cancelTrialSignal, { kind: 'prune', reason })
    .catch((error: unknown) => log.info('a trial ended before it could be pruned', { number, error: String(error) }));
}

/** Asks every trial in flight, once, to end what runs. */
export async function endTrials(state: CampaignState, desk: Desk): Promise<void> {
  const unreachable: number[] = [];
  await Promise.all(
    desk.notYetToldToEnd().map((number) =>
      getExternalWorkflowHandle(trialWorkflowId(state.campaign, number))
        .signal(cancelTrialSignal, { kind: 'cancel', reason: state.stopReason ?? 'the campaign ends' })
        .catch(() => unreachable.push(number)),
    ),
  );
  if (unreachable.length > 0) await findLost(state, desk, unreachable);
}

/** Trials in flight whose workflow has ended without our hearing of it. */
export async function findLost(state: CampaignState, desk: Desk, numbers: readonly number[] = [...state.inFlight]): Promise<void> {
  if (numbers.length === 0) return;
  for (const lost of await findLostTrials.executeWithOptions({ summary: `look after ${plural(numbers.length, 'trial')}` }, [
    { campaign: state.campaign, numbers },
  ])) {
    if (lost.outcome === undefined) desk.noteVanished(lost.number, lost.status);
    else desk.noteOutcome(lost.outcome);
    // Its last run has been heard of and no other was started: campaigns of earlier versions took that run for the next one.
    if (state.inFlight.has(lost.number) && patched('earlier-run-ends')) desk.noteVanished(lost.number, 'its next run was never started');
  }
}

/**
 * A trial of this number runs already: somebody has reset the campaign's workflow to a point before it was started. It goes on as what it is,
 * with its own parameters. One that an earlier campaign of the same name has left is ended, and an earlier run of the same trial, which says its
 * outcome before it closes, is waited for; then there is none to adopt.
 */
export async function adoptTrial(state: CampaignState, desk: Desk, number: number, firstAttempt: number): Promise<boolean> {
  const name = { campaign: state.campaign, number };
  const view = await viewTrial.executeWithOptions({ summary: `find out what trial ${number} is` }, [name]);
  if (view === undefined) return false;
  // Trials of earlier versions do not say whose they are; adopted, they bring their own parameters.
  if (view.launch !== undefined && view.launch !== state.launch?.launch) {
    await endForeignTrial.executeWithOptions({ summary: `end trial ${number} of an earlier campaign` }, [name]);
    return false;
  }
  // Histories of earlier versions took it for the run that they had wanted to start.
  if (view.attempt < firstAttempt && patched('earlier-run-ends')) {
    await awaitTrialEnd.executeWithOptions({ summary: `until the earlier run of trial ${number} has closed` }, [name]);
    return false;
  }
  changeRow(state.table, number, { params: view.params, origin: view.origin, ...(view.note === undefined ? {} : { note: view.note }) });
  desk.remember(view.params);
  if (view.outcome !== undefined) desk.noteOutcome(view.outcome);
  return true;
}

/** The system plans pilots within the node-hours, so it hears of a change. Before the launch is open, it will be told the right figure. */
export async function renewLaunch(state: CampaignState, change: { readonly nodeHours: number }): Promise<void> {
  if (state.openLaunch === undefined) return;
  state.openLaunch = { ...state.openLaunch, ...change };
  await getExternalWorkflowHandle(systemWorkflowId(specOf(state).system.name))
    .signal(openLaunchSignal, state.openLaunch)
    .catch((error: unknown) => log.info('the system is gone; it is told when it is back', { error: String(error) }));
}

/**
 * Keeps one activity pending that ends only when the system's workflow is gone (terminated by hand, say) or another one has taken its place: it
 * is brought back, and trials in flight say again what they want. Costs no history while all is well. The scope that is returned ends it.
 */
export function keepSystem(state: CampaignState, desk: Desk): CancellationScope {
  const scope = new CancellationScope({ cancellable: true });
  scope
    .run(async () => {
      while (state.openLaunch !== undefined) {
        const { name } = specOf(state).system;
        const question = {
          system: name,
          launch: state.openLaunch,
          ...(state.systemLife === undefined ? {} : { life: state.systemLife }),
        };
        state.systemLife = await guardSystem.executeWithOptions({ summary: `watch over system/${name}` }, [question]);
        log.warn('the system was gone; trials in flight submit again');
        // Signals of a run that continues as new before they are passed on would be lost.
        await desk.errand(() => CancellationScope.nonCancellable(() => askToResubmit(state)));
      }
    })
    .catch((error: unknown) => {
      if (!isCancellation(error)) throw error;
    });
  return scope;
}

async function askToResubmit(state: CampaignState): Promise<void> {
  await Promise.all(
    [...state.inFlight].map((number) =>
      getExternalWorkflowHandle(trialWorkflowId(state.campaign, number))
        .signal(resubmitSignal)
        .catch((error: unknown) => log.info('a trial has ended meanwhile', { error: String(error) })),
    ),
  );
}
