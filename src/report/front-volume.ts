import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { TrialRow } from '../domain/trial.ts';
import { endedWithValue, violationOf } from '../search/losses.ts';
import { hypervolume, referencePoint } from '../search/pareto.ts';

/** The volume that a Pareto front dominates, and the corner up to which it is measured, in the objectives' own units. */
export interface FrontVolume {
  readonly value: number;
  /** A tenth of the span beyond the worst completed, feasible trial in each objective. */
  readonly corner: Readonly<Record<string, number>>;
}

/** Above this many objectives the exact volume costs too much. */
const MOST_OBJECTIVES = 4;

/** Hypervolume of the completed, feasible trials; undefined with one objective, with more than four, and before the first such trial. */
export function frontVolume(
  rows: readonly TrialRow[],
  objectives: readonly Objective[],
  constraints?: readonly MetricConstraint[],
): FrontVolume | undefined {
  if (objectives.length < 2 || objectives.length > MOST_OBJECTIVES) return undefined;
  const losses = endedWithValue(objectives, rows)
    .filter(({ trial }) => trial.state === 'completed' && violationOf(constraints, trial) === 0)
    .map((each) => each.losses);
  if (losses.length === 0) return undefined;
  const corner = referencePoint(losses);
  return {
    value: hypervolume(losses, corner),
    // Losses of what is maximised are negated.
    corner: Object.fromEntries(
      objectives.map(({ metric, direction }, at) => [metric, (direction === 'maximize' ? -1 : 1) * (corner[at] as number)]),
    ),
  };
}
