import type { PrunerConfig } from '../../domain/campaign.ts';
import { rungsOf } from '../rungs.ts';
import { prunerEntry } from './registry.ts';

/** Longest curve of which every step is reported while a trial runs; of a longer one so many, spread over all of it. */
const MOST_STEPS = 512;

/** Steps whose values the campaign hears of while a trial runs: the rungs and what the pruner asks for beside them, or the whole curve for rules that read it. Empty without a pruner. */
export function reportSteps(pruner: PrunerConfig | undefined): number[] {
  if (pruner === undefined) return [];
  const { needsWholeCurve, reportsAt } = prunerEntry(pruner.type);
  if (!needsWholeCurve) return [...new Set([...rungsOf(pruner), ...(reportsAt?.(pruner) ?? [])])].sort((a, b) => a - b);
  const count = Math.min(MOST_STEPS, pruner.maxSteps);
  return Array.from({ length: count }, (_, index) => Math.ceil(((index + 1) * pruner.maxSteps) / count));
}
