import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { isCancellation, ParentClosePolicy, patched, startChild, workflowInfo } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { budgetShareOf, roomFor } from '../src/domain/campaign-policy.ts';
import { type CampaignState, newRow } from '../src/domain/campaign-state.ts';
import { trialWorkflowId } from '../src/domain/ids.ts';
import { takeAgain } from '../src/domain/retry.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { addRow, changeRow } from '../src/domain/table.ts';
import type { Suggestion, TrialRow } from '../src/domain/trial.ts';
import { firstPause, pauseAfter } from '../src/search/rungs.ts';
import type { SamplerState } from '../src/search/sampler.ts';
import { trialSummary } from '../src/view/parameters.ts';
import { adoptTrial, pruneTrial } from './campaign-calls.ts';
import type { Desk } from './campaign-desk.ts';
import { pointsAtHand } from './campaign-points.ts';
import type { TrialInput } from './messages.ts';
import { judgeRungs } from './options.ts';
import type { hpoTrial } from './trial.ts';

/** A name that is taken again and again although its holder was ended is given up. */
const MOST_TRIES = 3;

/** Fills the free places: the user's own points first, then what was suggested ahead, then new suggestions. */
export async function startTrials(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<void> {
  desk.dropUselessPoints();
  if (roomFor(state, Date.now()) === 0) return;
  const atHand = await pointsAtHand(state, spec, desk);
  if (atHand === 'nothing') return;
  const starting: Promise<void>[] = [];
  for (let room = roomFor(state, Date.now()); room > 0 && state.phase === 'running'; ) {
    const suggestion = state.enqueued.shift() ?? state.ahead.shift();
    if (suggestion === undefined) break;
    if (!spec.allowDuplicates && desk.isKnown(suggestion.params)) continue;
    starting.push(startTrial(state, spec, suggestion, desk));
    room -= 1;
  }
  await Promise.all(starting);
  // Counted from the confirmed starts, so that a slow one shortens no gap.
  if (starting.length === 0) return desk.noteFruitless();
  desk.rest(spec.spacingSeconds);
  if (atHand === 'answer' && roomFor(state, Date.now()) > 0) desk.changed();
}

/** Early stopping: the pruner judges rungs that were reached, once each; paused trials that are among the best by now go on from their checkpoint. */
export async function judgeRunning(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<void> {
  const { campaign, decided, table } = state;
  const share = budgetShareOf(state, Date.now());
  const question = {
    campaign,
    chain: workflowInfo().firstExecutionRunId,
    tableVersion: table.version,
    decided,
    ...(state.budget.trials === undefined ? {} : { budgetTrials: state.budget.trials }),
    ...(share === undefined ? {} : { budgetShare: share }),
    // A pruner that shares the sampler's model goes on from its fit.
    ...(state.samplerState?.sampler === undefined ? {} : { samplerState: state.samplerState.sampler as SamplerState }),
  };
  const answer = await judgeRungs.executeWithOptions({ summary: 'judge rungs' }, [question]);
  delete state.hasHeldPromotions;
  for (const { number, rung, action, sentence } of answer.verdicts) {
    state.decided[number] = rung;
    if (action === 'stop') await pruneTrial(state, number, sentence);
  }
  // Campaigns of earlier versions forgot them.
  if (state.phase === 'paused' && answer.promotions.length > 0 && patched('held-promotions')) state.hasHeldPromotions = true;
  if (state.phase !== 'running') return;
  for (const { number, fromStep, toStep, sentence } of answer.promotions) {
    if (state.concurrency <= state.inFlight.size) return;
    if (Date.now() < (state.nextStartAt ?? 0)) {
      desk.judgeAgain();
      return;
    }
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
    desk.rest(spec.spacingSeconds);
  }
}

/** Failed trials that a person wants again go before new points: the same trial, its next attempt, from its last checkpoint where it left one. */
export async function startAgain(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<void> {
  while (state.inFlight.size < state.concurrency && Date.now() >= (state.nextStartAt ?? 0)) {
    const number = takeAgain(state);
    const row = number === undefined ? undefined : state.table.rows[number - 1];
    if (row === undefined) return;
    state.inFlight.add(row.number);
    const pause = pauseAfter(spec.pruner, spec.seed, row);
    await startTrialWorkflow(state, spec, row, desk, {
      ...(pause === undefined ? {} : { targetStep: pause, isPartial: pause < (spec.pruner?.maxSteps ?? pause) }),
      ...(row.attempts === 0 ? {} : { resumeFrom: row.attempts }),
      firstAttempt: row.attempts + 1,
      earlierRunSeconds: row.runSeconds ?? 0,
    });
    desk.rest(spec.spacingSeconds);
  }
}

async function startTrial(state: CampaignState, spec: CampaignSpec, suggestion: Suggestion, desk: Desk): Promise<void> {
  const row = newRow(state.table.rows.length + 1, suggestion, Date.now());
  addRow(state.table, row);
  state.inFlight.add(row.number);
  desk.remember(suggestion.params);
  const pause = firstPause(spec.pruner, spec.seed, row.number);
  await startTrialWorkflow(state, spec, row, desk, pause === undefined ? {} : { targetStep: pause, isPartial: true });
}

/** Starts one trial's workflow; it outlives this run and reports by signal. */
async function startTrialWorkflow(
  state: CampaignState,
  spec: CampaignSpec,
  row: TrialRow,
  desk: Desk,
  resumed: Pick<TrialInput, 'targetStep' | 'isPartial' | 'resumeFrom' | 'firstAttempt' | 'earlierRunSeconds'> = {},
): Promise<void> {
  const { number } = row;
  const trial: TrialInput = {
    campaign: state.campaign,
    ...(state.launch === undefined ? {} : { launch: state.launch.launch }),
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
    ...(spec.pruner === undefined ? {} : { lastStep: spec.pruner.maxSteps }),
    ...(spec.limits.trialSeconds === undefined ? {} : { trialSeconds: spec.limits.trialSeconds }),
  };
  const typedSearchAttributes = [
    { key: ATTRIBUTES.campaign, value: state.campaign },
    { key: ATTRIBUTES.system, value: spec.system.name },
    { key: ATTRIBUTES.state, value: 'running' },
  ];
  for (let tries = 1; ; tries += 1) {
    try {
      const child = await startChild<typeof hpoTrial>('hpoTrial', {
        args: [trial],
        workflowId: trialWorkflowId(state.campaign, number),
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `${number} · ${trialSummary(row.params, 60, desk.order())}`,
        ...(state.hasSearchAttributes ? { typedSearchAttributes } : {}),
      });
      // The signal is what counts (it also reaches later runs); this notices a trial that was ended from outside.
      child.result().then(
        (outcome) => desk.noteOutcome(outcome),
        (error: unknown) => desk.noteVanished(number, error),
      );
      return;
    } catch (error) {
      if (isCancellation(error)) throw error;
      const isThere = error instanceof WorkflowExecutionAlreadyStartedError && patched('adopt-trials');
      if (!isThere || tries === MOST_TRIES) return desk.noteVanished(number, error);
      if (await adoptTrial(state, desk, number, resumed.firstAttempt ?? 1)) return;
    }
  }
}
