import { medianPruner, patiencePruner, percentileRulePruner } from './curve-rules.ts';
import { freezeThawPruner } from './freeze-thaw.ts';
import { ashaPruner, hyperbandPruner } from './halving.ts';
import type { PrunerEntry } from './question.ts';

/** Every pruner by the name that `pruner.type` of a campaign file gives it. */
export const PRUNERS: Readonly<Record<string, PrunerEntry>> = {
  asha: ashaPruner,
  freeze_thaw: freezeThawPruner,
  hyperband: hyperbandPruner,
  median: medianPruner,
  percentile: percentileRulePruner,
  patience: patiencePruner,
};

/**
 * The pruner of that name.
 * @throws Error listing the names there are.
 */
export function prunerEntry(name: string): PrunerEntry {
  const entry = Object.hasOwn(PRUNERS, name) ? PRUNERS[name] : undefined;
  if (!entry) throw new Error(`pruner.type "${name}" is not known. Known: ${Object.keys(PRUNERS).sort().join(', ')}.`);
  return entry;
}
