import type { Point } from '../domain/space.ts';
import { readOptions } from './options.ts';
import { randomUnit } from './random-stream.ts';
import type { Sampler, SuggestRequest, SuggestResult } from './sampler.ts';
import { sobolUnit } from './sobol-sequence.ts';
import { type CompiledSpace, codesFromUnit, compileSpace, defaultPoint, enumerate, keyOf, pointOf } from './space.ts';
import { takeUntried, triedKeys } from './untried.ts';

/**
 * Samplers that do not look at results. Suggestion n is a function of (space, seed, indices of the sequence used so far) and of which points are taken,
 * never of the order in which trials end: a campaign whose workers are killed has the same table as an undisturbed one.
 */

const DESIGN_OPTIONS = {
  default_first: { kind: 'boolean', default: false, summary: "Begin with the point of all parameters' defaults." },
} as const;

const GRID_OPTIONS = {
  points: {
    kind: 'integer',
    default: 5,
    min: 2,
    max: 1000,
    summary: 'Values that a continuous or long integer parameter is thinned out to.',
  },
  default_first: DESIGN_OPTIONS.default_first,
} as const;

export const BLIND_OPTIONS = { random: DESIGN_OPTIONS, sobol: DESIGN_OPTIONS, grid: GRID_OPTIONS };

/** Where the sequence goes on: from the carried state, else from its beginning (points of the table are skipped either way). */
function nextIndex(request: SuggestRequest): number {
  const next = request.state?.next;
  return typeof next === 'number' ? next : 0;
}

function firstPoint(compiled: CompiledSpace, wanted: boolean, tried: Set<string>): Point | undefined {
  const point = wanted ? defaultPoint(compiled) : undefined;
  if (!point || tried.has(keyOf(compiled, point))) return undefined;
  tried.add(keyOf(compiled, point));
  return point;
}

function designSampler(origin: string, unitAt: typeof randomUnit): Sampler {
  return (request): SuggestResult => {
    const compiled = compileSpace(request.space);
    const options = readOptions(DESIGN_OPTIONS, request.options);
    const tried = triedKeys(compiled, request.trials);
    const first = firstPoint(compiled, options.default_first && request.state === undefined, tried);
    const at = (index: number) => pointOf(compiled, codesFromUnit(compiled, unitAt(request.seed, index, compiled.dimensions.length), true));
    const wanted = request.count - (first ? 1 : 0);
    const taken = takeUntried(compiled, at, nextIndex(request), wanted, tried, request.allowDuplicates);
    const suggestions = taken.points.map((params) => ({ params, origin }));
    return {
      suggestions: first ? [{ params: first, origin: 'default' }, ...suggestions] : suggestions,
      state: { next: taken.next },
      exhausted: taken.exhausted,
    };
  };
}

/** Independent draws from the prior: weights, logarithms, and suggested values half of the time. */
export const randomSampler = designSampler('random', randomUnit);

/** A scrambled Sobol sequence through the same prior: more even than random draws. */
export const sobolSampler = designSampler('sobol', sobolUnit);

/** Every combination of values in order; continuous and long integer parameters are thinned out to `points` values. Ends when all are taken. */
export const gridSampler: Sampler = (request): SuggestResult => {
  const compiled = compileSpace(request.space);
  const options = readOptions(GRID_OPTIONS, request.options);
  const tried = request.allowDuplicates ? new Set<string>() : triedKeys(compiled, request.trials);
  const first = firstPoint(compiled, options.default_first && request.state === undefined, tried);
  const suggestions = first ? [{ params: first, origin: 'default' }] : [];
  const start = nextIndex(request);
  let index = 0;
  let exhausted = true;
  let next = start;
  const grid = enumerate(compiled, ({ kind, levels, snap, codeOfLevel }) => {
    const isListed = kind === 'categorical' || kind === 'constant';
    if (isListed || levels <= options.points) return Array.from({ length: levels }, (_, level) => codeOfLevel(level));
    const even = Array.from({ length: options.points }, (_, i) => snap(i / (options.points - 1)));
    return [...new Set(even)];
  });
  for (const params of grid) {
    if (index++ < start) continue;
    if (tried.has(keyOf(compiled, params))) continue;
    if (suggestions.length === request.count) {
      exhausted = false;
      break;
    }
    next = index;
    tried.add(keyOf(compiled, params));
    suggestions.push({ params, origin: 'grid' });
  }
  return { suggestions, state: { next }, exhausted };
};
