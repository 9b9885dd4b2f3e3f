import type { CampaignSpec } from '../domain/campaign.ts';
import { llmOptions } from '../llm/options.ts';
import { plural } from '../view/format.ts';

/** A warning for a language model that the campaign would never ask, because its first trials are the sampler's and the budget has no more. */
export function idleModel({ llm, budget }: Pick<CampaignSpec, 'llm' | 'budget'>): string[] {
  if (llm === undefined || budget.trials === undefined) return [];
  const { initialSamples } = llmOptions(llm);
  if (initialSamples < budget.trials) return [];
  return [
    `llm.initial_samples: the first ${plural(initialSamples, 'trial')} are the sampler's, and budget.trials is ${budget.trials}: the model would never be asked. Lower one or raise the other.`,
  ];
}
