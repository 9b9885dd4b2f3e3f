import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';

/** Values as losses: smaller is better, whatever the direction. Undefined when the trial has no finite value for every objective. */
export function lossesOf(objectives: readonly Objective[], trial: TrialRow): number[] | undefined {
  const { values } = trial;
  if (!values || values.length < objectives.length) return undefined;
  const losses = objectives.map((objective, i) => (objective.direction === 'maximize' ? -(values[i] as number) : (values[i] as number)));
  return losses.every(Number.isFinite) ? losses : undefined;
}

/** Signed distance to each condition in its metric's unit, positive where it is broken; NaN where the metric was not reported. */
export function marginsOf(constraints: readonly MetricConstraint[] | undefined, trial: TrialRow): number[] {
  return (constraints ?? []).map(({ op, bound }, i) => {
    const value = trial.constraintValues?.[i] ?? Number.NaN;
    return op === '<=' ? value - bound : bound - value;
  });
}

/** How far a trial breaks the campaign's conditions on metrics, each in its metric's unit, summed; 0 is feasible. */
export function violationOf(constraints: readonly MetricConstraint[] | undefined, trial: TrialRow): number {
  let sum = 0;
  // A metric that was not reported cannot be shown to hold.
  for (const margin of marginsOf(constraints, trial)) sum += Number.isNaN(margin) ? Number.POSITIVE_INFINITY : Math.max(0, margin);
  return sum;
}

/** Finished trials that have a value, in the order in which they ended (ties by number). Failed and cancelled trials carry no information on it. */
export function endedWithValue(objectives: readonly Objective[], trials: readonly TrialRow[]): { trial: TrialRow; losses: number[] }[] {
  const ended: { trial: TrialRow; losses: number[] }[] = [];
  for (const trial of trials) {
    if (trial.state !== 'completed' && trial.state !== 'pruned') continue;
    const losses = lossesOf(objectives, trial);
    if (losses) ended.push({ trial, losses });
  }
  return ended.sort((a, b) => (a.trial.finishedAt ?? 0) - (b.trial.finishedAt ?? 0) || a.trial.number - b.trial.number);
}

/** Of trials that ended those that keep all conditions on metrics: the ones among which the best are looked for. All of them where none does. */
export function feasibleOrAll<E extends { readonly trial: TrialRow }>(
  constraints: readonly MetricConstraint[] | undefined,
  ended: readonly E[],
): readonly E[] {
  const feasible = ended.filter(({ trial }) => violationOf(constraints, trial) === 0);
  return feasible.length > 0 ? feasible : ended;
}

/** Trials that have not ended: their points are taken, their losses unknown. */
export function pendingTrials(trials: readonly TrialRow[]): TrialRow[] {
  return trials.filter((trial) => !isFinal(trial.state));
}
