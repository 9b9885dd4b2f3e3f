import type { Suggestion, TrialRow } from '../domain/trial.ts';
import type { SamplerEntry } from '../search/sampler.ts';
import type { LlmOptions } from './options.ts';

export interface Placed {
  /** Run as they are. */
  readonly taken: readonly Suggestion[];
  /** For `options.candidates` of the sampler, where they are weighed against its own. */
  readonly candidates: readonly Suggestion[];
}

/**
 * Where the model's points go. By the schedule they are weighed in the sampler's own choice, when it takes candidates (its option `candidates` is a list of points):
 * a bad model costs nothing. The bandit has decided that the model is to show what its points are worth, so they run as they are, as beside samplers that weigh
 * nothing: an arm that never runs never earns, and would be asked for ever.
 */
export function placeProposals(
  entry: SamplerEntry,
  proposals: readonly Suggestion[],
  count: number,
  share: LlmOptions['share'] = 'schedule',
): Placed {
  const weighs = share === 'schedule' && entry.options?.candidates?.kind === 'points';
  return weighs ? { taken: [], candidates: proposals } : { taken: proposals.slice(0, count), candidates: [] };
}

/** The table with points that are taken in this very batch as waiting trials, so that the sampler keeps away from them. */
export function withTaken(trials: readonly TrialRow[], taken: readonly Suggestion[]): TrialRow[] {
  const createdAt = trials.at(-1)?.createdAt ?? 0;
  const rows = taken.map(
    ({ params, origin }, index): TrialRow => ({
      number: trials.length + index + 1,
      params,
      origin,
      state: 'queued',
      attempts: 0,
      createdAt,
    }),
  );
  return [...trials, ...rows];
}
