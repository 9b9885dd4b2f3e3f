import { timeShares } from '../domain/budget-share.ts';
import type { Budget, Objective } from '../domain/campaign.ts';
import type { LlmTotals } from '../domain/status.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';
import { age, duration, measured, percent, plural } from './format.ts';
import { valueMarks } from './synthetic.ts';

/** What a campaign's progress is told from; `CampaignStatus` of workflows/messages.ts fits. Times in milliseconds, durations in seconds. */
export interface ProgressInput {
  readonly phase: string;
  readonly startedAt: number;
  readonly elapsedSeconds: number;
  readonly counts: {
    readonly total: number;
    readonly queued: number;
    readonly completed: number;
    readonly pruned: number;
    readonly failed: number;
    readonly cancelled: number;
  };
  readonly budget: Budget;
  readonly objectives: readonly Objective[];
  readonly best?: { readonly number: number; readonly values: readonly number[]; readonly synthetic?: true };
  readonly inFlight: readonly number[];
}

/** The instant for which the input was made, milliseconds. */
export function instantOf(input: ProgressInput): number {
  return input.startedAt + input.elapsedSeconds * 1000;
}

/** How many trials have ended, whatever became of them. */
export function endedTrials(counts: ProgressInput['counts']): number {
  return counts.completed + counts.pruned + counts.failed + counts.cancelled;
}

/** Share of the budget that is used, 0 to 1, by the limit that is nearest; undefined for a campaign without trial, time or deadline limit. */
export function budgetShare(input: ProgressInput): number | undefined {
  const { trials } = input.budget;
  const shares = [
    ...(trials === undefined ? [] : [endedTrials(input.counts) / Math.max(1, trials)]),
    ...timeShares(input.budget, input.startedAt, instantOf(input)),
  ].filter((share) => Number.isFinite(share));
  return shares.length === 0 ? undefined : Math.min(1, Math.max(...shares));
}

/**
 * Seconds until the budget is used at the pace of the last trials, or until the time limit if that comes first.
 * Undefined before the second end and for a campaign that starts nothing.
 */
export function secondsLeft(input: ProgressInput, rows: readonly TrialRow[]): number | undefined {
  if (input.phase !== 'running' && input.phase !== 'draining') return undefined;
  const { trials, wallSeconds, deadline } = input.budget;
  const open = input.phase === 'draining' ? input.inFlight.length : trials === undefined ? undefined : trials - endedTrials(input.counts);
  const pace = secondsPerTrial(rows, input.inFlight.length);
  const left = [
    open === undefined || pace === undefined ? undefined : Math.max(0, open) * pace,
    wallSeconds === undefined ? undefined : wallSeconds - input.elapsedSeconds,
    deadline === undefined ? undefined : (Date.parse(deadline) - instantOf(input)) / 1000,
  ].filter((seconds): seconds is number => seconds !== undefined && Number.isFinite(seconds));
  return left.length === 0 ? undefined : Math.max(0, Math.min(...left));
}

/** So many ends at least tell the pace; of many trials at once two rounds, since those of one round end together. */
const PACE_ENDS = 40;

/** Between two ends, all slots together. While all ends are looked at, from the first start on: the first ones come together, after a whole training. */
function secondsPerTrial(rows: readonly TrialRow[], inFlight: number): number | undefined {
  const ended = rows.filter((row): row is TrialRow & { finishedAt: number } => isFinal(row.state) && row.finishedAt !== undefined);
  if (ended.length < 2) return undefined;
  const last = ended.slice(-Math.max(PACE_ENDS, 2 * inFlight));
  const newest = last.reduce((latest, { finishedAt }) => Math.max(latest, finishedAt), 0);
  const isAll = last.length === ended.length;
  const begins = last.map(({ finishedAt, runSeconds }) => finishedAt - (isAll ? (runSeconds ?? 0) * 1000 : 0));
  return (newest - Math.min(...begins)) / 1000 / (isAll ? last.length : last.length - 1);
}

/** `12/40 trials · best 0.3500 in trial 9 · 4 in flight · 1 failed · ETA 3 h`. */
export function progressHeadline(input: ProgressInput, rows: readonly TrialRow[]): string {
  const { counts, budget, best } = input;
  const ended = endedTrials(counts);
  const eta = secondsLeft(input, rows);
  return [
    budget.trials === undefined ? plural(ended, 'trial') : `${ended}/${budget.trials} trials`,
    best?.values[0] === undefined
      ? input.phase === 'ended'
        ? 'no result'
        : 'no result yet'
      : `best ${measured(best.values[0])} in trial ${best.number}${valueMarks(best)}`,
    input.inFlight.length > 0 ? `${input.inFlight.length} in flight` : undefined,
    counts.pruned > 0 ? `${counts.pruned} pruned` : undefined,
    counts.failed > 0 ? `${counts.failed} failed` : undefined,
    eta === undefined ? undefined : `ETA ${age(eta)}`,
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
}

/** Of all slots together; below a tenth of an hour in seconds, which read better. */
function trainingText(hours: number): string {
  return hours < 0.1 ? `${duration(hours * 3600)} of training in all slots` : `${measured(hours)} slot-hours of training`;
}

/** What is spent and what is left, one line: `12 of 40 trials · 1 h of 6 h · 41.5 slot-hours of training`. */
export function budgetLine(input: ProgressInput & { readonly trainingHours: number }): string {
  const { trials, wallSeconds, deadline, nodeHours } = input.budget;
  const share = budgetShare(input);
  return [
    trials === undefined ? undefined : `${endedTrials(input.counts)} of ${trials} trials`,
    wallSeconds === undefined ? `${age(input.elapsedSeconds)} so far` : `${age(input.elapsedSeconds)} of ${age(wallSeconds)}`,
    deadline === undefined ? undefined : `until ${deadline}`,
    nodeHours === undefined ? undefined : `at most ${measured(nodeHours)} node-hours`,
    trainingText(input.trainingHours),
    share === undefined ? undefined : `${percent(share)} used`,
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
}

/** What early stopping has saved, of how many trials: `12.5 slot-hours (1.04 node-hours), 7 trials stopped early or paused`. */
export function savingLine({
  savedHours,
  savedNodeHours,
  counts,
}: Pick<ProgressInput, 'counts'> & { readonly savedHours: number; readonly savedNodeHours?: number }): string {
  const nodes = savedNodeHours === undefined ? '' : ` (${measured(savedNodeHours)} node-hours)`;
  return `${measured(savedHours)} slot-hours${nodes}, ${plural(counts.pruned, 'trial')} stopped early or paused`;
}

/** Calls, tokens and trials of a language model, one line: `14 of 2000 calls · 16800 of 5000000 tokens · 9 trials, 1867 tokens each`. */
export function llmLine({ calls, promptTokens, completionTokens, limit, trials }: LlmTotals): string {
  const tokens = promptTokens + completionTokens;
  return [
    limit === undefined ? plural(calls, 'call') : `${calls} of ${limit.calls} calls`,
    limit === undefined ? `${tokens} tokens` : `${tokens} of ${limit.tokens} tokens`,
    trials === 0 ? 'no trial of its own yet' : `${plural(trials, 'trial')}, ${Math.round(tokens / trials)} tokens each`,
    limit !== undefined && (calls >= limit.calls || tokens >= limit.tokens) ? 'the limit is reached: the sampler goes on alone' : undefined,
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
}
