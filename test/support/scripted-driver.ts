import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { DoneRecord } from '../../src/domain/spool.ts';
import type {
  LookRequest,
  LookResult,
  PilotRequest,
  PilotSeen,
  PilotStart,
  PreparedLaunch,
  SentOrders,
  SystemDescription,
  SystemDriver,
  SystemOrder,
} from '../../src/systems/driver.ts';
import { doneRecord } from './records.ts';

interface Running {
  readonly key: string;
  readonly campaign: string;
  readonly trial: string;
  readonly attempt: number;
  readonly params: Readonly<Record<string, unknown>>;
  readonly since: number;
}

export interface Script {
  readonly description?: Partial<SystemDescription>;
  /** Milliseconds a trial runs. */
  readonly runMs?: number | (() => number);
  /** The end of an attempt; default: completed with value x of its parameters, or 0.5. */
  readonly end?: (trial: string, attempt: number, params: Readonly<Record<string, unknown>>) => Partial<DoneRecord>;
  readonly startPilot?: (request: PilotRequest, call: number) => PilotStart | Error;
  /** Called before each exchange; may throw a DriverError. */
  readonly before?: (call: 'send' | 'look' | 'prepare' | 'close') => void;
}

/**
 * A system in memory that behaves as its script says: for the workflows' answers to logins that end, waits, refusals and lost pilots, which
 * the local system cannot show. What it counts is the judge in tests of "once".
 */
export function createScriptedDriver(name: string, script: Script = {}) {
  const description: SystemDescription = {
    kind: 'pbs',
    usesPilots: true,
    slotsPerPilot: 4,
    maxPilots: 2,
    prefetch: 1,
    lookIntervalSeconds: 0.05,
    nodesPerPilot: 1,
    ...script.description,
  };
  const ready: Running[] = [];
  const running = new Map<string, Running>();
  const done = new Map<string, DoneRecord>();
  const collected = new Map<string, DoneRecord>();
  const pilots = new Map<string, PilotSeen & { campaign: string }>();
  const starts: Record<string, number> = {};
  const seen = {
    pilotStarts: 0,
    looks: 0,
    sends: 0,
    closed: [] as string[],
    mostRunning: 0,
    withdrawn: [] as string[],
    stopped: [] as string[],
  };

  /** Lets time pass: pilots run, slots fill, trials end. */
  function advance(): void {
    for (const [pilot, state] of pilots) if (state.state === 'queued') pilots.set(pilot, { ...state, state: 'running' });
    for (const trial of running.values()) {
      if (Date.now() - trial.since < (typeof script.runMs === 'function' ? script.runMs() : (script.runMs ?? 20))) continue;
      running.delete(trial.key);
      finish(trial, script.end?.(trial.trial, trial.attempt, trial.params) ?? {});
    }
    const live = [...pilots.values()].filter((pilot) => pilot.state === 'running');
    const slots = description.usesPilots ? live.reduce((sum, pilot) => sum + pilot.slots, 0) : description.slotsPerPilot;
    while (running.size < slots && ready.length > 0) {
      const next = ready.shift() as Running;
      starts[next.key] = (starts[next.key] ?? 0) + 1;
      running.set(next.key, { ...next, since: Date.now() });
    }
    seen.mostRunning = Math.max(seen.mostRunning, running.size);
  }

  function finish(trial: Running, change: Partial<DoneRecord>): void {
    const x = Number(trial.params.x ?? 0.5);
    done.set(trial.key, doneRecord({ campaign: trial.campaign, trial: trial.trial, attempt: trial.attempt, values: [x], ...change }));
  }

  const keyOf = (order: { campaign: string; trial: string; attempt: number }) => `${order.campaign}:${order.trial}.${order.attempt}`;

  const driver: SystemDriver = {
    name,
    kind: description.kind,
    describe: async () => description,
    async prepareLaunch(plan): Promise<PreparedLaunch> {
      script.before?.('prepare');
      return {
        directory: `/launches/${plan.launch}`,
        localDirectory: mkdtempSync(path.join(os.tmpdir(), 'holdfast-scripted-')),
        bundleSha256: null,
        provenance: {},
      };
    },
    async send(orders: readonly SystemOrder[]): Promise<SentOrders> {
      script.before?.('send');
      seen.sends += 1;
      const answers = orders.map((order): SentOrders['answers'][number] => {
        if (order.kind === 'stopPilot') {
          const pilot = pilots.get(order.pilot);
          if (pilot) pilots.set(order.pilot, { ...pilot, state: 'ended', end: { kind: 'normal', message: order.reason } });
          return 'stopping';
        }
        const key = keyOf(order.kind === 'offer' ? order.offer : order);
        const record = order.kind === 'offer' ? collected.get(key) : undefined;
        // As the spool does it: an offer of a collected attempt brings its record back.
        if (record !== undefined) done.set(key, record);
        if (done.has(key)) return 'done';
        if (order.kind === 'offer') {
          const { campaign, trial, attempt, params } = order.offer;
          if (!running.has(key) && !ready.some((each) => each.key === key)) ready.push({ key, campaign, trial, attempt, params, since: 0 });
          return 'offered';
        }
        const index = ready.findIndex((each) => each.key === key);
        if (index >= 0) {
          ready.splice(index, 1);
          seen.withdrawn.push(key);
          return 'withdrawn';
        }
        const trial = running.get(key);
        if (trial === undefined) return 'unknown';
        running.delete(key);
        seen.stopped.push(key);
        finish(trial, { status: 'stopped', values: null });
        return 'stopping';
      });
      advance();
      return { answers };
    },
    async startPilot(request) {
      seen.pilotStarts += 1;
      const answer = script.startPilot?.(request, seen.pilotStarts) ?? { kind: 'started', nativeId: `${seen.pilotStarts}.server` };
      if (answer instanceof Error) throw answer;
      if (answer.kind === 'started' && !pilots.has(request.pilot)) {
        pilots.set(request.pilot, {
          pilot: request.pilot,
          campaign: request.campaign,
          state: 'queued',
          nativeId: answer.nativeId,
          slots: description.slotsPerPilot,
          finished: 0,
          allocatedSlotSeconds: 0,
          busySlotSeconds: 0,
        });
      }
      return answer;
    },
    async look(request: LookRequest): Promise<LookResult | undefined> {
      script.before?.('look');
      seen.looks += 1;
      for (const key of request.acks.map(keyOf)) {
        const record = done.get(key);
        if (record !== undefined) collected.set(key, record);
        done.delete(key);
      }
      advance();
      const digest = JSON.stringify([[...done.keys()], [...running.keys()], [...pilots.values()]]);
      if (digest === request.cursor) return undefined;
      const byCampaign = new Map<string, Running[]>();
      for (const trial of running.values()) byCampaign.set(trial.campaign, [...(byCampaign.get(trial.campaign) ?? []), trial]);
      return {
        cursor: digest,
        ended: [...done.values()],
        running: [...byCampaign].map(([campaign, trials]) => ({
          campaign,
          pilot: [...pilots.keys()][0] ?? 'none',
          busy: trials.map((trial, slot) => ({
            trial: trial.trial,
            attempt: trial.attempt,
            slot,
            run_seconds: (Date.now() - trial.since) / 1000,
            step: null,
            value: null,
            rungs: [],
            recent: [],
          })),
        })),
        pilots: [...pilots.values()],
        broken: [],
        notices: [],
      };
    },
    collect: async () => undefined,
    async closeLaunch(campaign) {
      script.before?.('close');
      seen.closed.push(campaign);
      for (const [key, trial] of running) if (trial.campaign === campaign) running.delete(key);
      // Nobody looks into its folder any more.
      for (const records of [done, collected]) for (const key of records.keys()) if (key.startsWith(`${campaign}:`)) records.delete(key);
      for (let i = ready.length - 1; i >= 0; i -= 1) if (ready[i]?.campaign === campaign) ready.splice(i, 1);
    },
  };

  return {
    driver,
    seen,
    starts,
    running,
    ready,
    pilots,
    /** A pilot ends as the scheduler would report it. */
    endPilot(pilot: string, end: NonNullable<PilotSeen['end']>, finished = 0): void {
      const known = pilots.get(pilot);
      if (known) pilots.set(pilot, { ...known, state: 'ended', end, finished });
    },
  };
}
