import type { PrunerConfig } from '../../domain/campaign.ts';
import { rungsOf } from '../rungs.ts';
import { prunerEntry } from './registry.ts';

/** Longest curve of which every step is reported while a trial runs. */
const MOST_STEPS = 512;

/** Steps whose values the campaign hears of while a trial runs: the rungs and what the pruner asks for beside them, or every step for rules that read the whole curve. Empty without a pruner. */
export function reportSteps(pruner: PrunerConfig | undefined): number[] {
  if (pruner === undefined) return [];
  const { needsWholeCurve, reportsAt } = prunerEntry(pruner.type);
  if (!needsWholeCurve) return [...new Set([...rungsOf(pruner), ...(reportsAt?.(pruner) ?? [])])].sort((a, b) => a - b);
  return Array.from({ length: Math.min(MOST_STEPS, pruner.maxSteps) }, (_, index) => index + 1);
}
