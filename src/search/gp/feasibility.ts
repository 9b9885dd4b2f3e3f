import type { Codes } from '../space.ts';
import { type FeatureMap, featuresOf } from './features.ts';
import { defaultPriors, fitHyperparameters, priorMean } from './fit.ts';
import { type Hyperparameters, posteriorOf, predict, predictMeans } from './model.ts';
import { normalCdf } from './normal.ts';

/** Log of the chance that points succeed, for rows of features. */
export type Feasibility = (features: Float64Array, count: number) => Float64Array;

/** Of the variance of a yes or no, the share that is taken for bad luck (a node that broke) instead of the point's own fault. */
const LUCK = 0.3;
const LEAST_CHANCE = 0.02;
const LEAST_LOG_CHANCE = -20;
/** Rows nearest to a condition's edge that its model is fitted to, and steps of that fit. */
const MOST_FITTED = 100;
const FIT_STEPS = 20;
/** exp of it is zero. */
const NO_ADDITIVE_PART = Number.NEGATIVE_INFINITY;

/**
 * A model of which points fail, by regression on yes and no with the objective's length scales, shortened to half the range so that a corner that always
 * runs out of memory is learnt and one broken node in a good region is not held against it. Undefined while nothing has failed.
 */
export function successModel(
  map: FeatureMap,
  hyper: Hyperparameters,
  codes: readonly Codes[],
  hasFailed: readonly boolean[],
): Feasibility | undefined {
  const failed = hasFailed.filter(Boolean).length;
  if (failed === 0) return undefined;
  // Laplace's rule, so that the first failure of few trials does not forbid everything.
  const base = (hasFailed.length - failed + 1) / (hasFailed.length + 2);
  const variance = base * (1 - base);
  const labels = Float64Array.from(hasFailed, (f) => (f ? 0 : 1) - base);
  const logLengths = hyper.logLengths.map((log) => Math.min(log, Math.log(0.5)));
  const model = {
    logLengths,
    logAmplitude: Math.log((1 - LUCK) * variance),
    logNoise: Math.log(LUCK * variance),
    logAdditive: NO_ADDITIVE_PART,
  };
  const posterior = posteriorOf(map, model, featuresOf(map, codes), labels, 0);
  return (features, count) =>
    predictMeans(posterior, features, count).map((mean) => Math.log(Math.min(1, Math.max(LEAST_CHANCE, base + mean))));
}

/**
 * The chance that a condition on a metric holds, from a Gaussian process over the signed distance to its bound (Gardner and others 2014). The distance is not
 * centred: zero is where the decision falls. Undefined while the condition was never broken.
 */
export function conditionModel(map: FeatureMap, codes: readonly Codes[], margins: readonly number[]): Feasibility | undefined {
  const known = margins.map((_, i) => i).filter((i) => Number.isFinite(margins[i] as number));
  if (!known.some((i) => (margins[i] as number) > 0)) return undefined;
  const scale = Math.sqrt(known.reduce((sum, i) => sum + (margins[i] as number) ** 2, 0) / known.length);
  const distances = Float64Array.from(known, (i) => (margins[i] as number) / scale);
  const rows = featuresOf(
    map,
    known.map((i) => codes[i] as Codes),
  );
  const posterior = posteriorOf(map, fittedTo(map, rows, distances), rows, distances, 0);
  return (features, count) => {
    const means = new Float64Array(count);
    const variances = new Float64Array(count);
    predict(posterior, features, count, means, variances);
    return means.map((mean, i) => Math.max(LEAST_LOG_CHANCE, Math.log(normalCdf(-mean / Math.sqrt(variances[i] as number)))));
  };
}

/** Hyperparameters of a condition's own: a metric like the memory seldom depends on what the objective depends on. */
function fittedTo(map: FeatureMap, features: Float64Array, distances: Float64Array): Hyperparameters {
  const order = Array.from(distances, (_, i) => i).sort(
    (a, b) => Math.abs(distances[a] as number) - Math.abs(distances[b] as number) || a - b,
  );
  const rows = order.slice(0, MOST_FITTED).sort((a, b) => a - b);
  const chosen = new Float64Array(rows.length * map.stride);
  rows.forEach((row, i) => {
    chosen.set(features.subarray(row * map.stride, (row + 1) * map.stride), i * map.stride);
  });
  const priors = defaultPriors(map.size);
  const losses = Float64Array.from(rows, (row) => distances[row] as number);
  return fitHyperparameters(map, chosen, losses, priors, [priorMean(map, priors)], FIT_STEPS).hyper;
}

/** All of them together; undefined when there is none. */
export function chances(models: readonly (Feasibility | undefined)[]): Feasibility | undefined {
  const real = models.filter((m) => m !== undefined);
  if (real.length === 0) return undefined;
  return (features, count) => {
    const sum = new Float64Array(count);
    for (const model of real) {
      const logs = model(features, count);
      for (let i = 0; i < count; i++) sum[i] = (sum[i] as number) + (logs[i] as number);
    }
    return sum;
  };
}
