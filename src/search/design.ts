import type { Suggestion } from '../domain/trial.ts';
import type { SuggestRequest } from './sampler.ts';
import { sobolUnit } from './sobol-sequence.ts';
import { type CompiledSpace, codesFromUnit, defaultPoint, keyOf, pointOf } from './space.ts';
import { takeUntried } from './untried.ts';

export interface Design {
  readonly suggestions: readonly Suggestion[];
  /** First index of the Sobol sequence that was not used. */
  readonly next: number;
  readonly exhausted: boolean;
}

/**
 * The first points of a model-based search: the user's default point, then a scrambled Sobol sequence through the prior, with suggested values half of
 * the time. `tried` grows by what is taken.
 */
export function initialDesign(request: SuggestRequest, compiled: CompiledSpace, count: number, next: number, tried: Set<string>): Design {
  const suggestions: Suggestion[] = [];
  const first = count > 0 ? defaultPoint(compiled) : undefined;
  if (first && !tried.has(keyOf(compiled, first))) {
    tried.add(keyOf(compiled, first));
    suggestions.push({ params: first, origin: 'default' });
  }
  const rest = sobolPoints(request, compiled, count - suggestions.length, next, tried, true);
  return { ...rest, suggestions: [...suggestions, ...rest.suggestions] };
}

/** The next points of the Sobol sequence that were not tried. */
export function sobolPoints(
  request: SuggestRequest,
  compiled: CompiledSpace,
  count: number,
  next: number,
  tried: Set<string>,
  withSuggestions: boolean,
): Design {
  const at = (i: number) =>
    pointOf(compiled, codesFromUnit(compiled, sobolUnit(request.seed, i, compiled.dimensions.length), withSuggestions));
  const taken = takeUntried(compiled, at, next, count, tried, request.allowDuplicates);
  return { suggestions: taken.points.map((params) => ({ params, origin: 'sobol' })), next: taken.next, exhausted: taken.exhausted };
}
