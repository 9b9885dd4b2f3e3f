import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DoneRecord } from '../../../src/domain/spool.ts';
import type { RemoteAnswer, RemoteCommand, RemoteShell } from '../../../src/ssh/transport.ts';
import { DriverError, type PilotSeen } from '../../../src/systems/driver.ts';
import { createPbsDriver, type PbsDriver } from '../../../src/systems/pbs/driver.ts';
import { offer, planOf, QUICK, standInProfile, standInShell } from './campaign.ts';
import { PbsStandIn, type StandInFault } from './standin.ts';

/** What is done to one call. */
type Injection =
  | { readonly kind: 'command'; readonly fault: StandInFault }
  /** The connection is cut: before anything ran, after it ran, or while it runs (the remote side goes on). */
  | { readonly kind: 'cut'; readonly when: 'before' | 'after' | 'during' }
  /** The driver loses its memory, as by kill -9 of the worker. */
  | { readonly kind: 'restart' }
  /** The server hangs for a while and goes on. */
  | { readonly kind: 'hang'; readonly milliseconds: number };

export interface FaultReport {
  readonly seed: number;
  readonly injections: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly pilots: number;
  readonly trials: number;
  /** Pilots of which two jobs did work at once or one after the other. */
  readonly doubleRuns: readonly string[];
  /** Trials whose training was started more than once in one attempt. */
  readonly doubleTrials: readonly string[];
  /** Names under which PBS holds two jobs though no answer of the look-up by name was emptied (the claim then still lets one run). */
  readonly doubleJobs: readonly string[];
  readonly lost: readonly string[];
  /** Pilots reported as ended while the log shows their job alive. */
  readonly falseEnds: readonly string[];
  readonly emptyDeletes: number;
  /** Looks of the campaign that took most: far above the others, a pilot was stuck. */
  readonly mostLooks: number;
  readonly seconds: number;
}

/** A campaign that no pilot of which got through is left in peace after this many looks; then its trial must end within the time. */
const FAULTY_LOOKS = 250;
const CALM_SECONDS = 120;

function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

type Phase = 'start' | 'look' | 'end';
/** Commands that each phase calls; the others would only wait for their turn. */
const COMMANDS: Readonly<Record<Phase, readonly StandInFault['command'][]>> = {
  start: ['qsub', 'qsub', 'qsub', 'qselect', 'qstat'],
  look: ['qstat', 'qstat', 'qselect'],
  end: ['qdel', 'qdel', 'qstat'],
};
const FAULTS = ['die_before', 'die_after', 'drop', 'truncate', 'corrupt', 'hang', 'hang_after', 'exit'] as const;
const EXITS = [162, 171, 183, 124, 255, 1, 77] as const;

function inject(random: (below: number) => number, phase: Phase | undefined): Injection {
  const kind = random(20);
  if (kind < 5 || (phase === undefined && kind < 16))
    return { kind: 'cut', when: (['before', 'after', 'during'] as const)[random(3)] as 'before' };
  if (kind < 7) return { kind: 'restart' };
  if (kind < 8 || phase === undefined) return { kind: 'hang', milliseconds: 300 + random(2500) };
  const fault = FAULTS[random(FAULTS.length)] as (typeof FAULTS)[number];
  return {
    kind: 'command',
    fault: {
      command: COMMANDS[phase][random(COMMANDS[phase].length)] as 'qsub',
      fault,
      share: random(100) / 100,
      exit: EXITS[random(EXITS.length)] as number,
      stderr: 'pbs: no words\n',
      seconds: 30,
    },
  };
}

/** A shell whose next command is cut; the cut is used up. */
class CutShell {
  onCut: (when: string) => void = () => undefined;
  next: 'before' | 'after' | 'during' | undefined;
  readonly shell: RemoteShell;

  constructor(inner: RemoteShell) {
    this.shell = {
      ...inner,
      upload: inner.upload.bind(inner),
      download: inner.download.bind(inner),
      state: inner.state.bind(inner),
      check: inner.check.bind(inner),
      close: inner.close.bind(inner),
      run: async (command: RemoteCommand, signal?: AbortSignal): Promise<RemoteAnswer> => {
        const when = this.next;
        this.next = undefined;
        if (when) this.onCut(when);
        if (when === 'before') return { kind: 'unknown', why: 'cut before it arrived' };
        if (when === 'during') {
          const rest = inner.run(command, signal);
          rest.catch(() => undefined);
          await sleep(20 + Math.random() * 150);
          return { kind: 'unknown', why: 'cut while it ran' };
        }
        const answer = await inner.run(command, signal);
        return when === 'after' ? { kind: 'unknown', why: 'cut before the answer' } : answer;
      },
    };
  }
}

/**
 * Campaigns of one trial and one pilot each, over and over, with one injection at a time into submit, cancel, poll and collect, until the asked
 * number of injections was made. The stand-in's log and the trainings' own log of starts are the judge.
 */
export async function runFaultCampaign(options: {
  readonly injections: number;
  readonly seed: number;
  readonly lanes?: number;
  readonly progress?: (injections: number) => void;
}): Promise<FaultReport> {
  const began = performance.now();
  const random = randomNumbers(options.seed);
  const lanes = options.lanes ?? 2;
  const byKind: Record<string, number> = {};
  const report = {
    pilots: 0,
    trials: 0,
    injections: 0,
    doubleRuns: [] as string[],
    doubleTrials: [] as string[],
    doubleJobs: [] as string[],
    lost: [] as string[],
    falseEnds: [] as string[],
    emptyDeletes: 0,
    mostLooks: 0,
  };
  const lane = async (number: number) => {
    // A job that waits for longer than an attempt needs to settle is found by its name only; one that starts at once, by its claim.
    const waits = number > 1;
    const pbs = await PbsStandIn.start({
      orphans_submit: number % 2 === 1,
      kill_delay: 1,
      start_delay: waits ? (QUICK.settleSeconds + QUICK.commandSeconds) * 1.2 : 0,
    });
    try {
      let counted = 0;
      for (let round = 1; report.injections < options.injections; round += 1) {
        const count = (kind: string) => {
          report.injections += 1;
          byKind[kind] = (byKind[kind] ?? 0) + 1;
        };
        await oneCampaign(pbs, `f${number}-${round}`, random, count, report);
        // A planned fault counts when a command met it.
        const met = pbs.commands().filter((each) => each.fault !== '-');
        for (const each of met.slice(counted)) count(`${each.command} ${each.fault}`);
        counted = met.length;
        options.progress?.(report.injections);
      }
      pbs.plan([]);
      judge(pbs, report);
    } finally {
      await pbs.close();
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index + 1)));
  return { seed: options.seed, byKind, ...report, seconds: (performance.now() - began) / 1000 };
}

/** What lies on the system, for a failure's message. */
function evidence(pbs: PbsStandIn, directory: string): string {
  const files = execFileSync(
    'sh',
    [
      '-c',
      'cd "$1" && find pilots spool -type f | sort | while read f; do echo "$f: $(head -c 200 "$f" | tr "\\n" " ")"; done',
      'sh',
      directory,
    ],
    { encoding: 'utf8' },
  );
  return `${files}\njobs ${JSON.stringify(pbs.jobs())}`;
}

type Tally = { pilots: number; trials: number; lost: string[]; falseEnds: string[]; mostLooks: number };

async function oneCampaign(
  pbs: PbsStandIn,
  campaign: string,
  random: (below: number) => number,
  count: (kind: string) => void,
  report: Tally,
) {
  const cut = new CutShell(standInShell(pbs));
  const restart = () =>
    createPbsDriver({
      name: 'standin',
      profile: standInProfile(),
      shell: cut.shell,
      timing: QUICK,
      lostRule: { looks: 3, seconds: 6, settleSeconds: 6, arrivalSeconds: 6 },
      closeSeconds: 60,
    });
  let driver: PbsDriver = restart();
  const plan = planOf(pbs, { campaign });
  const prepared = await driver.prepareLaunch(plan, () => undefined);
  cut.onCut = (when) => count(`cut ${when}`);
  const apply = (phase?: Phase) => {
    const injection = inject(random, phase);
    if (injection.kind === 'command') pbs.plan([injection.fault]);
    else if (injection.kind === 'cut') cut.next = injection.when;
    else if (injection.kind === 'restart') {
      driver = restart();
      count('restart');
    } else {
      count('hang');
      pbs.hang();
      setTimeout(() => pbs.resume(), injection.milliseconds);
    }
  };
  /** The workflow's patience: errors of the transport are tried again for ever. */
  const insist = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
    for (let tries = 0; tries < 200; tries += 1) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof DriverError) || error.class !== 'transport') throw error;
        await sleep(30);
      }
    }
    throw new Error(`${campaign}: ${what} never succeeded`);
  };
  report.trials += 1;
  apply();
  await insist('offer', () => driver.send([{ kind: 'offer', campaign, offer: offer(campaign, 1, 0.25) }]));
  let ended: DoneRecord | undefined;
  let number = 0;
  let pilot: { name: string; state: PilotSeen['state'] } | undefined;
  let calmSince: number | undefined;
  for (let looks = 0; ended === undefined; looks += 1) {
    report.mostLooks = Math.max(report.mostLooks, looks);
    if (looks > FAULTY_LOOKS && calmSince === undefined) {
      pbs.plan([]);
      cut.next = undefined;
      calmSince = performance.now();
    }
    if (calmSince !== undefined && performance.now() - calmSince > CALM_SECONDS * 1000) {
      report.lost.push(`${campaign}: no end ${CALM_SECONDS} s after its last fault; ${evidence(pbs, prepared.directory)}`);
      return;
    }
    if (pilot === undefined || pilot.state === 'ended') {
      number += 1;
      const name = `${campaign}.p${number}`;
      report.pilots += 1;
      if (calmSince === undefined) apply('start');
      const start = await insist('start', () => driver.startPilot({ pilot: name, campaign }));
      // An injected status 1 is a refusal (usage); a person mends its cause and the next pilot is asked for.
      pilot =
        start.kind === 'wait' || start.kind === 'refused' ? undefined : { name, state: start.kind === 'started' ? 'queued' : 'unknown' };
      if (pilot === undefined) await sleep(100);
    }
    if (looks % 3 === 0 && calmSince === undefined) apply('look');
    const pilots = pilot === undefined ? [] : [{ pilot: pilot.name, campaign }];
    const seen = await insist('look', () => driver.look({ acks: [], pilots, waitSeconds: 0 }, new AbortController().signal));
    ended = seen?.ended.find((record) => record.campaign === campaign);
    for (const each of seen?.pilots ?? []) {
      if (each.pilot !== pilot?.name) continue;
      pilot = { name: each.pilot, state: each.state };
      if (each.state === 'ended') checkEnd(pbs, each, report);
    }
    await sleep(40);
  }
  if (ended.status !== 'completed' && ended.status !== 'returned') report.lost.push(`${campaign}: ${ended.status} ${ended.error?.message}`);
  const record = ended;
  apply();
  await insist('collect', () => driver.collect(campaign, record, prepared.localDirectory));
  if (record.status === 'completed' && !existsSync(join(prepared.localDirectory, record.directory, 'results.json')))
    report.lost.push(`${campaign}: not collected`);
  // Half of the pilots are told to stop first, so that a cancel is in flight when the launch is closed.
  if (random(2) === 0 && pilot) {
    apply('end');
    const { name } = pilot;
    await insist('stop', () => driver.send([{ kind: 'stopPilot', pilot: name, reason: 'enough' }]));
  }
  apply('end');
  await insist('close', () => driver.closeLaunch(campaign));
  pbs.plan([]);
}

/** An end is false while a job of that name is alive in PBS. */
function checkEnd(pbs: PbsStandIn, seen: PilotSeen, report: Tally) {
  const key = pbs.events().find((event) => event.id !== undefined && event.id === seen.nativeId)?.name;
  const events = pbs.events().filter((event) => key !== undefined && event.name === key);
  const state = new Map<string, boolean>();
  for (const event of events) {
    if (event.event === 'submit') state.set(event.id as string, true);
    if (event.event === 'end' || (event.event === 'delete' && (event as { state?: string }).state !== 'R'))
      state.set(event.id as string, false);
  }
  if ([...state.values()].some((isAlive) => isAlive)) report.falseEnds.push(`${seen.pilot}: ${JSON.stringify(seen.end)}`);
}

function judge(
  pbs: PbsStandIn,
  report: Tally & { doubleRuns: string[]; doubleTrials: string[]; doubleJobs: string[]; emptyDeletes: number },
) {
  const events = pbs.events();
  const jobs = new Map<string, Set<string>>();
  for (const event of events.filter((each) => each.event === 'submit')) {
    const ids = jobs.get(event.name as string) ?? new Set();
    jobs.set(event.name as string, ids.add(event.id as string));
  }
  // A look-up by name whose answer was emptied says "no such job" like a real one: then only the job's claim stands between two runs.
  const silenced = pbs
    .commands()
    .filter(({ command, fault }) => command === 'qselect' && (fault === 'drop' || fault === 'truncate'))
    .map(({ args }) => args[args.indexOf('-N') + 1]);
  for (const [name, ids] of jobs) if (ids.size > 1 && !silenced.includes(name)) report.doubleJobs.push(`${name}: ${[...ids].join(', ')}`);
  // A job that works says so by its agent's start in its own claim; two claims of one pilot would be a double run.
  const starts = existsSync(join(pbs.home, 'starts')) ? readFileSync(join(pbs.home, 'starts'), 'utf8').trim().split('\n') : [];
  const perPilot = new Map<string, number>();
  for (const line of existsSync(join(pbs.home, 'worked')) ? readFileSync(join(pbs.home, 'worked'), 'utf8').trim().split('\n') : [])
    perPilot.set(line, (perPilot.get(line) ?? 0) + 1);
  for (const [name, times] of perPilot) if (times > 1) report.doubleRuns.push(`${name} worked ${times} times`);
  const perTrial = new Map<string, number>();
  for (const line of starts) perTrial.set(line, (perTrial.get(line) ?? 0) + 1);
  for (const [name, times] of perTrial) if (times > 1) report.doubleTrials.push(`${name} started ${times} times`);
  report.emptyDeletes += events.filter((event) => event.event === 'qdel-empty').length;
  const alive = pbs.jobs().filter((job) => job.state !== 'F');
  for (const job of alive) report.lost.push(`job ${job.id} (${job.name}) is still there after its launch was closed`);
}
