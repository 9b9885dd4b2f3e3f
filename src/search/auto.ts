import { GP_OPTIONS, suggestByGp } from './gp/sampler.ts';
import { observe } from './observations.ts';
import type { Sampler, SuggestResult } from './sampler.ts';
import { scalarised } from './several-objectives.ts';
import { compileSpace } from './space.ts';
import { triedKeys } from './untried.ts';

export const AUTO_OPTIONS = GP_OPTIONS;

/**
 * The default. The user's default point first, then a Sobol design of 2 D + 2 points (at most 16, and whatever more is asked before five results are there), then
 * the Gaussian process; beyond 300 results or 15 parameters inside a trust region; several objectives through weights drawn anew for each point. A search that
 * is stuck breaks new ground (novelty.ts). With 16 or more trials running the process stands about a linear trend, and in a continuous space each further point must
 * promise more. No share of random points: on bench/search an eighth of them cost more than it brought.
 */
export const autoSampler: Sampler = (request): SuggestResult => {
  const compiled = compileSpace(request.space);
  const seen = request.objectives.length > 1 ? scalarised(request, compiled) : observe(request, compiled);
  return suggestByGp(request, compiled, seen, triedKeys(compiled, request.trials), 'gp');
};
