import { savedNodeHours, savedSteps } from '../search/pruning/curves.ts';
import type { CampaignSpec } from './campaign.ts';
import type { TrialRow } from './trial.ts';

/** What pruned trials would still have run to the pruner's last step, at the pace of each. */
export interface Saving {
  readonly pruned: number;
  readonly steps: number;
  readonly slotHours: number;
  /** Where it is known how many slots a node has: by the campaign file or the profile. */
  readonly nodeHours?: number;
}

/** What early stopping has saved; undefined for a campaign without a pruner. `provenance` is that of the campaign, as its system prepared it. */
export function savingOf(
  { pruner, training, system }: Pick<CampaignSpec, 'pruner' | 'training' | 'system'>,
  rows: readonly TrialRow[],
  provenance: Readonly<Record<string, string>> = {},
): Saving | undefined {
  if (pruner === undefined) return undefined;
  const { maxSteps } = pruner;
  const slotsPerNode = Number(system.settings.slotsPerNode ?? provenance.slots_per_node);
  return {
    pruned: rows.filter((row) => row.state === 'pruned').length,
    steps: savedSteps(rows, maxSteps),
    slotHours: savedNodeHours(rows, maxSteps, training.slots),
    ...(slotsPerNode > 0 ? { nodeHours: savedNodeHours(rows, maxSteps, training.slots / slotsPerNode) } : {}),
  };
}
