import type { CampaignSpec } from '../domain/campaign.ts';
import type { GlobusSettings } from '../spec/globus-settings.ts';
import { loadProfile } from '../spec/load-profile.ts';
import type { PbsSettings } from '../spec/pbs-settings.ts';
import type { GlobusProfile, LocalProfile, PbsProfile, SystemProfile } from '../spec/profile.ts';
import { endpointCapacity } from '../systems/globus/endpoint-capacity.ts';
import { localSettings } from '../systems/local/options.ts';
import { nodeHoursPerPilot, shapeOf } from '../systems/pbs/shape.ts';

/** What a campaign asks of its system, as far as it can be said without asking the system. */
export interface MachinePlan {
  readonly system: string;
  readonly kind: SystemProfile['kind'];
  /** Trials at once: the campaign's own limit, or what the system takes. */
  readonly trialsAtOnce: number;
  readonly python: string;
  /** Base folder on the system. */
  readonly base?: string;
  /** One batch job. Absent where nothing is submitted, or the endpoint submits by itself. */
  readonly job?: {
    readonly mode: 'pilot' | 'job';
    readonly queue: string;
    readonly account?: string;
    readonly nodes: number;
    readonly walltimeSeconds: number;
    readonly slots: number;
    readonly mostAtOnce: number;
    readonly nodeHours: number;
  };
  /** Node-hours of the whole campaign at the very most; undefined where nothing bounds them. */
  readonly mostNodeHours?: number;
  /** Why that is the most, in words. */
  readonly nodeHoursBecause?: string;
}

/** Reads the system's profile and works out jobs and node-hours. Throws BadSpec for a profile that cannot be used. */
export async function machinePlan(spec: CampaignSpec, env: Readonly<Record<string, string | undefined>>): Promise<MachinePlan> {
  const profile = loadProfile(spec.system.name, { env });
  return PLANS[profile.kind](spec, profile as never);
}

const PLANS = {
  local: async (spec: CampaignSpec, profile: LocalProfile): Promise<MachinePlan> => {
    const { slots, python } = localSettings({ slots: profile.slots, ...(profile.python === undefined ? {} : { python: profile.python }) });
    const trialsAtOnce = Math.min(spec.concurrency ?? Number.POSITIVE_INFINITY, Math.max(1, Math.floor(slots / spec.training.slots)));
    return { system: profile.name, kind: 'local', trialsAtOnce, python };
  },
  pbs: async (spec: CampaignSpec, profile: PbsProfile): Promise<MachinePlan> => {
    const shape = shapeOf(profile, spec.system.settings as unknown as PbsSettings, spec.training.slots);
    const slots = shape.nodes * shape.slotsPerNode;
    const perJob = Math.max(1, Math.floor(slots / spec.training.slots));
    const nodeHours = nodeHoursPerPilot(shape);
    const base = spec.workingDirs.remoteBase ?? profile.base;
    return {
      system: profile.name,
      kind: 'pbs',
      trialsAtOnce: spec.concurrency ?? perJob * shape.maxPilots + shape.prefetch,
      python: shape.python,
      ...(base === undefined ? {} : { base }),
      job: {
        mode: shape.mode,
        queue: shape.queue,
        nodes: shape.nodes,
        walltimeSeconds: shape.walltimeSeconds,
        slots,
        mostAtOnce: shape.maxPilots,
        nodeHours,
        ...(shape.account === undefined ? {} : { account: shape.account }),
      },
      ...nodeHourBound(spec, shape.slotsPerNode),
    };
  },
  globus_compute: async (spec: CampaignSpec, profile: GlobusProfile): Promise<MachinePlan> => {
    const { max, nodesPerBlock, workersPerNode } = profile.blocks;
    const capacity = await endpointCapacity(spec.system.settings as unknown as GlobusSettings, process.cwd(), spec.concurrency);
    const base = spec.workingDirs.remoteBase ?? profile.base;
    return {
      system: profile.name,
      kind: 'globus_compute',
      trialsAtOnce: spec.concurrency ?? capacity?.workers ?? max * nodesPerBlock * workersPerNode,
      python: profile.python,
      ...(base === undefined ? {} : { base }),
      ...nodeHourBound(spec, workersPerNode),
    };
  },
};

/** The budget's own limit, or every trial at its wall-clock limit with full nodes (idle slots come on top), whichever is known and less. */
function nodeHourBound(spec: CampaignSpec, slotsPerNode: number): Pick<MachinePlan, 'mostNodeHours' | 'nodeHoursBecause'> {
  const { trials, nodeHours } = spec.budget;
  const { trialSeconds } = spec.limits;
  const full =
    trials === undefined || trialSeconds === undefined ? undefined : (trials * trialSeconds * spec.training.slots) / slotsPerNode / 3600;
  if (nodeHours !== undefined && (full === undefined || nodeHours <= full))
    return { mostNodeHours: nodeHours, nodeHoursBecause: 'budget.node_hours' };
  if (full === undefined) return {};
  return {
    mostNodeHours: full,
    nodeHoursBecause: `${trials} trials at limits.trial_seconds with full nodes; idle slots and retries come on top`,
  };
}
