import type { PbsProfile } from '../../spec/profile.ts';
import type { LaunchPlan, PreparedLaunch } from '../driver.ts';
import type { PackedBundle } from './bundle.ts';
import { renderJob } from './job-script.ts';
import { launchRecord } from './launch-record.ts';
import { nodeHoursPerPilot, otherQueues, type PilotShapeOfCampaign } from './shape.ts';

interface LaunchParts {
  readonly profile: PbsProfile;
  readonly shape: PilotShapeOfCampaign;
  /** Launch folder on the system, absolute. */
  readonly directory: string;
  readonly bundle?: PackedBundle;
  /** The launch is made again after its folder was removed; these attempts were in flight. */
  readonly lost?: readonly string[];
}

/** What the remote side is asked to make of a launch folder: its files, the bundle it needs, and what looks and submissions must know of it. */
export function launchRequest(plan: LaunchPlan, { profile, shape, directory, bundle, lost }: LaunchParts) {
  const record = launchRecord(plan, { bundle: bundle?.sha256 ?? null, python: shape.python });
  return {
    campaign: plan.campaign,
    directory,
    ...(lost === undefined ? {} : { lost }),
    owner: plan.owner,
    python: shape.python,
    ...(bundle === undefined ? {} : { bundle: bundle.sha256, packed_sha256: bundle.packedSha256 }),
    files: {
      ...renderJob(shape, directory),
      'launch.json': `${JSON.stringify(record, null, 1)}\n`,
      'campaign.json': `${JSON.stringify(plan.spec)}\n`,
    },
    registration: {
      version: 1,
      campaign: plan.campaign,
      launch: plan.launch,
      directory,
      owner: plan.owner,
      report_steps: plan.reportSteps,
      pilot: {
        nodes: shape.nodes,
        walltime_seconds: shape.walltimeSeconds,
        slots_per_node: shape.slotsPerNode,
        least_seconds: shape.leastSeconds,
        across_maintenance: shape.acrossMaintenance,
        other_queues: otherQueues(profile, shape.queue),
        ...(shape.account === undefined ? {} : { account: shape.account }),
      },
    },
  };
}

/** The launch as its campaign knows it, once the remote side has said that it is ready. */
export function preparedLaunch(
  shape: PilotShapeOfCampaign,
  directory: string,
  localDirectory: string,
  bundle: PackedBundle | undefined,
): PreparedLaunch {
  return {
    directory,
    localDirectory,
    bundleSha256: bundle?.sha256 ?? null,
    capacity: {
      slotsPerPilot: shape.nodes * shape.slotsPerNode,
      maxPilots: shape.maxPilots,
      prefetch: shape.prefetch,
      nodesPerPilot: shape.nodes,
      nodeHoursPerPilot: nodeHoursPerPilot(shape),
    },
    provenance: {
      queue: shape.queue,
      slots_per_node: String(shape.slotsPerNode),
      python_path: shape.python,
      ...(bundle === undefined ? {} : { bundle: bundle.sha256 }),
    },
  };
}
