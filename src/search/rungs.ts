import type { PrunerConfig } from '../domain/campaign.ts';
import type { CurvePoint } from '../domain/trial.ts';

/** Steps at which a pruner compares trials: minSteps × reductionFactor^k, ending with maxSteps. Empty without a pruner. */
export function rungsOf(pruner: PrunerConfig | undefined): number[] {
  if (pruner === undefined) return [];
  const rungs: number[] = [];
  for (let step = pruner.minSteps; step < pruner.maxSteps; step *= pruner.reductionFactor) rungs.push(Math.round(step));
  rungs.push(pruner.maxSteps);
  return [...new Set(rungs)];
}

/** Where every trial pauses first, in successive halving's promoting form and in freeze–thaw: at the lowest rung. Undefined for everything else. */
export function firstPause(pruner: PrunerConfig | undefined): number | undefined {
  const pauses = pruner?.type === 'freeze_thaw' || (pruner?.type === 'asha' && pruner.options.form === 'promote');
  return pauses ? rungsOf(pruner)[0] : undefined;
}

/**
 * Where a trial that has failed pauses next when it runs again: at the rung that it was on its way to, since its checkpoint may be past the lower ones and
 * a training that begins above its target reports nothing. Undefined where trials do not pause.
 */
export function pauseAfter(pruner: PrunerConfig | undefined, curve: readonly CurvePoint[] = []): number | undefined {
  const first = firstPause(pruner);
  if (first === undefined) return undefined;
  const reached = Math.max(0, ...curve.map(([step]) => step));
  const rungs = rungsOf(pruner);
  return rungs.find((rung) => rung > reached) ?? rungs.at(-1);
}
