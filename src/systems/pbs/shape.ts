import type { PbsSettings } from '../../spec/pbs-settings.ts';
import { type PbsProfile, type PbsQueue, slotResources } from '../../spec/profile.ts';
import { DriverError } from '../driver.ts';

/** What one pilot of a campaign is: the profile with the campaign's settings on top. */
export interface PilotShapeOfCampaign {
  readonly mode: 'pilot' | 'job';
  readonly queue: string;
  readonly account?: string;
  readonly nodes: number;
  readonly walltimeSeconds: number;
  /** A pilot is shortened to no less than this before a maintenance. */
  readonly leastSeconds: number;
  readonly acrossMaintenance: boolean;
  readonly slotsPerNode: number;
  readonly maxPilots: number;
  readonly prefetch: number;
  readonly filesystems: readonly string[];
  /** Resources of each chunk behind the count: `system=aurora`. */
  readonly chunk: readonly string[];
  readonly place?: string;
  /** Further #PBS lines, without "#PBS ". */
  readonly lines: readonly string[];
  readonly setup: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly python: string;
  readonly launcher?: string;
  /** Per slot: environment and CPU numbers, as agent.py --slot-env reads them. */
  readonly slots: readonly { readonly env: Readonly<Record<string, string>>; readonly cpus: readonly number[] }[];
}

/** Pilots at once where neither campaign nor queue says. */
const MAX_PILOTS = 4;

/**
 * @param slotsPerTrial slots of one trial: in `mode: job` a job has just these.
 * @throws DriverError `refused` for a queue that the profile does not have.
 */
export function shapeOf(profile: PbsProfile, settings: PbsSettings, slotsPerTrial = 1): PilotShapeOfCampaign {
  const name = settings.queue ?? profile.defaultQueue;
  const queue = profile.queues.find((each) => each.name === name);
  if (!queue)
    throw new DriverError(
      'refused',
      'HF-PBS-QUEUE-UNKNOWN',
      `queue ${name} is not in the profile of ${profile.name}. Choose one of ${profile.queues.map((each) => each.name).join(', ')}.`,
    );
  const nodes = settings.nodes ?? queue.nodes.min ?? 1;
  const isJob = settings.mode === 'job';
  const perNode = settings.slotsPerNode ?? profile.slots.perNode;
  const slotsPerNode = isJob ? slotsPerTrial : perNode;
  const walltimeSeconds = settings.walltime ?? longestWalltime(queue, nodes);
  const useful = Math.max(profile.maintenance?.useful ?? 0, queue.walltime.min ?? 0);
  const atOnce = queue.perUser?.queued ?? queue.perUser?.running ?? MAX_PILOTS;
  const account = settings.account;
  const place = profile.directives.place;
  const launcher = profile.launcher;
  return {
    mode: settings.mode,
    queue: name,
    ...(account === undefined ? {} : { account }),
    nodes: isJob ? 1 : nodes,
    walltimeSeconds,
    leastSeconds: Math.min(walltimeSeconds, useful),
    acrossMaintenance: settings.acrossMaintenance ?? false,
    slotsPerNode,
    maxPilots: Math.max(1, Math.min(settings.maxPilots ?? atOnce, atOnce, profile.projectLimits?.queued ?? atOnce)),
    prefetch: settings.prefetch ?? (isJob ? 0 : Math.max(1, Math.ceil((nodes * slotsPerNode) / 10))),
    filesystems: settings.filesystems ?? profile.filesystems?.default ?? [],
    chunk: Object.entries(profile.directives.select).map(([resource, value]) => `${resource}=${value}`),
    ...(place === undefined ? {} : { place }),
    lines: [...profile.directives.lines, ...(settings.directives ?? [])],
    setup: settings.setup ?? profile.setup,
    env: profile.env,
    python: settings.python ?? profile.python,
    ...(launcher === undefined ? {} : { launcher }),
    slots: slotResources(profile.slots)
      .slice(0, slotsPerNode)
      .map(({ env, cpus }) => ({ env, cpus: cpus === undefined ? [] : cpuNumbers(cpus) })),
  };
}

/** The profile's queues in which a job of `queue` can only be because somebody moved it: neither its own nor one behind it. */
export function otherQueues(profile: PbsProfile, queue: string): string[] {
  const own = profile.queues.find(({ name }) => name === queue)?.routes?.map(({ name }) => name) ?? [];
  return profile.queues.map(({ name }) => name).filter((name) => name !== queue && !own.includes(name));
}

function longestWalltime(queue: PbsQueue, nodes: number): number {
  const behind = queue.routes?.find((route) => nodes >= (route.nodes.min ?? 1) && nodes <= route.nodes.max);
  return (behind ?? queue).walltime.max;
}

/** `1-8,105` → 1, 2, …, 8, 105. */
export function cpuNumbers(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** Node-hours that one pilot takes when it runs for its whole walltime. */
export function nodeHoursPerPilot({ nodes, walltimeSeconds }: PilotShapeOfCampaign): number {
  return (nodes * walltimeSeconds) / 3600;
}
