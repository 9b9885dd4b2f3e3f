import { attemptName, trialNumber } from './ids.ts';
import { type CampaignDemand, type PilotShape, pilotNumber } from './pilots.ts';
import type { LiveTrial, SystemStatus } from './status.ts';
import type { PilotSeen } from './system.ts';
import { livePilots, loadsOf, type SystemState } from './system-state.ts';
import type { CurvePoint } from './trial.ts';

/** How a system's state changes with what is seen, and what others must hear of it. Pure but for the state it is given. */

/** Pilots in a row that ended without one finished trial before submission stops (R9). */
export const FRUITLESS_PILOTS = 3;
/** A campaign is told when its pilots have taken so much of its node-hours, percent; all of it ends the campaign (R35). */
const NODE_HOUR_MARKS = [80, 50] as const;
/** Ended pilots that stay in the list, newest first. */
const ENDED_PILOTS_SHOWN = 8;

/** What an activity's look brought. */
export interface LookNews {
  readonly cursor: string;
  readonly ended: readonly {
    readonly campaign: string;
    readonly trial: string;
    readonly attempt: number;
    readonly pilot: string;
    readonly status: string;
  }[];
  readonly running: readonly LiveTrial[];
  readonly pilots: readonly PilotSeen[];
  readonly notices: readonly string[];
  /** Absent: the kind of system knows none, and in looks of earlier versions. */
  readonly concerns?: readonly { readonly campaign: string; readonly text: string }[];
  readonly goneCampaigns: readonly string[];
}

/** What trials and campaigns must be told after a look. */
export interface Told {
  readonly started: readonly {
    campaign: string;
    number: number;
    started: { attempt: number; pilot: string; slot: number; nativeId?: string };
  }[];
  readonly rungs: readonly { campaign: string; reports: { number: number; attempt: number; rungs: readonly CurvePoint[] }[] }[];
  /** The breaker has just opened: one sentence. */
  readonly breaker?: string;
  /** Campaigns whose node-hours are spent: no further pilot may be started, so they must end. */
  readonly spent?: readonly { readonly campaign: string; readonly text: string }[];
  /** The same on a system whose pilots end only with their work, so that the last one's end comes too late: once each. */
  readonly overdrawn?: readonly { readonly campaign: string; readonly text: string }[];
  /** Campaigns of which half or four fifths of the node-hours are used: one sentence each, once each. */
  readonly nearlySpent?: readonly { readonly campaign: string; readonly text: string; readonly share: number }[];
  /** Campaigns whose own concern is new, another one or over (no text). */
  readonly concerned?: readonly { readonly campaign: string; readonly text?: string }[];
}

/** Key of an attempt in a system's state: `digits-1:trial-0007.1`. */
export function attemptKey(attempt: { readonly campaign: string; readonly number: number; readonly attempt: number }): string {
  return `${attempt.campaign}:${attemptName(attempt.number, attempt.attempt)}`;
}

/** Takes in a look. Attempts that ended leave the state; their done records are acknowledged with the next look. */
export function noteLook(state: SystemState, news: LookNews): Told {
  state.cursor = news.cursor;
  state.notices = news.notices.slice(0, 10);
  state.acks = news.ended.map(({ campaign, trial, attempt }) => ({ campaign, trial, attempt }));
  for (const end of news.ended) {
    // Counted here too: a pilot that was killed may not have told of its last trials.
    const pilot = state.pilots[end.pilot];
    if (pilot !== undefined && end.status !== 'returned') state.pilots[end.pilot] = { ...pilot, finished: pilot.finished + 1 };
    delete state.attempts[attemptKey({ campaign: end.campaign, number: trialNumber(end.trial), attempt: end.attempt })];
  }
  const { breaker, spent } = notePilots(state, news);
  const nearlySpent = noteNodeHourMarks(state);
  const overdrawn = noteOverdrawn(state);
  const concerned = noteConcerns(state, news);
  return {
    ...noteRunning(state, news.running),
    ...(breaker === undefined ? {} : { breaker }),
    ...(spent.length === 0 ? {} : { spent }),
    ...(overdrawn.length === 0 ? {} : { overdrawn }),
    ...(nearlySpent.length === 0 ? {} : { nearlySpent }),
    ...(concerned.length === 0 ? {} : { concerned }),
  };
}

/** Each campaign hears once of what concerns it alone. */
function noteConcerns(state: SystemState, news: LookNews): NonNullable<Told['concerned']> {
  if (news.concerns === undefined) return [];
  const before = state.concerns ?? {};
  const now = Object.fromEntries(news.concerns.map(({ campaign, text }) => [campaign, text]));
  if (Object.keys(now).length > 0) state.concerns = now;
  else delete state.concerns;
  return Object.keys(state.launches).flatMap((campaign) => {
    const text = now[campaign];
    if (text === before[campaign]) return [];
    return [{ campaign, ...(text === undefined ? {} : { text }) }];
  });
}

function noteRunning(state: SystemState, running: readonly LiveTrial[]): Pick<Told, 'started' | 'rungs'> {
  const started: Told['started'][number][] = [];
  const rungs = new Map<string, Told['rungs'][number]>();
  for (const live of running) {
    const number = trialNumber(live.trial);
    const attempt = state.attempts[attemptKey({ campaign: live.campaign, number, attempt: live.attempt })];
    if (attempt === undefined) continue;
    attempt.state = 'running';
    attempt.pilot = live.pilot;
    // A trial of less than a second is heard of when it ends: two messages fewer.
    if (!attempt.isToldStarted && live.run_seconds >= 1) {
      attempt.isToldStarted = true;
      const nativeId = live.native_id ?? state.pilots[live.pilot]?.nativeId;
      const place = { attempt: live.attempt, pilot: live.pilot, slot: live.slot, ...(nativeId === undefined ? {} : { nativeId }) };
      started.push({ campaign: live.campaign, number, started: place });
    }
    if (live.rungs.length > (attempt.rungs ?? 0)) {
      attempt.rungs = live.rungs.length;
      const report = rungs.get(live.campaign) ?? { campaign: live.campaign, reports: [] };
      report.reports.push({ number, attempt: live.attempt, rungs: live.rungs });
      rungs.set(live.campaign, report);
    }
  }
  return { started, rungs: [...rungs.values()] };
}

function notePilots(state: SystemState, news: LookNews): { breaker: string | undefined; spent: NonNullable<Told['spent']> } {
  let opened: string | undefined;
  const ended = new Set<string>();
  for (const seen of news.pilots) {
    const known = state.pilots[seen.pilot];
    if (known === undefined || known.state === 'ended') continue;
    state.pilots[seen.pilot] = { ...known, ...seen, finished: Math.max(known.finished, seen.finished) };
    if (seen.state !== 'ended') continue;
    state.pastAllocated += seen.allocatedSlotSeconds;
    state.pastBusy += seen.busySlotSeconds;
    noteNodeHours(state, known.campaign, known.slots, seen.allocatedSlotSeconds);
    ended.add(known.campaign);
    requeueUnstarted(state, seen.pilot);
    const message = seen.end?.message ?? 'ended';
    if (known.finished > 0 || seen.finished > 0 || seen.end?.kind === 'normal') {
      state.breaker.evidence = [];
    } else {
      state.breaker.evidence.push(`${seen.pilot}: ${message}`);
      if (state.breaker.evidence.length >= FRUITLESS_PILOTS && !state.breaker.open) {
        state.breaker.open = true;
        opened = `system ${state.name}: ${state.breaker.evidence.length} pilots ended without one finished trial. Submission has stopped. ${message}`;
      }
    }
  }
  forgetOldPilots(state);
  return { breaker: opened, spent: [...ended].flatMap((campaign) => spentBudget(state, campaign)) };
}

function noteNodeHours(state: SystemState, campaign: string, slots: number, allocatedSlotSeconds: number): void {
  const hours = nodeHoursOf(state, campaign, slots, allocatedSlotSeconds);
  state.nodeHoursUsed = { ...state.nodeHoursUsed, [campaign]: (state.nodeHoursUsed?.[campaign] ?? 0) + hours };
}

function nodeHoursOf(state: SystemState, campaign: string, slots: number, allocatedSlotSeconds: number): number {
  const nodes = state.launches[campaign]?.capacity?.nodesPerPilot ?? state.description?.nodesPerPilot ?? 1;
  return slots > 0 ? (allocatedSlotSeconds / slots / 3600) * nodes : 0;
}

/** Node-hours of a campaign's pilots, the living ones too: a pilot costs its nodes whether or not a trial runs. */
function nodeHoursSoFar(state: SystemState, campaign: string): number {
  const live = livePilots(state).filter((pilot) => pilot.campaign === campaign);
  return live.reduce(
    (sum, pilot) => sum + nodeHoursOf(state, campaign, pilot.slots, pilot.allocatedSlotSeconds),
    state.nodeHoursUsed?.[campaign] ?? 0,
  );
}

function noteNodeHourMarks(state: SystemState): { campaign: string; text: string; share: number }[] {
  return Object.values(state.launches).flatMap(({ campaign, nodeHours }) => {
    if (nodeHours === undefined || nodeHours <= 0) return [];
    const used = nodeHoursSoFar(state, campaign);
    const mark = NODE_HOUR_MARKS.find((percent) => used * 100 >= percent * nodeHours) ?? 0;
    const told = state.nodeHoursTold?.[campaign] ?? 0;
    // A budget that was raised may pass the same mark again.
    if (mark !== told) state.nodeHoursTold = { ...state.nodeHoursTold, [campaign]: mark };
    if (mark <= told) return [];
    return [{ campaign, text: `more than ${mark} % of its node-hours are used: ${usedOf(used, nodeHours)}`, share: mark / 100 }];
  });
}

function noteOverdrawn(state: SystemState): { campaign: string; text: string }[] {
  if (state.description === undefined || !state.description.usesPilots || state.description.walltimeSeconds !== undefined) return [];
  return Object.values(state.launches).flatMap(({ campaign, nodeHours }) => {
    if (nodeHours === undefined) return [];
    const used = nodeHoursSoFar(state, campaign);
    const wasTold = state.overdrawn?.[campaign] === nodeHours;
    if (used < nodeHours || wasTold) return [];
    state.overdrawn = { ...state.overdrawn, [campaign]: nodeHours };
    return [{ campaign, text: `the node-hours are spent: ${usedOf(used, nodeHours)}` }];
  });
}

/** `5.0 of 10`; small budgets (a try on this computer) with as many digits as tell something. */
function usedOf(used: number, budget: number): string {
  return `${budget < 1 ? Number(used.toPrecision(2)) : used.toFixed(1)} of ${budget}`;
}

/** Node-hours that a campaign may still ask for; undefined without a budget. */
function nodeHoursLeft(state: SystemState, campaign: string): number | undefined {
  const budget = state.launches[campaign]?.nodeHours;
  return budget === undefined ? undefined : Math.max(0, budget - (state.nodeHoursUsed?.[campaign] ?? 0));
}

/** A campaign whose last pilot has ended and whose budget is less than one more pilot can only end (R35: the budget is a hard stop). */
function spentBudget(state: SystemState, campaign: string): { campaign: string; text: string }[] {
  const launch = state.launches[campaign];
  const left = nodeHoursLeft(state, campaign);
  const description = state.description;
  if (launch === undefined || left === undefined || description === undefined) return [];
  const perPilot = launch.capacity?.nodeHoursPerPilot ?? (description.nodesPerPilot * (description.walltimeSeconds ?? 0)) / 3600;
  if (left >= perPilot && left > 0) return [];
  if (livePilots(state).some((pilot) => pilot.campaign === campaign)) return [];
  const used = usedOf(state.nodeHoursUsed?.[campaign] ?? 0, launch.nodeHours as number);
  const next = perPilot > 0 ? `, and one more pilot may take ${perPilot.toFixed(1)}` : '';
  return [{ campaign, text: `the node-hours are spent: ${used}${next}` }];
}

/** Running attempts of a dead pilot count as backlog again: the next pilot finds out what became of them. */
function requeueUnstarted(state: SystemState, pilot: string): void {
  for (const attempt of Object.values(state.attempts)) {
    if (attempt.state === 'running' && attempt.pilot === pilot) attempt.state = 'offered';
  }
}

function forgetOldPilots(state: SystemState): void {
  const ended = Object.values(state.pilots).filter((pilot) => pilot.state === 'ended');
  for (const pilot of ended.slice(0, Math.max(0, ended.length - ENDED_PILOTS_SHOWN))) delete state.pilots[pilot.pilot];
}

/** A pilot is on record before it is asked for, so that a crash in between cannot lead to a second one. */
export function notePilotStart(state: SystemState, pilot: string, campaign: string, slots: number): void {
  state.pilotCounts[campaign] = Math.max(state.pilotCounts[campaign] ?? 0, pilotNumber(campaign, pilot) ?? 0);
  state.pilots[pilot] = { pilot, campaign, state: 'requested', slots, finished: 0, allocatedSlotSeconds: 0, busySlotSeconds: 0 };
}

/** What pilot planning needs to know; undefined until the system is described. */
export function pilotShape(state: SystemState): PilotShape | undefined {
  const description = state.description;
  if (description === undefined) return undefined;
  // On this computer each campaign has one agent of its own, and the offers alone bound what runs at once.
  const maxPilots = description.kind === 'local' ? Object.keys(state.launches).length : description.maxPilots;
  return { ...description, maxPilots };
}

/** What each campaign with an open launch wants of pilots, for planning. */
export function demandsOf(state: SystemState): CampaignDemand[] {
  const slots = state.description?.slotsPerPilot ?? 1;
  return loadsOf(state).flatMap((load): CampaignDemand[] => {
    const launch = state.launches[load.campaign];
    if (launch === undefined) return [];
    const isLocal = state.description?.kind === 'local';
    const backlog = load.queued + load.offered;
    return [
      {
        campaign: load.campaign,
        backlog: isLocal ? Math.min(backlog, Math.max(0, Math.floor(slots / launch.slotsPerTrial) - load.running)) : backlog,
        running: load.running,
        slotsPerTrial: launch.slotsPerTrial,
        weight: launch.weight,
        ...launch.capacity,
        nextPilot: (state.pilotCounts[load.campaign] ?? 0) + 1,
        ...(launch.nodeHours === undefined ? {} : { nodeHoursLeft: nodeHoursLeft(state, load.campaign) ?? 0 }),
      },
    ];
  });
}

function launchesOf(state: SystemState): SystemStatus['launches'] {
  const open = Object.values(state.launches).map(({ campaign, launch }) => [campaign, { launch }] as const);
  const abandoned = (state.abandoned ?? []).map(
    (campaign) => [campaign, { launch: state.launches[campaign]?.launch ?? '', isAbandoned: true }] as const,
  );
  return Object.fromEntries([...open, ...abandoned]);
}

/** What the system's `status` query answers. */
export function statusOf(state: SystemState): SystemStatus {
  const loads = loadsOf(state);
  const sum = (pick: (load: (typeof loads)[number]) => number) => loads.reduce((total, load) => total + pick(load), 0);
  const live = livePilots(state);
  const allocated = state.pastAllocated + live.reduce((total, pilot) => total + pilot.allocatedSlotSeconds, 0);
  const busy = state.pastBusy + live.reduce((total, pilot) => total + pilot.busySlotSeconds, 0);
  return {
    name: state.name,
    kind: state.description?.kind ?? 'unknown',
    headline: headlineOf(
      state,
      sum((load) => load.running),
      sum((load) => load.queued + load.offered),
    ),
    login: state.login,
    breaker: state.breaker,
    slots: live.reduce((total, pilot) => total + pilot.slots, 0),
    queued: sum((load) => load.queued),
    offered: sum((load) => load.offered),
    running: sum((load) => load.running),
    campaigns: loads,
    launches: launchesOf(state),
    pilots: Object.values(state.pilots),
    ...(allocated > 0 ? { utilisation: busy / allocated } : {}),
    notices: state.notices,
  };
}

function headlineOf(state: SystemState, running: number, waiting: number): string {
  if (state.login.kind === 'needs_login') return `needs a login: run \`holdfast login ${state.name}\``;
  if (state.breaker.open) return `submission has stopped: ${state.breaker.evidence.at(-1) ?? 'see the evidence'}`;
  if (state.description === undefined) return `waits for the worker that holds ${state.name}`;
  if (running + waiting === 0) return 'nothing to do';
  const queued = livePilots(state).filter((pilot) => pilot.state === 'queued');
  const comment = queued.find((pilot) => pilot.comment !== undefined)?.comment;
  if (running === 0 && queued.length > 0)
    return `waits for ${queued.length} queued pilot${queued.length === 1 ? '' : 's'}${comment ? `: ${comment}` : ''}`;
  return `${running} running, ${waiting} waiting`;
}
