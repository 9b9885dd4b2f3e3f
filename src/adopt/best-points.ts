import type { CampaignSpec } from '../domain/campaign.ts';
import { frontRanks } from '../search/pareto.ts';
import type { WarmStartEntry } from '../spec/warm-start.ts';

/**
 * The best points, each once: those that keep the conditions on metrics first (a metric that is not known is no reason against a point: it is to be tried
 * again), then by front where there are several objectives, then by the first objective.
 */
export function bestPoints(
  entries: readonly WarmStartEntry[],
  { objectives, metricConstraints = [] }: Pick<CampaignSpec, 'objectives' | 'metricConstraints'>,
  count: number,
): WarmStartEntry[] {
  const losses = entries.map(({ values }) =>
    objectives.map(({ metric, direction }) => (direction === 'maximize' ? -1 : 1) * (values[metric] as number)),
  );
  const ranks = frontRanks(losses);
  const isBroken = ({ metrics }: WarmStartEntry) =>
    metricConstraints.some(({ metric, op, bound }) => {
      const value = metrics?.[metric];
      return value !== undefined && (op === '<=' ? value > bound : value < bound);
    });
  const seen = new Set<string>();
  return entries
    .map((entry, at) => ({ entry, broken: isBroken(entry) ? 1 : 0, rank: ranks[at] as number, loss: losses[at]?.[0] as number }))
    .sort((a, b) => a.broken - b.broken || a.rank - b.rank || a.loss - b.loss)
    .map(({ entry }) => entry)
    .filter(({ params }) => {
      const key = JSON.stringify(params);
      return !seen.has(key) && seen.add(key);
    })
    .slice(0, count);
}
