import type { MetricConstraint, Objective } from '../../domain/campaign.ts';
import type { Space } from '../../domain/space.ts';
import type { TrialRow } from '../../domain/trial.ts';
import { endedWithValue, violationOf } from '../losses.ts';
import { sobolUnit } from '../sobol-sequence.ts';
import { type Codes, codesFromUnit, codesOf, compileSpace, pointOf, satisfies } from '../space.ts';
import { featureMap, featuresOf } from './features.ts';
import { defaultPriors, fitHyperparameters, priorMean } from './fit.ts';
import { type Posterior, posteriorOf, predict } from './model.ts';

export interface RegretQuestion {
  readonly space: Space;
  /** One objective. */
  readonly objectives: readonly Objective[];
  readonly trials: readonly TrialRow[];
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly seed: number;
}

/** How much better than the best result the best point of the space may still be, in the objective's unit, with high probability under the model. */
export interface RegretBound {
  readonly bound: number;
  /** Standard deviation that the model gives repeated trainings of one point. A tolerance below it asks for more than trials can show. */
  readonly noise: number;
  /** Results that it was computed from. */
  readonly results: number;
}

/** Fewer results say nothing about what is left to gain (Optuna's min_n_trials). */
export const LEAST_RESULTS = 20;
/** Losses beyond the median by more than this many times its distance to the best tell only that they are bad. */
const CLIP = 1;
/** The cost of a fit grows with the cube. */
const MOST_FITTED = 200;
const SPACE_POINTS = 2048;
const FIT_STEPS = 30;
/** The bounds hold together with probability 1 − δ. */
const DELTA = 0.1;

/**
 * β of Srinivas and others 2010 for a space of `dimensions` parameters after `count` results, divided by five as there and by Makarova and others 2022.
 * Confidence bounds are mean ± √β · deviation.
 */
export function confidence(dimensions: number, count: number): number {
  return (2 * Math.log((dimensions * count ** 2 * Math.PI ** 2) / 6 / DELTA)) / 5;
}

/**
 * Regret bound of "Automatic Termination for Hyperparameter Optimization" (Makarova and others 2022): least upper confidence bound over the good trials minus least
 * lower confidence bound over the space (those trials and 2,048 Sobol points). Undefined with fewer than {@link LEAST_RESULTS} feasible results, and when there
 * is nothing to choose.
 */
export function regretBound({ space, objectives, trials, metricConstraints, seed }: RegretQuestion): RegretBound | undefined {
  const compiled = compileSpace(space);
  const map = featureMap(compiled);
  const ended = endedWithValue(objectives, trials).filter(
    ({ trial }) => trial.state === 'completed' && violationOf(metricConstraints, trial) === 0,
  );
  if (ended.length < LEAST_RESULTS || map.size === 0) return undefined;
  const top = chosen(ended.sort((a, b) => (a.losses[0] as number) - (b.losses[0] as number) || a.trial.number - b.trial.number));
  const count = top.length;
  const losses = clipped(top.map((each) => each.losses[0] as number));
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / count;
  const deviation = Math.max(1e-10, Math.sqrt(losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / count));
  const codes = top.map(({ trial }) => codesOf(compiled, trial.params));
  const features = featuresOf(map, codes);
  const standard = Float64Array.from(losses, (loss) => (loss - mean) / deviation);
  const priors = defaultPriors(map.size);
  const { hyper } = fitHyperparameters(map, features, standard, priors, [priorMean(map, priors)], FIT_STEPS);
  const posterior = posteriorOf(map, hyper, features, standard, 0);
  const points = Array.from({ length: SPACE_POINTS }, (_, i) =>
    codesFromUnit(compiled, sobolUnit(seed, i, compiled.dimensions.length)),
  ).filter((each) => satisfies(compiled, pointOf(compiled, each)));
  const width = Math.sqrt(confidence(map.size, count));
  const known = boundsOf(posterior, features, codes, width);
  const others = boundsOf(posterior, featuresOf(map, points), points, width);
  return {
    bound: (known.upper - Math.min(known.lower, others.lower)) * deviation,
    noise: Math.exp(hyper.logNoise / 2) * deviation,
    results: ended.length,
  };
}

/** At most {@link MOST_FITTED}, from the best to the worst: the better half of that number, and a spread of the rest. */
function chosen<T>(sorted: readonly T[]): T[] {
  if (sorted.length <= MOST_FITTED) return [...sorted];
  const best = MOST_FITTED / 2;
  const rest = sorted.length - best;
  const spread = Array.from(
    { length: MOST_FITTED - best },
    (_, k) => sorted[best + Math.floor(((k + 0.5) * rest) / (MOST_FITTED - best))] as T,
  );
  return [...sorted.slice(0, best), ...spread];
}

/** Losses in ascending order; those far beyond the median, like diverged trainings, brought to its other side's reach, so that they don't flatten what matters. */
function clipped(sorted: readonly number[]): number[] {
  const median = sorted[Math.floor(sorted.length / 2)] as number;
  const most = median + CLIP * (median - (sorted[0] as number));
  return sorted.map((loss) => Math.min(loss, most));
}

/** Least upper and least lower confidence bound over some points. */
function boundsOf(posterior: Posterior, features: Float64Array, points: readonly Codes[], width: number): { lower: number; upper: number } {
  const means = new Float64Array(points.length);
  const variances = new Float64Array(points.length);
  predict(posterior, features, points.length, means, variances);
  let lower = Number.POSITIVE_INFINITY;
  let upper = Number.POSITIVE_INFINITY;
  means.forEach((mean, i) => {
    const margin = width * Math.sqrt(variances[i] as number);
    lower = Math.min(lower, mean - margin);
    upper = Math.min(upper, mean + margin);
  });
  return { lower, upper };
}
