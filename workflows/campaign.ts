import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  log,
  patched,
  workflowInfo,
} from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { endOf, isOver } from '../src/domain/campaign-policy.ts';
import { bestOf, type CampaignCarry, type CampaignState, carry, countsOf, newCampaignState, revive } from '../src/domain/campaign-state.ts';
import { systemWorkflowId } from '../src/domain/ids.ts';
import { giveUpAgain } from '../src/domain/retry.ts';
import { endTrials, findLost, keepSystem } from './campaign-calls.ts';
import { type Desk, openDesk, specOf } from './campaign-desk.ts';
import { onceLoggedIn, prepare } from './campaign-prepare.ts';
import { writeReport } from './campaign-report.ts';
import { judgeRunning, startAgain, startTrials } from './campaign-starts.ts';
import { type CampaignResult, closeLaunchSignal } from './messages.ts';
import { effectsOn } from './options.ts';

/**
 * One search, from the user's file to the report: what to try next, when to stop, pause, drain, cancel. Never touches a machine: trials do
 * that through their system. `source` is a file name (on the worker's computer) or the whole specification.
 */
export async function hpoCampaign(source: unknown, carried?: CampaignCarry): Promise<CampaignResult> {
  const state = carried === undefined ? newCampaignState(workflowInfo().workflowId, Date.now()) : revive(carried);
  const desk = openDesk(state);
  CancellationScope.current()
    .cancelRequested.catch(() => undefined)
    .then(() => desk.end('cancelling', 'cancelled by the user'));

  // Cancellation is a wish like stop: what runs on the system is ended first, so nothing below may be torn down by it.
  return CancellationScope.nonCancellable(async () => {
    const isPrepared = state.spec !== undefined || (await prepare(state, source, desk));
    const spec = specOf(state);
    if (!isPrepared) return finish(state, spec, desk, false);
    if (carried !== undefined) await findLost(state, desk);
    void desk.watchClock();
    void desk.wakeAfterRest();
    void desk.herald.remind(desk.changed);
    const guard = keepSystem(state, desk);

    for (;;) {
      // Promotions come before the stop rules: with every trial of the budget paused, the search is not over.
      if (spec.pruner !== undefined && desk.takeJudgement()) await judgeRunning(state, spec, desk);
      desk.decide();
      if (state.phase === 'running') await startAgain(state, spec, desk);
      if (state.phase === 'running') await startTrials(state, spec, desk);
      if (state.phase === 'stopping' || state.phase === 'cancelling') await endTrials(state, desk);
      desk.show();
      if (isOver(state)) break;
      await desk.news();
      if (workflowInfo().continueAsNewSuggested && !isOver(state)) {
        // What the model's answer has cost is known with the answer only. Earlier versions left the question at once.
        if (desk.isAsking() && patched('answer-awaited') && desk.awaitAnswer()) continue;
        guard.cancel();
        // Histories of earlier versions wait for a language model that thinks.
        if (desk.isAsking() && patched('question-left')) desk.leaveQuestion();
        await condition(() => allHandlersFinished() && !desk.hasErrands());
        await desk.herald.settle();
        await continueAsNew<typeof hpoCampaign>(source, carry(state, spec));
      }
    }
    guard.cancel();
    return finish(state, spec, desk);
  });
}

/** Ends the launch on the system, where there is one, writes the report, says how it went. */
async function finish(state: CampaignState, spec: CampaignSpec, desk: Desk, isPrepared = true): Promise<CampaignResult> {
  giveUpAgain(state);
  const end = endOf(state);
  state.phase = 'reporting';
  desk.show();
  if (isPrepared) await closeOnSystem(state, spec, desk);
  const reportPath = await writeReport(state, spec, desk, end.status);
  state.phase = 'ended';
  state.stopReason = end.reason;
  const summary = desk.show();
  desk.herald.tellEnd(`${end.status}: ${end.reason}`);
  await desk.herald.settle();
  await condition(allHandlersFinished);
  const best = bestOf(spec, state.table.rows, 1)[0];
  const result: CampaignResult = {
    campaign: state.campaign,
    status: end.status,
    stopReason: end.reason,
    counts: countsOf(state.table.rows),
    top: bestOf(spec, state.table.rows, 5),
    elapsedSeconds: (Date.now() - state.startedAt) / 1000,
    summary,
    ...(best === undefined ? {} : { best }),
    ...(end.lastWords === undefined ? {} : { lastWords: end.lastWords }),
    ...(state.launch === undefined ? {} : { resultsDirectory: state.launch.localDirectory }),
    ...(reportPath === undefined ? {} : { reportPath }),
  };
  if (end.status === 'cancelled') throw new CancelledFailure(end.reason, [result]);
  if (end.status === 'failed') {
    const said = end.lastWords === undefined ? [] : [`Last lines of trial ${end.lastWords.number}:`, ...end.lastWords.lines];
    throw ApplicationFailure.nonRetryable([end.reason, ...said].join('\n'), 'NoTrialCompleted', result);
  }
  return result;
}

async function closeOnSystem({ campaign }: CampaignState, spec: CampaignSpec, desk: Desk): Promise<void> {
  const system = spec.system.name;
  await onceLoggedIn(spec, desk, () =>
    effectsOn(system).closeLaunch.executeWithOptions({ summary: 'end what is left on the system' }, [{ system, campaign }]),
  );
  await getExternalWorkflowHandle(systemWorkflowId(system))
    .signal(closeLaunchSignal, { campaign })
    .catch((error: unknown) => log.info('the system had already ended', { error: String(error) }));
}
