import type { CampaignSpec } from '../domain/campaign.ts';
import { pointKey } from '../domain/points.ts';
import type { Suggestion } from '../domain/trial.ts';
import { samplerEntry } from '../search/registry.ts';
import { withWarmStart } from '../search/warm-start.ts';

/**
 * The points that a campaign would try first, before any result is there: the user's own, then the sampler's. The same as the campaign's own, since samplers
 * are pure functions of file and seed; behind them the search goes by results. Throws what the sampler throws.
 */
export function firstPoints(spec: CampaignSpec, count: number, parallelism: number): readonly Suggestion[] {
  const own: Suggestion[] = spec.enqueue.map((params) => ({ params, origin: 'user' }));
  const wanted = Math.min(count, spec.budget.trials ?? count);
  if (own.length >= wanted) return own.slice(0, wanted);
  const { suggestions } = samplerEntry(spec.sampler.type).sampler({
    space: spec.space,
    objectives: spec.objectives,
    trials: withWarmStart(spec, []),
    count: wanted - own.length,
    seed: spec.seed,
    parallelism,
    options: spec.sampler.options,
    allowDuplicates: spec.allowDuplicates,
    ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
    ...(spec.budget.trials === undefined ? {} : { budgetTrials: spec.budget.trials + (spec.warmStart?.length ?? 0) }),
    ...(spec.pruner === undefined ? {} : { maxSteps: spec.pruner.maxSteps }),
    ...(spec.sampler.initialPoints === undefined ? {} : { initialPoints: spec.sampler.initialPoints }),
  });
  const known = new Set(own.map(({ params }) => pointKey(params)));
  return [...own, ...suggestions.filter(({ params }) => spec.allowDuplicates || !known.has(pointKey(params)))];
}
