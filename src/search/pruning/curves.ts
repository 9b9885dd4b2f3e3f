import type { Objective } from '../../domain/campaign.ts';
import type { TrialRow } from '../../domain/trial.ts';

/** A trial's losses (smaller is better) by step, in the order of steps. A value that is not a number is a loss of Infinity: the training diverged. */
export function curveOf(objective: Objective, trial: TrialRow): { step: number; loss: number }[] {
  const sign = objective.direction === 'maximize' ? -1 : 1;
  return [...(trial.curve ?? [])]
    .sort((a, b) => a[0] - b[0])
    .map(([step, value]) => ({ step, loss: Number.isFinite(value) ? sign * value : Number.POSITIVE_INFINITY }));
}

/**
 * Loss still to be gained from each reported step to the last one: medians over the trials that were at both ends of a stretch between steps, summed from the
 * last stretch backwards. Never negative: trainings that get worse are not the rule.
 */
export function gainsAhead(curves: readonly (readonly { readonly step: number; readonly loss: number }[])[]): Map<number, number> {
  const byStep = curves.map((curve) => new Map(curve.map((p) => [p.step, p.loss])));
  const steps = [...new Set(curves.flatMap((curve) => curve.map((p) => p.step)))].sort((a, b) => a - b);
  const ahead = new Map<number, number>();
  let sum = 0;
  for (let i = steps.length - 1; i >= 0; i--) {
    const [from, to] = [steps[i] as number, steps[i + 1]];
    const gains = byStep.flatMap((losses) => {
      const [a, b] = [losses.get(from), to === undefined ? undefined : losses.get(to)];
      return a !== undefined && b !== undefined && Number.isFinite(a - b) ? [a - b] : [];
    });
    gains.sort((a, b) => a - b);
    sum += Math.max(0, gains[Math.floor(gains.length / 2)] ?? 0);
    ahead.set(from, sum);
  }
  return ahead;
}

/**
 * Loss of a trial at a rung: of its first report at or after that step, or of its best report until then where the objective is the best of the curve.
 * Undefined before the trial gets there.
 */
export function lossAtRung(objective: Objective, trial: TrialRow, rung: number): number | undefined {
  const curve = curveOf(objective, trial);
  const at = curve.findIndex((point) => point.step >= rung);
  if (at < 0) return undefined;
  if (objective.reduce !== 'best') return (curve[at] as { loss: number }).loss;
  return Math.min(...curve.slice(0, at + 1).map((point) => point.loss));
}

/** Last step that a trial has reported, 0 before any report. */
export function lastStep(trial: TrialRow): number {
  return (trial.curve ?? []).reduce((most, [step]) => Math.max(most, step), trial.step ?? 0);
}

/** Steps that early stopping has saved: what pruned trials would still have run. Times seconds per step and nodes per trial, these are node-hours. */
export function savedSteps(trials: readonly TrialRow[], maxSteps: number): number {
  return trials.filter((t) => t.state === 'pruned').reduce((sum, t) => sum + Math.max(0, maxSteps - lastStep(t)), 0);
}

/**
 * Node-hours saved, from the run time and steps of the pruned trials themselves.
 * `nodesPerTrial` is the share of a node that a trial holds, e.g. 1/12 on a node of 12 tiles.
 */
export function savedNodeHours(trials: readonly TrialRow[], maxSteps: number, nodesPerTrial: number): number {
  let hours = 0;
  for (const trial of trials) {
    const step = lastStep(trial);
    if (trial.state !== 'pruned' || step === 0 || trial.runSeconds === undefined) continue;
    hours += ((trial.runSeconds / step) * Math.max(0, maxSteps - step) * nodesPerTrial) / 3600;
  }
  return hours;
}
