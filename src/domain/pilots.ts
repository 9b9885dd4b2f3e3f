import type { PilotState } from './system.ts';

/** Which pilots a system should have now: pure policy, called by the system's workflow after every change. */

/** The part of a system's description that planning needs. */
export interface PilotShape {
  readonly usesPilots: boolean;
  /** Slots of one pilot. */
  readonly slotsPerPilot: number;
  /** Pilots alive at once, over all campaigns: the queue's limit. */
  readonly maxPilots: number;
  readonly nodesPerPilot: number;
  readonly walltimeSeconds?: number;
}

/** What one campaign wants, in trials. */
export interface CampaignDemand {
  readonly campaign: string;
  /** Attempts that wait: queued at the system or offered and not yet taken. */
  readonly backlog: number;
  readonly running: number;
  /** Slots of one trial; default 1. */
  readonly slotsPerTrial?: number;
  /** Share relative to other campaigns; default 1. */
  readonly weight?: number;
  /** Node-hours that may still be asked for (budget less what ended pilots used); absent: no limit. */
  readonly nodeHoursLeft?: number;
  /** Where the campaign's own settings differ from the system's description. */
  readonly slotsPerPilot?: number;
  readonly maxPilots?: number;
  readonly nodeHoursPerPilot?: number;
  /** Number of the next pilot (1, 2, …), carried by the caller; absent: one above the highest number in `pilots`. */
  readonly nextPilot?: number;
}

export interface PilotKnown {
  readonly pilot: string;
  readonly campaign: string;
  readonly state: PilotState;
  readonly slots: number;
}

export interface PilotPlan {
  readonly start: readonly { readonly pilot: string; readonly campaign: string }[];
  readonly stop: readonly { readonly pilot: string; readonly reason: string }[];
}

/** `digits-1`, 3 → `digits-1.p3`. */
export function pilotName(campaign: string, number: number): string {
  return `${campaign}.p${number}`;
}

/** `digits-1.p3` → 3; undefined for a name that is no pilot of this campaign. */
export function pilotNumber(campaign: string, pilot: string): number | undefined {
  const tail = pilot.startsWith(`${campaign}.p`) ? pilot.slice(campaign.length + 2) : '';
  return /^[1-9]\d*$/.test(tail) ? Number(tail) : undefined;
}

/**
 * Pilots to request and to give up. Pilots follow the backlog within the queue's limit and the node-hour budget; a pilot whose start is unknown
 * counts as alive, so that an answer that was lost never leads to a second pilot. Campaigns take turns, the one with the fewest pilots per
 * weight first. An open circuit breaker starts nothing and stops nothing.
 */
export function planPilots(input: {
  readonly description: PilotShape;
  readonly campaigns: readonly CampaignDemand[];
  readonly pilots: readonly PilotKnown[];
  readonly breakerOpen: boolean;
}): PilotPlan {
  const { description, campaigns, pilots } = input;
  if (!description.usesPilots) return { start: [], stop: [] };
  const alive = pilots.filter((pilot) => pilot.state !== 'ended');
  const stop = pilotsToStop(campaigns, alive);
  const stopped = new Set(stop.map((each) => each.pilot));
  const kept = alive.filter((pilot) => !stopped.has(pilot.pilot));
  // A pilot that is being stopped holds its place in the queue until it has ended.
  const start = input.breakerOpen ? [] : pilotsToStart(description, campaigns, pilots, kept, description.maxPilots - alive.length);
  return { start, stop };
}

function slotsWanted(demand: CampaignDemand): number {
  return (demand.backlog + demand.running) * (demand.slotsPerTrial ?? 1);
}

function pilotsToStop(campaigns: readonly CampaignDemand[], alive: readonly PilotKnown[]): PilotPlan['stop'] {
  const stop: { pilot: string; reason: string }[] = [];
  const demands = new Map(campaigns.map((each) => [each.campaign, each]));
  for (const pilot of alive) {
    if (!demands.has(pilot.campaign)) stop.push({ pilot: pilot.pilot, reason: 'its campaign is over' });
  }
  for (const demand of campaigns) {
    const own = alive.filter((pilot) => pilot.campaign === demand.campaign);
    const wanted = slotsWanted(demand);
    let supply = own.reduce((sum, pilot) => sum + pilot.slots, 0);
    for (const pilot of [...own].reverse()) {
      // A running pilot without work ends by itself (the agent's --idle-exit): a sampler may need minutes for its next points.
      const isSpare = wanted > 0 && supply - pilot.slots >= wanted;
      if (pilot.state !== 'queued' || !isSpare) continue;
      stop.push({ pilot: pilot.pilot, reason: 'the running pilots suffice for what is left' });
      supply -= pilot.slots;
    }
  }
  return stop;
}

function pilotsToStart(
  description: PilotShape,
  campaigns: readonly CampaignDemand[],
  known: readonly PilotKnown[],
  kept: readonly PilotKnown[],
  places: number,
): PilotPlan['start'] {
  const hoursPerPilot = (description.nodesPerPilot * (description.walltimeSeconds ?? 0)) / 3600;
  const rows = campaigns.map((demand) => {
    const own = kept.filter((pilot) => pilot.campaign === demand.campaign);
    const numbers = known.map((pilot) => pilotNumber(demand.campaign, pilot.pilot) ?? 0);
    return {
      campaign: demand.campaign,
      weight: demand.weight ?? 1,
      wanted: slotsWanted(demand),
      supply: own.reduce((sum, pilot) => sum + pilot.slots, 0),
      pilots: own.length,
      slotsPerPilot: demand.slotsPerPilot ?? description.slotsPerPilot,
      maxPilots: demand.maxPilots ?? description.maxPilots,
      hoursPerPilot: demand.nodeHoursPerPilot ?? hoursPerPilot,
      hoursLeft: (demand.nodeHoursLeft ?? Number.POSITIVE_INFINITY) - own.length * (demand.nodeHoursPerPilot ?? hoursPerPilot),
      next: Math.max(demand.nextPilot ?? 1, 1 + Math.max(0, ...numbers)),
    };
  });
  const start: { pilot: string; campaign: string }[] = [];
  while (start.length < places) {
    const hungry = rows.filter(
      (row) => row.supply < row.wanted && row.pilots < row.maxPilots && row.hoursLeft >= row.hoursPerPilot && row.hoursLeft > 0,
    );
    const first = hungry.sort((a, b) => a.pilots / a.weight - b.pilots / b.weight)[0];
    if (!first) break;
    start.push({ pilot: pilotName(first.campaign, first.next), campaign: first.campaign });
    first.next += 1;
    first.pilots += 1;
    first.supply += first.slotsPerPilot;
    first.hoursLeft -= first.hoursPerPilot;
  }
  return start;
}
