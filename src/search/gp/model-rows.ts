import { streamAt } from '../random-stream.ts';
import type { Codes } from '../space.ts';
import { type FeatureMap, featuresOf } from './features.ts';
import type { Hyperparameters } from './model.ts';
import { NEAREST } from './trust-region.ts';

/** Rows that hyperparameters are fitted to at most: the cost of a step grows with the cube. */
export const FIT_ROWS = 200;

/** The best quarter and a random rest. */
export function fitRows(losses: Float64Array, seed: number): number[] {
  const order = Array.from(losses, (_, i) => i);
  if (order.length <= FIT_ROWS) return order;
  order.sort((a, b) => (losses[a] as number) - (losses[b] as number) || a - b);
  const best = order.slice(0, FIT_ROWS / 4);
  const rest = order.slice(FIT_ROWS / 4);
  const stream = streamAt(seed, 'fit-rows', losses.length);
  for (let k = 0; k < FIT_ROWS - best.length; k++) {
    const j = k + stream.integer(rest.length - k);
    [rest[k], rest[j]] = [rest[j] as number, rest[k] as number];
  }
  return [...best, ...rest.slice(0, FIT_ROWS - best.length)].sort((a, b) => a - b);
}

/** Rows nearest to the best one, measured in length scales. */
export function nearest(map: FeatureMap, hyper: Hyperparameters, codes: readonly Codes[], losses: Float64Array): number[] {
  const order = codes.map((_, i) => i);
  if (order.length <= NEAREST) return order;
  const features = featuresOf(map, codes);
  const weights = hyper.logLengths.map((log) => Math.exp(-2 * log));
  let best = 0;
  for (let i = 1; i < losses.length; i++) if ((losses[i] as number) < (losses[best] as number)) best = i;
  const distances = order.map((i) => {
    let sum = 0;
    for (let k = 0; k < map.size; k++) {
      const d = (features[i * map.stride + k] as number) - (features[best * map.stride + k] as number);
      sum += (weights[k] as number) * (k < map.numeric ? d * d : d === 0 ? 0 : 1);
    }
    return sum;
  });
  return order
    .sort((a, b) => (distances[a] as number) - (distances[b] as number) || a - b)
    .slice(0, NEAREST)
    .sort((a, b) => a - b);
}
