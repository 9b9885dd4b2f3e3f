import type { Objective } from '../domain/campaign.ts';
import type { TrialRow } from '../domain/trial.ts';
import { lossesOf, marginsOf, pendingTrials, violationOf } from './losses.ts';
import { type PartialResults, partialResults } from './partial.ts';
import { curveOf, gainsAhead } from './pruning/curves.ts';
import type { SuggestRequest } from './sampler.ts';
import { type Codes, type CompiledSpace, codesOf } from './space.ts';

/** The table as a model with one objective sees it. */
export interface Observations {
  /** Points that ended with a verdict on them: completed, pruned, failed. Cancelled ones say nothing. */
  readonly codes: readonly Codes[];
  /** Losses (smaller is better) beside `codes`; NaN for a trial that failed or breaks a condition on metrics. */
  readonly losses: readonly number[];
  /** The same, but with the loss of a trial that ran to its end and broke a condition on metrics: it still tells about the objective. */
  readonly measured: readonly number[];
  /** Per condition on metrics: signed distances beside `codes` (see `marginsOf`); NaN for failed trials. */
  readonly margins: readonly (readonly number[])[];
  /** How many losses are numbers. */
  readonly finite: number;
  readonly pending: readonly Codes[];
  /** Reports on the way, when some trials were stopped early. */
  readonly partial?: PartialResults | undefined;
}

/**
 * What trials that were stopped early would have reached, by number: their last loss less the median gain that others had on each further stretch between
 * rungs. Without it a model would take an early stop for a bad end and keep away from slow starters. Only for one objective, and where curves are kept.
 */
export function extrapolated(objective: Objective, trials: readonly TrialRow[]): Map<number, number> {
  const out = new Map<number, number>();
  if (!trials.some((t) => t.state === 'pruned' && t.curve?.length)) return out;
  const curves = trials
    .filter((t) => t.state !== 'cancelled' && t.curve?.length)
    .map((trial) => ({ trial, curve: curveOf(objective, trial) }));
  const ahead = gainsAhead(curves.map(({ curve }) => curve));
  for (const { trial, curve } of curves) {
    const last = curve[curve.length - 1];
    if (trial.state === 'pruned' && last && Number.isFinite(last.loss)) out.set(trial.number, last.loss - (ahead.get(last.step) ?? 0));
  }
  return out;
}

/** Reads the table, in the order of trial numbers. `lossOf` may replace the first objective's loss, e.g. by a scalarisation of several. */
export function observe(
  { trials, objectives, metricConstraints, maxSteps }: SuggestRequest,
  compiled: CompiledSpace,
  lossOf: (losses: readonly number[]) => number = (losses) => losses[0] as number,
): Observations {
  const codes: Codes[] = [];
  const losses: number[] = [];
  const measured: number[] = [];
  const margins: number[][] = (metricConstraints ?? []).map(() => []);
  const reached = objectives.length === 1 ? extrapolated(objectives[0] as Objective, trials) : new Map<number, number>();
  let finite = 0;
  for (const trial of [...trials].sort((a, b) => a.number - b.number)) {
    if (trial.state !== 'completed' && trial.state !== 'pruned' && trial.state !== 'failed') continue;
    const values = trial.state === 'failed' ? undefined : lossesOf(objectives, trial);
    const loss = values ? lossOf(reached.has(trial.number) ? [reached.get(trial.number) as number] : values) : Number.NaN;
    const isFeasible = !Number.isNaN(loss) && violationOf(metricConstraints, trial) === 0;
    codes.push(codesOf(compiled, trial.params));
    measured.push(loss);
    losses.push(isFeasible ? loss : Number.NaN);
    const distances = marginsOf(metricConstraints, trial);
    margins.forEach((column, k) => {
      column.push(trial.state === 'failed' ? Number.NaN : (distances[k] as number));
    });
    if (isFeasible) finite++;
  }
  return {
    codes,
    losses,
    measured,
    margins,
    finite,
    pending: pendingTrials(trials).map((t) => codesOf(compiled, t.params)),
    partial: partialResults(objectives, trials, compiled, maxSteps),
  };
}
