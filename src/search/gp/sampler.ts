import type { Suggestion } from '../../domain/trial.ts';
import { competitors } from '../competitors.ts';
import { initialDesign, sobolPoints } from '../design.ts';
import { type Observations, observe } from '../observations.ts';
import { type OptionTable, readOptions } from '../options.ts';
import type { Sampler, SuggestRequest, SuggestResult } from '../sampler.ts';
import { scalarised } from '../several-objectives.ts';
import { type CompiledSpace, codesOf, compileSpace } from '../space.ts';
import { triedKeys } from '../untried.ts';
import { type GpState, proposeByGp } from './propose.ts';

export const GP_OPTIONS = {
  candidates: {
    kind: 'points',
    default: [],
    summary: 'Points ({params, origin, note} or plain) that compete with our own under the same acquisition.',
  },
  trust_region: { kind: 'boolean', default: true, summary: 'Search locally with more than 15 parameters or more than 300 results.' },
} as const satisfies OptionTable;

/** Results without which no model is worth fitting. */
const LEAST_RESULTS = 5;

/** A larger design costs more than the model gains by it, also in many dimensions (bench/search). */
const LARGEST_DESIGN = 16;

/** Size of the design before the model speaks. */
export function designSize(request: Pick<SuggestRequest, 'initialPoints'>, compiled: CompiledSpace): number {
  const free = compiled.dimensions.filter((d) => d.kind !== 'constant').length;
  return request.initialPoints ?? Math.min(LARGEST_DESIGN, 2 * free + 2);
}

/** What {@link gpSampler} does, for samplers that build on it: they bring their own view of the losses. */
export function suggestByGp(
  request: SuggestRequest,
  compiled: CompiledSpace,
  seen: Observations,
  tried: Set<string>,
  origin: string,
): SuggestResult {
  const options = readOptions(GP_OPTIONS, request.options);
  const { next: start = 0, ...state } = (request.state ?? {}) as GpState & { next?: number };
  const total = request.trials.length;
  const blind = seen.finite < LEAST_RESULTS ? request.count : Math.max(0, Math.min(request.count, designSize(request, compiled) - total));
  const design = initialDesign(request, compiled, blind, start, tried);
  if (design.exhausted || design.suggestions.length === request.count)
    return { suggestions: design.suggestions, state: { ...state, next: design.next }, exhausted: design.exhausted };
  const ours = proposeByGp({
    compiled,
    seen: { ...seen, pending: [...seen.pending, ...design.suggestions.map((s) => codesOf(compiled, s.params))] },
    state,
    count: request.count - design.suggestions.length,
    seed: request.seed,
    firstIndex: total + design.suggestions.length,
    tried,
    candidates: competitors(compiled, options.candidates),
    designed: designSize(request, compiled),
    usesTrustRegion: options.trust_region,
    origin,
  });
  const suggestions: Suggestion[] = [...design.suggestions, ...ours.suggestions];
  const rest = sobolPoints(request, compiled, request.count - suggestions.length, design.next, tried, false);
  return { suggestions: [...suggestions, ...rest.suggestions], state: { ...ours.state, next: rest.next }, exhausted: rest.exhausted };
}

/**
 * Gaussian process with log expected improvement. Design: the default point, then Sobol points; afterwards points of greatest expected
 * improvement, pending ones counted as if they had brought their posterior mean; a search that is stuck breaks new ground. Several
 * objectives become one by ParEGO's weights, drawn anew for each point.
 */
export const gpSampler: Sampler = (request): SuggestResult => {
  const compiled = compileSpace(request.space);
  const seen = request.objectives.length > 1 ? scalarised(request, compiled) : observe(request, compiled);
  return suggestByGp(request, compiled, seen, triedKeys(compiled, request.trials), 'gp');
};
