import { endedWithValue, violationOf } from './losses.ts';
import { type Observations, observe } from './observations.ts';
import { frontRanks } from './pareto.ts';
import { streamAt } from './random-stream.ts';
import type { SuggestRequest } from './sampler.ts';
import type { CompiledSpace } from './space.ts';

/**
 * The table with several objectives as one loss each time (ParEGO, Knowles 2006): objectives scaled to 0…1 over what was seen, weights drawn anew for every point,
 * loss = the largest weighted objective plus a twentieth of their sum. The weights depend on the seed and the number of the next point only.
 */
export function scalarised(request: SuggestRequest, compiled: CompiledSpace): Observations {
  const { objectives, trials, seed } = request;
  const ended = endedWithValue(objectives, trials).map((e) => e.losses);
  const low = objectives.map((_, k) => Math.min(...ended.map((l) => l[k] as number)));
  const high = objectives.map((_, k) => Math.max(...ended.map((l) => l[k] as number)));
  const stream = streamAt(seed, 'weights', trials.length);
  // Uniform on the simplex: spacings of exponential draws.
  const draws = objectives.map(() => -Math.log(1 - stream.next()));
  const total = draws.reduce((a, b) => a + b, 0);
  return observe(request, compiled, (losses) => {
    const weighted = losses.map((loss, k) => {
      const span = (high[k] as number) - (low[k] as number);
      return span > 0 ? ((draws[k] as number) / total) * ((loss - (low[k] as number)) / span) : 0;
    });
    return Math.max(...weighted) + 0.05 * weighted.reduce((a, b) => a + b, 0);
  });
}

/** Trials that are put in order; TPE's good density takes at most 25. */
const ORDERED = 200;

/**
 * The table ranked for samplers that need an order only (TPE): fronts first to last, within a front by crowding distance (Deb and others 2002), feasible before
 * infeasible. The loss is the place in that order.
 */
export function ranked(request: SuggestRequest, compiled: CompiledSpace): Observations {
  const ended = endedWithValue(request.objectives, request.trials).filter(
    ({ trial }) => violationOf(request.metricConstraints, trial) === 0,
  );
  const points = ended.map((e) => e.losses);
  const ranks = frontRanks(points, ORDERED);
  const crowding = crowdingDistances(points, ranks);
  const order = points
    .map((_, i) => i)
    .sort(
      (a, b) => compareDown(ranks[b] as number, ranks[a] as number) || compareDown(crowding[a] as number, crowding[b] as number) || a - b,
    );
  const place = new Map<string, number>();
  order.forEach((i, at) => {
    place.set(JSON.stringify(points[i]), at);
  });
  return observe(request, compiled, (losses) => place.get(JSON.stringify(losses)) ?? order.length);
}

/** Sum over objectives of the gap between the neighbours on the same front, in fractions of the front's span; Infinity at its ends. */
export function crowdingDistances(points: readonly (readonly number[])[], ranks: readonly number[]): number[] {
  const distances = points.map(() => 0);
  for (const rank of new Set(ranks.filter(Number.isFinite))) {
    const front = points.map((_, i) => i).filter((i) => ranks[i] === rank);
    for (let k = 0; k < (points[0]?.length ?? 0); k++) {
      const at = (i: number) => (points[i] as readonly number[])[k] as number;
      const sorted = [...front].sort((a, b) => at(a) - at(b) || a - b);
      const first = sorted[0] as number;
      const last = sorted[sorted.length - 1] as number;
      const span = at(last) - at(first);
      distances[first] = Number.POSITIVE_INFINITY;
      distances[last] = Number.POSITIVE_INFINITY;
      if (span <= 0) continue;
      for (let j = 1; j < sorted.length - 1; j++) {
        const i = sorted[j] as number;
        distances[i] = (distances[i] as number) + (at(sorted[j + 1] as number) - at(sorted[j - 1] as number)) / span;
      }
    }
  }
  return distances;
}

/** Larger first; Infinity minus Infinity is not a number. */
export function compareDown(a: number, b: number): number {
  return a === b ? 0 : a > b ? -1 : 1;
}
