/** When the model is asked: the exploration factor of rows L4 and L5. */

export interface Schedule {
  /** Trials that are the sampler's own before the model is asked at all. */
  readonly initialSamples: number;
  /** Factor at the start. */
  readonly base: number;
  /** Taken off every {@link RAMP_EVERY} iterations. */
  readonly ramp: number;
  /** The factor never falls below. */
  readonly least: number;
}

export type Phase = 'initial' | 'explore' | 'exploit';

const RAMP_EVERY = 10;
const WINDOW = 10;
/** Less gain than this between two windows counts as standing still. */
const STANDSTILL = 0.001;
const BOOST = 0.2;
const MOST_WHEN_BOOSTED = 0.8;
/** Above this factor the model explores, at or below the sampler exploits. */
const EXPLORE_ABOVE = 0.5;

/**
 * Row L5: factor = max(least, base − ⌊i/10⌋·ramp); when the best of the last ten results is not 0.001 better than the best of the ten before (always so while
 * there are 10 to 19 results), min(0.8, factor + 0.2). `iteration` counts finished trials, not suggestions; `results` are values in the order in which they
 * came, larger is better.
 */
export function explorationFactor(schedule: Schedule, iteration: number, results: readonly number[]): number {
  const { base, ramp, least } = schedule;
  const factor = Math.max(least, base - Math.floor(iteration / RAMP_EVERY) * ramp);
  return round(standsStill(results) ? Math.min(MOST_WHEN_BOOSTED, factor + BOOST) : factor);
}

function standsStill(results: readonly number[]): boolean {
  if (results.length < WINDOW) return false;
  if (results.length < 2 * WINDOW) return true;
  const best = (from: number, to?: number) => Math.max(...results.slice(from, to));
  return best(-WINDOW) - best(-2 * WINDOW, -WINDOW) < STANDSTILL;
}

/** Sums of tenths and twentieths, without the dust of binary fractions. */
function round(factor: number): number {
  return Math.round(factor * 1e9) / 1e9;
}

/** Row L4: the first trials are the sampler's; then the factor decides. `taken` counts trials of the campaign so far. */
export function phaseOf(schedule: Schedule, taken: number, factor: number): Phase {
  if (taken < schedule.initialSamples) return 'initial';
  return factor > EXPLORE_ABOVE ? 'explore' : 'exploit';
}

/** How many of the next `count` points the model is asked for. */
export function pointsToAsk(schedule: Schedule, taken: number, count: number, factor: number): number {
  let asked = 0;
  for (let next = taken; next < taken + count; next++) if (phaseOf(schedule, next, factor) === 'explore') asked++;
  return asked;
}
