import type { Objective } from '../domain/campaign.ts';
import type { TrialRow } from '../domain/trial.ts';
import { lossesOf } from './losses.ts';
import { curveOf } from './pruning/curves.ts';
import { type Codes, type CompiledSpace, codesOf } from './space.ts';

/** Results at every step that trainings have reported, for a model over configuration and step. */
export interface PartialResults {
  /** Codes of the space with one entry more: log(step + 1) over that of the longest training. */
  readonly codes: readonly Codes[];
  readonly losses: readonly number[];
}

/** More rows than this cost more than they tell: then only the last report of each trial is kept. */
const MOST_ROWS = 400;

/**
 * Reports of all trials, running ones included, when some were stopped early; undefined while none was (then the ends say all) and with several objectives.
 * A diverged report (not a number) is left out.
 */
export function partialResults(
  objectives: readonly Objective[],
  trials: readonly TrialRow[],
  compiled: CompiledSpace,
): PartialResults | undefined {
  const [objective] = objectives;
  if (objective === undefined || objectives.length > 1 || !trials.some((t) => t.state === 'pruned' && t.curve?.length)) return undefined;
  const curves = trials
    .filter((t) => t.state !== 'cancelled' && t.state !== 'failed')
    .sort((a, b) => a.number - b.number)
    .map((trial) => ({ trial, points: curveOf(objective, trial).filter((p) => Number.isFinite(p.loss)) }));
  const longest = Math.max(...curves.flatMap(({ points }) => points.map((p) => p.step)));
  const total = curves.reduce((sum, { points }) => sum + points.length, 0);
  const codes: Codes[] = [];
  const losses: number[] = [];
  for (const { trial, points } of curves) {
    const point = codesOf(compiled, trial.params);
    const end = trial.state === 'completed' ? lossesOf(objectives, trial)?.[0] : undefined;
    if (end !== undefined && points.length === 0) {
      codes.push(point);
      losses.push(end);
    }
    for (const { step, loss } of total > MOST_ROWS ? points.slice(-1) : points) {
      const row = new Float64Array(point.length + 1);
      row.set(point);
      row[point.length] = Math.log(step + 1) / Math.log(longest + 1);
      codes.push(row);
      losses.push(loss);
    }
  }
  return codes.length === 0 ? undefined : { codes, losses };
}
