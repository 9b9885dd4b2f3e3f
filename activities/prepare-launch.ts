import { Context } from '@temporalio/activity';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import type { DeployPlan } from '../src/spec/deploy-plan.ts';
import { deployForCampaign } from '../src/systems/deploy/for-campaign.ts';
import { DriverError, type PreparedLaunch, type SystemDriver } from '../src/systems/driver.ts';
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

/** Deploys what the campaign asks for, stages code and agent and makes the launch folder. Says how many trials the system can have in flight for this campaign. */
export function createPrepareLaunch(deps: ActivityDeps) {
  return function prepareLaunch(input: LaunchToPrepare): Promise<PreparedLaunch & { readonly slots: number }> {
    return withHeartbeat((say, signal) =>
      asActivityFailure(async () => {
        const driver = driverOf(deps, input.spec.system.name);
        const namespace = Context.current().info.namespace;
        const deployed = await deployOn(driver, input.spec, say, signal);
        const prepared = await driver.prepareLaunch(
          {
            campaign: input.campaign,
            launch: input.launch,
            spec: input.spec,
            reportSteps: input.reportSteps,
            owner: { namespace, workflow_id: input.campaign, epoch: input.epoch },
          },
          say,
          signal,
        );
        const description = await driver.describe();
        const perPilot = prepared.capacity?.slotsPerPilot ?? description.slotsPerPilot;
        const pilots = description.kind === 'pbs' ? (prepared.capacity?.maxPilots ?? description.maxPilots) : 1;
        const prefetch = prepared.capacity?.prefetch ?? description.prefetch;
        const slots = Math.max(1, Math.floor((perPilot * pilots + prefetch) / input.spec.training.slots));
        const known = input.spec.warmStart?.length ?? 0;
        const provenance = {
          ...prepared.provenance,
          ...deployed,
          ...(known === 0 ? {} : { warm_start: `${known} results of earlier campaigns` }),
        };
        return { ...prepared, provenance, slots };
      }),
    );
  };
}

/** A campaign that names a deploy plan starts only on a system that is as the plan says. */
async function deployOn(
  driver: SystemDriver,
  spec: CampaignSpec,
  say: (note: string) => void,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  if (spec.deploy === undefined) return {};
  const target = driver.deployTarget?.(spec);
  if (target === undefined)
    throw new DriverError('refused', 'HF-DEPLOY-NO-WAY', `system ${driver.name} cannot be deployed to. Remove the key deploy.`);
  // Admitted by src/spec.
  return deployForCampaign(driver.name, spec.deploy as unknown as DeployPlan, target, say, signal);
}
