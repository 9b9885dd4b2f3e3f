import { ApplicationFailure } from '@temporalio/activity';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { reportSteps } from '../src/search/pruning/report-steps.ts';
import { admitCampaign as admit } from '../src/spec/admit.ts';
import { BadSpec } from '../src/spec/bad-spec.ts';
import type { ActivityDeps } from './deps.ts';

export interface Admitted {
  readonly spec: CampaignSpec;
  readonly hasSearchAttributes: boolean;
  /** Steps whose values the pruner needs. */
  readonly reportSteps: readonly number[];
}

/** Reads and checks a campaign file or an inline specification. A bad one fails at once with every problem. */
export function createAdmitCampaign(deps: ActivityDeps) {
  return async function admitCampaign(source: unknown): Promise<Admitted> {
    try {
      const spec = await admit(source, { env: deps.env, now: new Date() });
      return { spec, hasSearchAttributes: deps.hasSearchAttributes, reportSteps: reportSteps(spec.pruner) };
    } catch (error) {
      if (error instanceof BadSpec) throw ApplicationFailure.nonRetryable(error.message, 'BadSpec', error.problems);
      throw error;
    }
  };
}
