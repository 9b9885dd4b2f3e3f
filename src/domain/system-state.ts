import { type CampaignLoad, dispatchOrder } from './dispatch.ts';
import type { ParameterValue } from './space.ts';
import type { PilotSeen, PreparedLaunch, SystemDescription } from './system.ts';

/** What a system's workflow remembers: plain data, small, carried through continue-as-new. */
export interface SystemState {
  readonly name: string;
  description?: SystemDescription;
  launches: Record<string, Launch>;
  /** By `<campaign>:<trial>.<attempt>`, in order of arrival. */
  attempts: Record<string, KnownAttempt>;
  /** Campaigns that are gone and whose launch is being closed; absent in states of earlier versions. */
  abandoned?: string[];
  stops: StopOrder[];
  pilots: Record<string, KnownPilot>;
  /** Pilots named so far, per campaign: names are never used twice. */
  pilotCounts: Record<string, number>;
  cursor?: string;
  acks: { campaign: string; trial: string; attempt: number }[];
  login: { kind: 'ready' } | { kind: 'needs_login'; since: number; message: string };
  breaker: { open: boolean; evidence: string[] };
  notices: string[];
  /** What each campaign was last told that concerns it alone; absent where there is nothing, and in states of earlier versions. */
  concerns?: Record<string, string>;
  /** Slot-seconds of pilots that have ended. */
  pastAllocated: number;
  pastBusy: number;
  /** Node-hours of ended pilots, by campaign; absent in states of earlier versions. */
  nodeHoursUsed?: Record<string, number>;
  /** Share of its node-hour budget that each campaign was last told of, percent; absent in states of earlier versions. */
  nodeHoursTold?: Record<string, number>;
  /** The node-hour budget of which each campaign was told that it is spent; absent where none was, and in states of earlier versions. */
  overdrawn?: Record<string, number>;
}

/** A campaign's launch as its system knows it. */
export interface Launch {
  readonly campaign: string;
  readonly launch: string;
  /** Where results are collected on the worker's computer. */
  readonly localDirectory: string;
  readonly slotsPerTrial: number;
  readonly reportSteps: readonly number[];
  readonly nodeHours?: number;
  readonly capacity?: PreparedLaunch['capacity'];
  /** Share of the system relative to other campaigns. */
  readonly weight: number;
}

export interface KnownAttempt {
  readonly campaign: string;
  readonly number: number;
  readonly attempt: number;
  readonly params: Readonly<Record<string, ParameterValue>>;
  readonly resumeFrom?: number;
  readonly targetStep?: number;
  state: 'queued' | 'sending' | 'offered' | 'running';
  /** May be known to the machine although this system has not offered it. */
  readonly isAgain?: boolean;
  isToldStarted?: boolean;
  pilot?: string;
  rungs?: number;
}

export interface StopOrder {
  readonly key: string;
  readonly campaign: string;
  readonly number: number;
  readonly attempt: number;
  readonly reason: string;
}

export interface KnownPilot extends PilotSeen {
  readonly campaign: string;
}

/** Said by a trial of an earlier campaign that had the same name: it does not know yet that it is to end. */
export function isOfAnotherLaunch(
  state: SystemState,
  { campaign, launch }: { readonly campaign: string; readonly launch?: string },
): boolean {
  if (launch === undefined) return false;
  const current = state.launches[campaign]?.launch;
  return current === undefined ? (state.abandoned ?? []).includes(campaign) : current !== launch;
}

/** A system of which nothing is known but its name. */
export function newSystemState(name: string): SystemState {
  return {
    name,
    launches: {},
    attempts: {},
    stops: [],
    pilots: {},
    pilotCounts: {},
    acks: [],
    login: { kind: 'ready' },
    breaker: { open: false, evidence: [] },
    notices: [],
    pastAllocated: 0,
    pastBusy: 0,
  };
}

/** Pilots that have not ended, those included of which it is not known whether they were started. */
export function livePilots(state: SystemState): KnownPilot[] {
  return Object.values(state.pilots).filter((pilot) => pilot.state !== 'ended');
}

/** Attempts per campaign and state. */
export function loadsOf(state: SystemState): { campaign: string; queued: number; offered: number; running: number }[] {
  const loads = new Map<string, { campaign: string; queued: number; offered: number; running: number }>();
  for (const campaign of Object.keys(state.launches)) loads.set(campaign, { campaign, queued: 0, offered: 0, running: 0 });
  for (const attempt of Object.values(state.attempts)) {
    const load = loads.get(attempt.campaign) ?? { campaign: attempt.campaign, queued: 0, offered: 0, running: 0 };
    loads.set(attempt.campaign, load);
    load[attempt.state === 'sending' ? 'offered' : attempt.state] += 1;
  }
  return [...loads.values()];
}

/**
 * The queued attempts that may be offered now, in fair order. On this computer all campaigns share the slots, on Globus Compute those of one endpoint; behind
 * a batch scheduler each campaign has its own pilots, and as long as none runs, one pilot's worth of attempts waits in its spool so that it starts full.
 */
export function offersDue(state: SystemState): KnownAttempt[] {
  const description = state.description;
  if (description === undefined) return [];
  const queues = new Map<string, KnownAttempt[]>();
  const pools = new Map<string | undefined, { loads: CampaignLoad[]; slots: number }>();
  for (const load of loadsOf(state)) {
    const launch = state.launches[load.campaign];
    if (launch === undefined) continue;
    const inFlight = load.offered + load.running;
    const slots = slotsFor(state, description, launch);
    const name = launch.capacity?.pool;
    const pool = pools.get(name) ?? { loads: [], slots: 0 };
    pools.set(name, pool);
    // Where two campaigns see one endpoint differently, the later one may know a newer file of it; more than it has only waits there.
    pool.slots = name === undefined ? description.slotsPerPilot + description.prefetch : Math.max(pool.slots, slots);
    pool.loads.push({
      campaign: load.campaign,
      weight: launch.weight,
      slotsPerTrial: launch.slotsPerTrial,
      inFlight,
      queued: load.queued,
      room: slots - inFlight * launch.slotsPerTrial,
    });
  }
  for (const attempt of Object.values(state.attempts)) {
    if (attempt.state !== 'queued') continue;
    const queue = queues.get(attempt.campaign) ?? [];
    queue.push(attempt);
    queues.set(attempt.campaign, queue);
  }
  const order = [...pools.values()].flatMap(({ loads, slots }) => {
    const used = loads.reduce((sum, load) => sum + load.inFlight * load.slotsPerTrial, 0);
    return dispatchOrder(loads, description.kind === 'pbs' ? Number.POSITIVE_INFINITY : slots - used);
  });
  return order.flatMap((campaign) => queues.get(campaign)?.shift() ?? []);
}

/** Slots a campaign's attempts may fill, prefetch included. */
function slotsFor(state: SystemState, description: SystemDescription, launch: Launch): number {
  const perPilot = launch.capacity?.slotsPerPilot ?? description.slotsPerPilot;
  const prefetch = launch.capacity?.prefetch ?? description.prefetch;
  if (launch.capacity?.pool !== undefined) return perPilot + prefetch;
  if (!description.usesPilots || description.kind === 'local') return description.slotsPerPilot + prefetch;
  const own = livePilots(state).filter((pilot) => pilot.campaign === launch.campaign);
  const slots = own.reduce((sum, pilot) => sum + Math.max(pilot.slots, perPilot), 0);
  return Math.max(slots, perPilot) + prefetch;
}
