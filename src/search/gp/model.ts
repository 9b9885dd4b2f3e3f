import { cholesky, dot, invertLower, multiplyLower, multiplyLowerTransposed } from './cholesky.ts';
import { depthOf, type FeatureMap, hasReports } from './features.ts';
import { NO_TREND, type Slopes, trendAt, withoutTrend } from './trend.ts';

/**
 * Hyperparameters as logarithms: one length scale per feature, variances of the part in which all features act together, of the noise, and of the part that
 * is a sum over features (all of standardised losses).
 */
export interface Hyperparameters {
  readonly logLengths: readonly number[];
  readonly logAmplitude: number;
  readonly logNoise: number;
  readonly logAdditive: number;
  /**
   * With reports of unfinished trainings: variance of what a configuration gains, from the earliest report to its end, more or less than the others do, as far as
   * nothing but its own further reports tells. Without it a model that has seen many first reports believes to know where each training ends.
   */
  readonly logGain?: number;
}

/**
 * The additive part is the mean over features of 1 / (1 + sharpness · d²/ℓ²), a rational quadratic kernel with a length scale about a fifth of ℓ: main effects
 * vary faster along their own axis than the whole does, and they are learnt from few points because each point informs every axis (Duvenaud 2011).
 */
export const ADDITIVE_SHARPNESS = 20;

/** Added to the diagonal beside the noise: keeps the factorisation positive where points nearly coincide. */
export const JITTER = 1e-6;

const SQRT5 = Math.sqrt(5);

/** Variance of a training's noise-free end before anything is known. */
export const signalOfEnd = (hyper: Hyperparameters): number => Math.exp(hyper.logAmplitude) + Math.exp(hyper.logAdditive);

/** The same of the row at `at`, which may be a report. */
export const signalOf = (map: FeatureMap, hyper: Hyperparameters, rows: Float64Array, at: number): number =>
  signalOfEnd(hyper) + gainOf(map, hyper) * aheadOf(map, rows, at) ** 2;

const gainOf = (map: FeatureMap, { logGain }: Hyperparameters): number =>
  hasReports(map) && logGain !== undefined ? Math.exp(logGain) : 0;

const aheadOf = (map: FeatureMap, rows: Float64Array, at: number): number => (hasReports(map) ? (rows[at + map.size] as number) : 0);

/** Below it a variance is rounding only. */
export const leastVariance = (hyper: Hyperparameters): number => 1e-12 * signalOfEnd(hyper);

/** A posterior: training rows (then pending ones, as fantasies), the factor's inverse, and weights of the mean. */
export interface Posterior {
  readonly map: FeatureMap;
  readonly hyper: Hyperparameters;
  /** Rows with results. */
  readonly n: number;
  /** Rows with results and fantasies. */
  rows: number;
  readonly capacity: number;
  /** Scaled features: numeric ones divided by their length scale. */
  readonly scaled: Float64Array;
  readonly inverse: Float64Array;
  readonly alpha: Float64Array;
  readonly scratch: Float64Array;
  /** The mean before anything is known. */
  readonly slopes: Slopes;
}

/** Writes a row of features, those that are compared as numbers divided by their length scale. */
export function scaleInto(
  map: FeatureMap,
  hyper: Hyperparameters,
  features: Float64Array,
  from: number,
  out: Float64Array,
  to: number,
): void {
  for (let k = 0; k < map.size; k++) {
    const x = features[from + k] as number;
    out[to + k] = k < map.numeric ? x * Math.exp(-(hyper.logLengths[k] as number)) : x;
  }
  if (hasReports(map)) out[to + map.size] = features[from + map.size] as number;
}

/**
 * Conditions on `features` (n rows of map.stride) and standardised losses, with room for `extra` fantasies; `slopes` are the mean that what lies between falls
 * back to. When the matrix is not positive definite, jitter is raised tenfold until it is.
 */
export function posteriorOf(
  map: FeatureMap,
  hyper: Hyperparameters,
  features: Float64Array,
  losses: Float64Array,
  extra: number,
  slopes = NO_TREND,
): Posterior {
  const n = losses.length;
  const capacity = n + extra;
  const scaled = new Float64Array(capacity * map.stride);
  for (let i = 0; i < n; i++) scaleInto(map, hyper, features, i * map.stride, scaled, i * map.stride);
  const inverse = new Float64Array(capacity * capacity);
  const posterior: Posterior = {
    map,
    hyper,
    n,
    rows: n,
    capacity,
    scaled,
    inverse,
    alpha: new Float64Array(n),
    scratch: new Float64Array(capacity),
    slopes,
  };
  const factor = new Float64Array(n * n);
  const weights = categoryWeights(map, hyper);
  for (let jitter = JITTER; ; jitter *= 10) {
    for (let i = 0; i < n; i++) {
      kernelRow(map, weights, scaled, i, scaled, i * map.stride, factor, i * n, hyper);
      factor[i * n + i] = signalOf(map, hyper, scaled, i * map.stride) + Math.exp(hyper.logNoise) + jitter;
    }
    if (cholesky(factor, n, n)) break;
    if (!(jitter < 1e3)) throw new Error('The covariance of the trials is not a number. A parameter or a loss is not finite.');
  }
  const compact = new Float64Array(n * n);
  invertLower(factor, n, n, compact);
  for (let i = 0; i < n; i++) inverse.set(compact.subarray(i * n, i * n + i + 1), i * capacity);
  const half = new Float64Array(n);
  multiplyLower(compact, n, n, withoutTrend(map, slopes, features, losses), half);
  multiplyLowerTransposed(compact, n, n, half, posterior.alpha);
  return posterior;
}

/** What two different values of each categorical feature add to the squared distance. */
export function categoryWeights(map: FeatureMap, hyper: Hyperparameters): Float64Array {
  return Float64Array.from({ length: map.size - map.numeric }, (_, k) => Math.exp(-2 * (hyper.logLengths[map.numeric + k] as number)));
}

/** Covariances of one scaled point with the first `count` scaled rows. */
export function kernelRow(
  map: FeatureMap,
  weights: Float64Array,
  rows: Float64Array,
  count: number,
  point: Float64Array,
  at: number,
  out: Float64Array,
  to: number,
  hyper: Hyperparameters,
): void {
  const { size, stride, numeric } = map;
  const depth = depthOf(map);
  const gain = gainOf(map, hyper) * aheadOf(map, point, at);
  const amplitude = Math.exp(hyper.logAmplitude);
  const share = Math.exp(hyper.logAdditive) / size;
  for (let i = 0, row = 0; i < count; i++, row += stride) {
    let r2 = 0;
    let sum = 0;
    for (let k = 0; k < numeric; k++) {
      const d = (rows[row + k] as number) - (point[at + k] as number);
      const u = d * d;
      r2 += u;
      sum += 1 / (1 + ADDITIVE_SHARPNESS * u);
    }
    for (let k = numeric; k < size; k++) {
      const u = rows[row + k] !== point[at + k] ? (weights[k - numeric] as number) : 0;
      r2 += u;
      sum += 1 / (1 + ADDITIVE_SHARPNESS * u);
    }
    const s = SQRT5 * Math.sqrt(r2);
    out[to + i] = amplitude * (1 + s + (5 / 3) * r2) * Math.exp(-s) + share * sum;
    if (gain > 0) {
      const d = (rows[row + depth] as number) - (point[at + depth] as number);
      // All that is between the two is how far they had come: two reports of one training.
      if (r2 === d * d) out[to + i] = (out[to + i] as number) + gain * aheadOf(map, rows, row);
    }
  }
}

/** Parts of the rows after which a prediction is looked at: an eighth and two fifths of the work. */
const CHECKED_AT = [0.35, 0.63];

/**
 * Posterior means and variances (of the noise-free value) at `count` rows of features. Each row of the model only takes away from a variance: where
 * `isHopeless` says of a mean and the variance that is left that they are not worth the rest, that variance is the answer.
 */
export function predict(
  posterior: Posterior,
  features: Float64Array,
  count: number,
  means: Float64Array,
  variances: Float64Array,
  isHopeless?: (mean: number, variance: number) => boolean,
): void {
  const { map, hyper, n, rows, capacity, scaled, inverse, alpha, slopes } = posterior;
  const weights = categoryWeights(map, hyper);
  const scales = Float64Array.from({ length: map.numeric }, (_, k) => Math.exp(-(hyper.logLengths[k] as number)));
  // Four candidates at a time: each row of the inverse is read once for all four.
  const k0 = new Float64Array(rows);
  const k1 = new Float64Array(rows);
  const k2 = new Float64Array(rows);
  const k3 = new Float64Array(rows);
  const buffers = [k0, k1, k2, k3];
  const signals = [0, 0, 0, 0];
  const point = new Float64Array(map.stride);
  for (let c = 0; c < count; c += 4) {
    const width = Math.min(4, count - c);
    for (let w = 0; w < width; w++) {
      const from = (c + w) * map.stride;
      for (let k = 0; k < map.stride; k++) point[k] = (features[from + k] as number) * (k < map.numeric ? (scales[k] as number) : 1);
      const buffer = buffers[w] as Float64Array;
      signals[w] = signalOf(map, hyper, point, 0);
      kernelRow(map, weights, scaled, rows, point, 0, buffer, 0, hyper);
      means[c + w] = dot(alpha, 0, buffer, 0, n) + trendAt(slopes, features, from);
    }
    let v0 = 0;
    let v1 = 0;
    let v2 = 0;
    let v3 = 0;
    let check = isHopeless ? 0 : CHECKED_AT.length;
    let checkedRow = check < CHECKED_AT.length ? Math.floor(rows * (CHECKED_AT[check] as number)) : rows;
    for (let i = 0; i < rows; i++) {
      if (i === checkedRow) {
        const left = [v0, v1, v2, v3].map((v, w) => (signals[w] as number) - v);
        let hopeless = true;
        for (let w = 0; w < width; w++) hopeless &&= isHopeless?.(means[c + w] as number, left[w] as number) === true;
        if (hopeless) break;
        check++;
        checkedRow = check < CHECKED_AT.length ? Math.floor(rows * (CHECKED_AT[check] as number)) : rows;
      }
      const row = i * capacity;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let j = 0; j <= i; j++) {
        const x = inverse[row + j] as number;
        s0 += x * (k0[j] as number);
        s1 += x * (k1[j] as number);
        s2 += x * (k2[j] as number);
        s3 += x * (k3[j] as number);
      }
      v0 += s0 * s0;
      v1 += s1 * s1;
      v2 += s2 * s2;
      v3 += s3 * s3;
    }
    const explained = [v0, v1, v2, v3];
    for (let w = 0; w < width; w++) variances[c + w] = Math.max(leastVariance(hyper), (signals[w] as number) - (explained[w] as number));
  }
}

/**
 * Posterior means of ends, and upper bounds of their variances: what the one row that tells most about a point leaves of it (more rows only take more away). Costs n per
 * row of features where the variance itself costs n².
 */
export function predictBounds(
  posterior: Posterior,
  features: Float64Array,
  count: number,
  means: Float64Array,
  bounds: Float64Array,
): void {
  const { map, hyper, n, rows, scaled, alpha, slopes } = posterior;
  const signal = signalOfEnd(hyper);
  const weights = categoryWeights(map, hyper);
  // No row has a greater variance.
  const observed = signal + gainOf(map, hyper) + Math.exp(hyper.logNoise) + JITTER;
  const point = new Float64Array(map.stride);
  const covariance = new Float64Array(rows);
  for (let c = 0; c < count; c++) {
    scaleInto(map, hyper, features, c * map.stride, point, 0);
    kernelRow(map, weights, scaled, rows, point, 0, covariance, 0, hyper);
    means[c] = dot(alpha, 0, covariance, 0, n) + trendAt(slopes, features, c * map.stride);
    let largest = 0;
    for (let i = 0; i < rows; i++) if ((covariance[i] as number) > largest) largest = covariance[i] as number;
    bounds[c] = Math.max(leastVariance(hyper), signal - (largest * largest) / observed);
  }
}

/** Posterior means alone: no solve, so it costs n per row. */
export function predictMeans(posterior: Posterior, features: Float64Array, count: number): Float64Array {
  const { map, hyper, n, scaled, alpha, slopes } = posterior;
  const weights = categoryWeights(map, hyper);
  const point = new Float64Array(map.stride);
  const covariance = new Float64Array(n);
  return Float64Array.from({ length: count }, (_, c) => {
    scaleInto(map, hyper, features, c * map.stride, point, 0);
    kernelRow(map, weights, scaled, n, point, 0, covariance, 0, hyper);
    return dot(alpha, 0, covariance, 0, n) + trendAt(slopes, features, c * map.stride);
  });
}

/** Adds one row of features as if its result were the posterior mean: means stay, variances shrink. Costs n². */
export function addFantasy(posterior: Posterior, features: Float64Array, at: number): void {
  const { map, hyper, rows, capacity, scaled, inverse, scratch } = posterior;
  if (rows >= capacity) throw new Error('The posterior has no room for another fantasy.');
  scaleInto(map, hyper, features, at, scaled, rows * map.stride);
  const covariance = new Float64Array(rows);
  kernelRow(map, categoryWeights(map, hyper), scaled, rows, scaled, rows * map.stride, covariance, 0, hyper);
  multiplyLower(inverse, rows, capacity, covariance, scratch);
  const pivot = Math.sqrt(
    Math.max(
      JITTER,
      signalOf(map, hyper, scaled, rows * map.stride) + Math.exp(hyper.logNoise) + JITTER - dot(scratch, 0, scratch, 0, rows),
    ),
  );
  const row = new Float64Array(rows);
  multiplyLowerTransposed(inverse, rows, capacity, scratch, row);
  for (let j = 0; j < rows; j++) inverse[rows * capacity + j] = -(row[j] as number) / pivot;
  inverse[rows * capacity + rows] = 1 / pivot;
  posterior.rows++;
}
