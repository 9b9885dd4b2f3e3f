import { ActivityFailure, CancellationScope, condition, isCancellation, patched, workflowInfo } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { roomFor } from '../src/domain/campaign-policy.ts';
import type { CampaignState } from '../src/domain/campaign-state.ts';
import { plural } from '../src/view/format.ts';
import type { Desk } from './campaign-desk.ts';
import { suggest } from './options.ts';

/** So long free places wait for a model; then the sampler fills them alone, and the model's points come next. */
const PATIENCE_MS = 10_000;

/** Points a campaign may hold ahead of their start (samplers that ignore results only). */
const MOST_AHEAD = 100;

/** `answer`: a model has answered since the last time, and meanwhile more places may have become free than it was asked to fill. */
export type AtHand = 'nothing' | 'points' | 'answer';

/**
 * What there is to start now: asks for points when those at hand do not fill the room. A sampler is waited for. A language model may take
 * minutes, so it is asked aside: meanwhile rungs are judged, promoted trials take the free places, and stop ends what runs; its answer wakes the campaign.
 * Places do not stay free for one that is slow.
 */
export async function pointsAtHand(state: CampaignState, spec: CampaignSpec, desk: Desk): Promise<AtHand> {
  // Campaigns of earlier versions waited for the model, too.
  if (spec.llm === undefined || !patched('model-aside')) return (await fetchPoints(state, desk)) ? 'points' : 'nothing';
  if (desk.takeAnswer()) return 'answer';
  if (missing(state) > 0) void desk.ask(() => askWhileSearching(state, desk));
  if (missing(state) > 0 && desk.isAnswerSlow()) await fetchPoints(state, desk, true);
  return state.enqueued.length + state.ahead.length > 0 ? 'points' : 'nothing';
}

/** An answer that comes when nothing more is started, or to a run that goes on as new without it, is not waited for. */
async function askWhileSearching(state: CampaignState, desk: Desk): Promise<void> {
  const scope = new CancellationScope();
  let isAnswered = false;
  const isUseless = () => desk.isQuestionLeft() || (state.phase !== 'running' && state.phase !== 'paused');
  void condition(() => isAnswered || isUseless()).then(() => {
    if (!isAnswered) scope.cancel();
  });
  void condition(() => isAnswered, PATIENCE_MS).then((isInTime) => {
    if (!isInTime) desk.noteSlowAnswer();
  });
  try {
    await scope.run(() => fetchPoints(state, desk));
  } catch (error) {
    if (!isCancellation(error)) throw error;
  } finally {
    isAnswered = true;
  }
}

/** How many points are wanted beyond those at hand. */
function missing(state: CampaignState): number {
  return state.isExhausted ? 0 : roomFor(state, Date.now()) - state.enqueued.length - state.ahead.length;
}

/** Asks the sampler when the points at hand do not fill the room; false when the campaign ends for want of points. */
async function fetchPoints(state: CampaignState, desk: Desk, withoutModel = false): Promise<boolean> {
  const count = missing(state);
  if (count <= 0) return true;
  const left = (state.budget.trials ?? Number.POSITIVE_INFINITY) - state.table.rows.length;
  try {
    const question = {
      campaign: state.campaign,
      chain: workflowInfo().firstExecutionRunId,
      tableVersion: state.table.version,
      count,
      most: Math.max(count, Math.min(MOST_AHEAD, left)),
      parallelism: state.concurrency,
      ...(state.budget.trials === undefined ? {} : { budgetTrials: state.budget.trials }),
      ...(state.samplerState === undefined ? {} : { state: state.samplerState }),
      ...(withoutModel ? { withoutModel } : {}),
    };
    const answer = await suggest.executeWithOptions({ summary: `suggest ${plural(count, 'point')}` }, [question]);
    state.ahead.push(...answer.suggestions);
    state.isExhausted = answer.exhausted;
    // A model's answer may have come meanwhile: what it has cost is known better here than where the sampler was asked.
    const kept = withoutModel && state.samplerState?.llm !== undefined ? { llm: state.samplerState.llm } : {};
    if (answer.state !== undefined) state.samplerState = { ...answer.state, ...kept };
    for (const notice of answer.notices) desk.notice(notice.topic, notice.text);
    return true;
  } catch (error) {
    if (isCancellation(error)) throw error;
    const message = error instanceof ActivityFailure && error.cause ? error.cause.message : String(error);
    desk.end('draining', `no further points: ${message}`);
    return false;
  }
}
