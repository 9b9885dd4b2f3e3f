import type { CompiledSpace } from '../space.ts';
import type { FeatureMap } from './features.ts';
import type { Hyperparameters } from './model.ts';

/**
 * A box around the best point that grows with successes and shrinks with failures (TuRBO-1, Eriksson and others 2019). It keeps a search in many dimensions or
 * with many trials local, and bounds the cost: only the nearest trials are modelled.
 */
export interface TrustRegion {
  /** Side of the box in codes, before the length scales shape it. */
  readonly length: number;
  readonly successes: number;
  readonly failures: number;
  /** Best loss and number of results when the region was last looked at. */
  readonly best: number;
  readonly seen: number;
}

export const TRUST_REGION_DIMENSIONS = 15;
export const TRUST_REGION_TRIALS = 300;
/** Trials that the model keeps inside a trust region. */
export const NEAREST = 400;

const LONGEST = 1.6;
const SHORTEST = 0.5 ** 7;
const FIRST: TrustRegion = { length: 0.8, successes: 0, failures: 0, best: Number.POSITIVE_INFINITY, seen: 0 };

/** The region after the results that have come since: doubled after 3 improvements, halved after as many failures as there are dimensions. */
export function advance(old: TrustRegion | undefined, losses: readonly number[], dimensions: number): TrustRegion {
  const region = old ?? FIRST;
  const finite = losses.filter(Number.isFinite);
  const best = finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  if (!old || region.best === Number.POSITIVE_INFINITY) return { ...region, best, seen: losses.length };
  if (losses.length === region.seen) return region;
  const isBetter = best < region.best - 1e-3 * Math.abs(region.best);
  const successes = isBetter ? region.successes + 1 : 0;
  const failures = isBetter ? 0 : region.failures + (losses.length - region.seen);
  const next = { ...region, best: Math.min(best, region.best), seen: losses.length, successes, failures };
  if (successes >= 3) return { ...next, successes: 0, length: Math.min(LONGEST, 2 * region.length) };
  if (failures < Math.max(8, dimensions)) return next;
  const halved = region.length / 2;
  return { ...next, failures: 0, length: halved < SHORTEST ? FIRST.length : halved };
}

/** Bounds of the box in codes: sides in proportion to length scales, with the volume of a cube of side `length`. */
export function boxAround(
  compiled: CompiledSpace,
  map: FeatureMap,
  hyper: Hyperparameters,
  centre: ArrayLike<number>,
  length: number,
): { low: Float64Array; high: Float64Array } {
  const size = compiled.dimensions.length;
  const low = new Float64Array(size);
  const high = new Float64Array(size).fill(1);
  const numeric = hyper.logLengths.slice(0, map.numeric);
  const average = numeric.reduce((a, b) => a + b, 0) / Math.max(1, numeric.length);
  numeric.forEach((log, k) => {
    const i = map.dimensions[k] as number;
    const side = length * Math.exp(Math.max(-2, Math.min(2, log - average)));
    const code = centre[i] as number;
    const at = Number.isNaN(code) ? 0.5 : code;
    low[i] = Math.max(0, at - side / 2);
    high[i] = Math.min(1, at + side / 2);
  });
  return { low, high };
}
