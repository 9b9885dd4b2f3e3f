import { dot } from './cholesky.ts';
import { categoryWeights, kernelRow, leastVariance, type Posterior, scaleInto, signalOf } from './model.ts';
import { trendAt } from './trend.ts';

/**
 * One candidate whose variance follows the posterior: a further fantasy costs it as many steps as there are rows, where a prediction from nothing costs half
 * their square.
 */
export interface Followed {
  readonly scaled: Float64Array;
  /** Covariances with the rows of the posterior. */
  readonly covariances: Float64Array;
  readonly mean: number;
  variance: number;
  /** Rows that `variance` knows of. */
  rows: number;
}

/** Begins to follow one row of features: mean and variance as `predict` has them. */
export function follow(posterior: Posterior, features: Float64Array): Followed {
  const { map, hyper, n, capacity, alpha, slopes } = posterior;
  const scaled = new Float64Array(map.stride);
  scaleInto(map, hyper, features, 0, scaled, 0);
  const followed = { scaled, covariances: new Float64Array(capacity), mean: 0, variance: signalOf(map, hyper, scaled, 0), rows: 0 };
  catchUp(posterior, followed);
  return { ...followed, mean: dot(alpha, 0, followed.covariances, 0, n) + trendAt(slopes, features, 0) };
}

/** Takes in the rows that were added since; the mean of the first look stays, since fantasies stand at theirs. */
export function catchUp({ map, hyper, rows, capacity, scaled, inverse }: Posterior, followed: Followed): void {
  const { covariances } = followed;
  if (followed.rows === rows) return;
  const known = scaled.subarray(followed.rows * map.stride);
  kernelRow(map, categoryWeights(map, hyper), known, rows - followed.rows, followed.scaled, 0, covariances, followed.rows, hyper);
  let { variance } = followed;
  for (let row = followed.rows; row < rows; row++) variance -= dot(inverse, row * capacity, covariances, 0, row + 1) ** 2;
  followed.variance = Math.max(leastVariance(hyper), variance);
  followed.rows = rows;
}
