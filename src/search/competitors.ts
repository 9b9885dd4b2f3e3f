import type { Point } from '../domain/space.ts';
import type { Suggestion } from '../domain/trial.ts';
import { type CompiledSpace, codesOf, isActive, pointOf, satisfies } from './space.ts';

/**
 * Proposals from outside (`sampler.options.candidates`): plain points, which get the origin `llm`, or suggestions with origin and note of their own. Numbers are
 * brought into bounds and onto the grid; what misses an active parameter, names a value that is not in its list, or breaks a constraint is left out.
 */
export function competitors(compiled: CompiledSpace, given: readonly unknown[]): Suggestion[] {
  const out: Suggestion[] = [];
  for (const entry of given) {
    if (typeof entry !== 'object' || entry === null) continue;
    const isSuggestion = 'params' in entry && typeof entry.params === 'object' && entry.params !== null;
    const suggestion = (isSuggestion ? { origin: 'llm', ...entry } : { params: entry as Point, origin: 'llm' }) as Suggestion;
    const codes = codesOf(compiled, suggestion.params);
    const isWhole = codes.every((code, i) => !Number.isNaN(code) || !isActive(compiled, codes, i));
    if (!isWhole) continue;
    const params = pointOf(compiled, codes);
    if (satisfies(compiled, params)) out.push({ ...suggestion, params });
  }
  return out;
}
