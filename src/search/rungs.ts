import type { PrunerConfig } from '../domain/campaign.ts';
import type { TrialRow } from '../domain/trial.ts';
import { mixWords } from './random-stream.ts';

/** Steps at which a pruner compares trials: minSteps × reductionFactor^k, ending with maxSteps. Empty without a pruner. */
export function rungsOf(pruner: PrunerConfig | undefined): number[] {
  if (pruner === undefined) return [];
  const rungs: number[] = [];
  for (let step = pruner.minSteps; step < pruner.maxSteps; step *= pruner.reductionFactor) rungs.push(Math.round(step));
  rungs.push(pruner.maxSteps);
  return [...new Set(rungs)];
}

/**
 * The bracket of a trial among Hyperband's (Li and others 2018): bracket b is not judged before rung b. Shares are those of Hyperband,
 * n_s = ⌈(s_max + 1)/(s + 1) · η^s⌉; a trial's bracket depends on the seed and its number only.
 */
export function bracketOf(pruner: PrunerConfig, seed: number, number: number): number {
  const brackets = Math.max(1, rungsOf(pruner).length);
  const most = brackets - 1;
  const shares = Array.from({ length: brackets }, (_, b) => Math.ceil((brackets / (most - b + 1)) * pruner.reductionFactor ** (most - b)));
  const total = shares.reduce((a, b) => a + b, 0);
  let rest = (mixWords(seed, 0xb4ac, number) / 4294967296) * total;
  let bracket = 0;
  while (bracket < most && rest >= (shares[bracket] as number)) rest -= shares[bracket++] as number;
  return bracket;
}

/** The rungs on which a trial pauses, in successive halving's promoting form (under Hyperband those of its bracket) and in freeze–thaw; empty for everything else. */
function pausesOf(pruner: PrunerConfig | undefined, seed: number, number: number): readonly number[] {
  if (pruner === undefined) return [];
  const pauses = pruner.type === 'freeze_thaw' || pruner.options.form === 'promote';
  if (!pauses) return [];
  return rungsOf(pruner).slice(pruner.type === 'hyperband' ? bracketOf(pruner, seed, number) : 0, -1);
}

/** Where a trial pauses first; undefined where it runs to its end at once. */
export function firstPause(pruner: PrunerConfig | undefined, seed: number, number: number): number | undefined {
  return pausesOf(pruner, seed, number)[0];
}

/**
 * Where a trial that has failed pauses next when it runs again: at the rung that it was on its way to, since its checkpoint may be past the lower ones and
 * a training that begins above its target reports nothing. Undefined where trials do not pause.
 */
export function pauseAfter(
  pruner: PrunerConfig | undefined,
  seed: number,
  { number, curve = [] }: Pick<TrialRow, 'number' | 'curve'>,
): number | undefined {
  const pauses = pausesOf(pruner, seed, number);
  if (pauses.length === 0) return undefined;
  const reached = Math.max(0, ...curve.map(([step]) => step));
  return pauses.find((rung) => rung > reached) ?? pruner?.maxSteps;
}
