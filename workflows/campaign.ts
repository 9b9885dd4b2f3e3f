import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { endOf, isOver, roomFor } from '../src/domain/campaign-policy.ts';
import {
  bestOf,
  type CampaignCarry,
  type CampaignState,
  carry,
  countsOf,
  newCampaignState,
  newRow,
  revive,
  userSuggestions,
} from '../src/domain/campaign-state.ts';
import { launchName, systemWorkflowId, trialWorkflowId } from '../src/domain/ids.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { addRow, changeRow } from '../src/domain/table.ts';
import type { Suggestion, TrialRow } from '../src/domain/trial.ts';
import { firstPause } from '../src/search/rungs.ts';
import { trialSummary } from '../src/view/parameters.ts';
import { type Desk, openDesk, specOf, writeReport } from './campaign-desk.ts';
import * as messages from './messages.ts';
import { admitCampaign, effectsOn, ensureSystem, judgeRungs, stagingOn, suggest } from './options.ts';
import type { hpoTrial } from './trial.ts';

/** Points a campaign may hold ahead of their start (samplers that ignore results only). */
const MOST_AHEAD = 100;

/**
 * One search, from the user's file to the report: what to try next, when to stop, pause, drain, cancel. Never touches a machine: trials do
 * that through their system. `source` is a file name (on the worker's computer) or the whole specification.
 */
export async function hpoCampaign(source: unknown, carried?: CampaignCarry): Promise<messages.CampaignResult> {
  const state = carried === undefined ? newCampaignState(workflowInfo().workflowId, Date.now()) : revive(carried);
  const desk = openDesk(state);
  CancellationScope.current()
    .cancelRequested.catch(() => undefined)
    .then(() => desk.end('cancelling', 'cancelled by the user'));

  // Cancellation is a wish like stop: what runs on the system is ended first, so nothing below may be torn down by it.
  return CancellationScope.nonCancellable(async () => {
    if (state.spec === undefined) await prepare(state, source, desk);
    else await desk.findLost();
    const spec = specOf(state);
    void desk.watchClock();
    const guard = desk.guardSystem();

    for (;;) {
      // Promotions come before the stop rules: with every trial of the budget paused, the search is not over.
      if (spec.pruner !== undefined && desk.takeJudgement()) await judgeRunning(state, spec, desk);
      desk.decide();
      if (state.phase === 'running') await startTrials(state, spec, desk);
      if (state.phase === 'stopping' || state.phase === 'cancelling') await desk.endTrials();
      desk.show();
      if (isOver(state)) break;
      await desk.news();
      if (workflowInfo().continueAsNewSuggested && !isOver(state)) {
        guard.cancel();
        await condition(allHandlersFinished);
        await continueAsNew<typeof hpoCampaign>(source, carry(state, spec));
      }
    }
    guard.cancel();
    return finish(state, spec, desk);
  });
}

/** Admits the specification, stages code and agent, opens the launch. A failed step ends the campaign before anything is submitted. */
async function prepare(state: CampaignState, source: unknown, desk: Desk): Promise<void> {
  try {
    const admitted = await admitCampaign(source);
    const { spec } = admitted;
    state.spec = spec;
    state.hasSearchAttributes = admitted.hasSearchAttributes;
    state.budget = spec.budget;
    state.enqueued.push(...userSuggestions(spec.enqueue));
    desk.show();
    const launch = launchName(spec.workingDirs.launchIterationPattern, state.campaign, state.startedAt);
    const reportSteps = admitted.reportSteps;
    const order = { campaign: state.campaign, launch, spec, reportSteps, epoch: state.startedAt };
    const prepared = await onceLoggedIn(spec, desk, () => stagingOn(spec.system.name).prepareLaunch(order));
    state.launch = { launch, directory: prepared.directory, localDirectory: prepared.localDirectory };
    state.provenance = prepared.provenance;
    state.concurrency = spec.concurrency ?? prepared.slots;
    state.openLaunch = {
      campaign: state.campaign,
      launch,
      localDirectory: prepared.localDirectory,
      slotsPerTrial: spec.training.slots,
      reportSteps,
      weight: 1,
      ...(state.budget.nodeHours === undefined ? {} : { nodeHours: state.budget.nodeHours }),
      ...(prepared.capacity === undefined ? {} : { capacity: prepared.capacity }),
    };
    await ensureSystem({ system: spec.system.name, launch: state.openLaunch });
    if (state.phase === 'preparing') state.phase = state.isPauseAsked ? 'paused' : 'running';
  } catch (error) {
    // The user's mistake, without the engine's wrapping: one failure that lists every problem.
    const cause = error instanceof ActivityFailure ? error.cause : error;
    throw cause instanceof ApplicationFailure
      ? ApplicationFailure.create({
          message: cause.message,
          type: cause.type ?? 'PrepareFailed',
          nonRetryable: true,
          details: cause.details ?? [],
        })
      : error;
  }
}

/** Longest wait between two looks whether a person has logged in; `resume` cuts it short. */
const LONGEST_LOGIN_WAIT_MS = 10 * 60_000;

/** Does something on the system as soon as its login stands; says meanwhile what a person must do. Never attempts a login. */
async function onceLoggedIn<T>(spec: CampaignSpec, desk: Desk, work: () => Promise<T>): Promise<T> {
  for (let wait = 15_000; ; wait = Math.min(2 * wait, LONGEST_LOGIN_WAIT_MS)) {
    try {
      const done = await work();
      desk.notice('login');
      return done;
    } catch (error) {
      const failure = error instanceof ActivityFailure ? error.cause : error;
      if (!(failure instanceof ApplicationFailure) || failure.type !== 'NeedsLogin') throw error;
      desk.notice('login', `System ${spec.system.name} needs a login: run \`holdfast login ${spec.system.name}\`. ${failure.message}`);
      desk.show();
      await desk.wake(wait);
    }
  }
}

/** Fills the free places: the user's own points first, then what was suggested ahead, then new suggestions. */
async function startTrials(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<void> {
  let room = roomFor(state);
  if (room === 0) return;
  if (state.enqueued.length + state.ahead.length < room && !state.isExhausted) {
    const count = room - state.enqueued.length - state.ahead.length;
    const left = (state.budget.trials ?? Number.POSITIVE_INFINITY) - state.table.rows.length;
    try {
      const answer = await suggest({
        campaign: state.campaign,
        chain: workflowInfo().firstExecutionRunId,
        tableVersion: state.table.version,
        count,
        most: Math.max(count, Math.min(MOST_AHEAD, left)),
        parallelism: state.concurrency,
        ...(state.budget.trials === undefined ? {} : { budgetTrials: state.budget.trials }),
        ...(state.samplerState === undefined ? {} : { state: state.samplerState }),
      });
      state.ahead.push(...answer.suggestions);
      state.isExhausted = answer.exhausted;
      if (answer.state !== undefined) state.samplerState = answer.state;
      for (const notice of answer.notices) desk.notice(notice.topic, notice.text);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const message = error instanceof ActivityFailure && error.cause ? error.cause.message : String(error);
      desk.end('draining', `no further points: ${message}`);
      return;
    }
  }
  const starting: Promise<void>[] = [];
  for (room = roomFor(state); room > 0 && state.phase === 'running'; room -= 1) {
    const suggestion = state.enqueued.shift() ?? state.ahead.shift();
    if (suggestion === undefined) break;
    if (!spec.allowDuplicates && desk.isKnown(suggestion.params)) {
      room += 1;
      continue;
    }
    starting.push(startTrial(state, spec, suggestion, desk));
    if (spec.spacingSeconds !== undefined && spec.spacingSeconds > 0) {
      await sleep(spec.spacingSeconds * 1000, { summary: 'spacing between submissions' });
    }
  }
  await Promise.all(starting);
}

/** Early stopping: the pruner judges rungs that were reached, once each; paused trials that are among the best by now go on from their checkpoint. */
async function judgeRunning(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<void> {
  const { campaign, decided, table } = state;
  const answer = await judgeRungs({ campaign, chain: workflowInfo().firstExecutionRunId, tableVersion: table.version, decided });
  for (const { number, rung, action, sentence } of answer.verdicts) {
    state.decided[number] = rung;
    if (action === 'stop') await desk.prune(number, sentence);
  }
  if (state.phase !== 'running') return;
  for (const { number, fromStep, toStep, sentence } of answer.promotions) {
    if (state.concurrency <= state.inFlight.size) return;
    const row = table.rows[number - 1];
    if (row === undefined || state.inFlight.has(number)) continue;
    state.decided[number] = fromStep;
    changeRow(table, number, { state: 'queued', note: sentence });
    state.inFlight.add(number);
    await startTrialWorkflow(state, spec, row, desk, {
      targetStep: toStep,
      isPartial: toStep < (spec.pruner?.maxSteps ?? toStep),
      resumeFrom: row.attempts,
      firstAttempt: row.attempts + 1,
      earlierRunSeconds: row.runSeconds ?? 0,
    });
  }
}

/** Starts one trial's workflow; it outlives this run and reports by signal. */
async function startTrial(state: CampaignState, spec: CampaignSpec, suggestion: Suggestion, desk: Desk): Promise<void> {
  const row = newRow(state.table.rows.length + 1, suggestion, Date.now());
  addRow(state.table, row);
  state.inFlight.add(row.number);
  desk.remember(suggestion.params);
  const pause = firstPause(spec.pruner);
  await startTrialWorkflow(state, spec, row, desk, pause === undefined ? {} : { targetStep: pause, isPartial: true });
}

async function startTrialWorkflow(
  state: CampaignState,
  spec: CampaignSpec,
  row: TrialRow,
  desk: Desk,
  resumed: Pick<messages.TrialInput, 'targetStep' | 'isPartial' | 'resumeFrom' | 'firstAttempt' | 'earlierRunSeconds'> = {},
): Promise<void> {
  const { number } = row;
  const trial: messages.TrialInput = {
    campaign: state.campaign,
    number,
    params: row.params,
    origin: row.origin,
    system: spec.system.name,
    objectives: spec.objectives,
    retries: spec.retries,
    graceSeconds: spec.limits.graceSeconds,
    hasSearchAttributes: state.hasSearchAttributes,
    ...(row.note === undefined ? {} : { note: row.note }),
    ...resumed,
    ...(spec.limits.trialSeconds === undefined ? {} : { trialSeconds: spec.limits.trialSeconds }),
  };
  try {
    const child = await startChild<typeof hpoTrial>('hpoTrial', {
      args: [trial],
      workflowId: trialWorkflowId(state.campaign, number),
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: trialSummary(row.params, 60, desk.order()),
      ...(state.hasSearchAttributes
        ? {
            typedSearchAttributes: [
              { key: ATTRIBUTES.campaign, value: state.campaign },
              { key: ATTRIBUTES.system, value: spec.system.name },
              { key: ATTRIBUTES.state, value: 'running' },
            ],
          }
        : {}),
    });
    // The signal is what counts (it also reaches later runs); this notices a trial that was ended from outside.
    child.result().then(
      (outcome) => desk.noteOutcome(outcome),
      (error: unknown) => desk.noteVanished(number, error),
    );
  } catch (error) {
    if (isCancellation(error)) throw error;
    desk.noteVanished(number, error);
  }
}

/** Ends the launch on the system, writes the report, says how it went. */
async function finish(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<messages.CampaignResult> {
  const end = endOf(state);
  state.phase = 'reporting';
  desk.show();
  const system = spec.system.name;
  await onceLoggedIn(spec, desk, () => effectsOn(system).closeLaunch({ system, campaign: state.campaign }));
  await getExternalWorkflowHandle(systemWorkflowId(system))
    .signal(messages.closeLaunchSignal, { campaign: state.campaign })
    .catch((error: unknown) => log.info('the system had already ended', { error: String(error) }));
  const reportPath = await writeReport(state, spec, desk, end.status);
  state.phase = 'ended';
  state.stopReason = end.reason;
  const summary = desk.show();
  await condition(allHandlersFinished);
  const best = bestOf(spec, state.table.rows, 1)[0];
  const result: messages.CampaignResult = {
    campaign: state.campaign,
    status: end.status,
    stopReason: end.reason,
    counts: countsOf(state.table.rows),
    top: bestOf(spec, state.table.rows, 5),
    elapsedSeconds: (Date.now() - state.startedAt) / 1000,
    summary,
    ...(best === undefined ? {} : { best }),
    ...(state.launch === undefined ? {} : { resultsDirectory: state.launch.localDirectory }),
    ...(reportPath === undefined ? {} : { reportPath }),
  };
  if (end.status === 'cancelled') throw new CancelledFailure(end.reason, [result]);
  if (end.status === 'failed') throw ApplicationFailure.nonRetryable(end.reason, 'NoTrialCompleted', result);
  return result;
}
