import { Context } from '@temporalio/activity';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import type { PreparedLaunch } from '../src/systems/driver.ts';
import type { ActivityDeps } from './deps.ts';
import { asActivityFailure, driverOf } from './failures.ts';
import { withHeartbeat } from './heartbeat.ts';

export interface LaunchToPrepare {
  readonly campaign: string;
  readonly launch: string;
  readonly spec: CampaignSpec;
  readonly reportSteps: readonly number[];
  /** Of two orchestrators that claim one launch folder, the later start wins nothing: the folder's owner is compared with this. */
  readonly epoch: number;
}

/** Stages code and agent and makes the launch folder. Says how many trials the system can have in flight for this campaign. */
export function createPrepareLaunch(deps: ActivityDeps) {
  return function prepareLaunch(input: LaunchToPrepare): Promise<PreparedLaunch & { readonly slots: number }> {
    return withHeartbeat((say) =>
      asActivityFailure(async () => {
        const driver = driverOf(deps, input.spec.system.name);
        const namespace = Context.current().info.namespace;
        const prepared = await driver.prepareLaunch(
          {
            campaign: input.campaign,
            launch: input.launch,
            spec: input.spec,
            reportSteps: input.reportSteps,
            owner: { namespace, workflow_id: input.campaign, epoch: input.epoch },
          },
          say,
        );
        const description = await driver.describe();
        const perPilot = prepared.capacity?.slotsPerPilot ?? description.slotsPerPilot;
        const pilots = description.kind === 'pbs' ? (prepared.capacity?.maxPilots ?? description.maxPilots) : 1;
        const prefetch = prepared.capacity?.prefetch ?? description.prefetch;
        const slots = Math.max(1, Math.floor((perPilot * pilots + prefetch) / input.spec.training.slots));
        const known = input.spec.warmStart?.length ?? 0;
        const provenance =
          known === 0 ? prepared.provenance : { ...prepared.provenance, warm_start: `${known} results of earlier campaigns` };
        return { ...prepared, provenance, slots };
      }),
    );
  };
}
