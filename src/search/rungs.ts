import type { PrunerConfig } from '../domain/campaign.ts';

/** Steps at which a pruner compares trials: minSteps × reductionFactor^k, ending with maxSteps. Empty without a pruner. */
export function rungsOf(pruner: PrunerConfig | undefined): number[] {
  if (pruner === undefined) return [];
  const rungs: number[] = [];
  for (let step = pruner.minSteps; step < pruner.maxSteps; step *= pruner.reductionFactor) rungs.push(Math.round(step));
  rungs.push(pruner.maxSteps);
  return [...new Set(rungs)];
}

/** In successive halving's promoting form every trial first trains to the lowest rung only; undefined for everything else. */
export function firstPause(pruner: PrunerConfig | undefined): number | undefined {
  if (pruner?.type !== 'asha' || pruner.options.form !== 'promote') return undefined;
  return rungsOf(pruner)[0];
}
