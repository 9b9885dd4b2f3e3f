import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { DoneRecord } from '../../src/domain/spool.ts';
import type { RemoteShell } from '../../src/ssh/transport.ts';
import { createPbsDriver } from '../../src/systems/pbs/driver.ts';
import { offer, planOf, standInProfile, standInShell } from '../../test/support/pbs/campaign.ts';
import { PbsStandIn } from '../../test/support/pbs/standin.ts';
import { logIn } from '../../test/support/ssh-suite.ts';
import { removeSshd, startSshd, whyNoSshd } from '../../test/support/sshd.ts';

/**
 * What a PBS system costs and what its pilots make of their slots, on the stand-in with real processes:
 * remote commands per hour for 1, 100 and 1,000 trials in flight; slot utilisation of a
 * 2-node × 12-slot pilot; the gap from a trial's end to the next start on its slot. Beside it Parsl's HighThroughputExecutor with the same slots
 * and lengths.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    /** Also trials of 20 to 40 s, for at least 240 s. */
    long: { type: 'boolean', default: false },
    'no-peer': { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const SECONDS = Number(values.seconds);
const NODES = 2;
const SLOTS_PER_NODE = 12;
const never = new AbortController().signal;

function driverOn(pbs: PbsStandIn, shell: RemoteShell = standInShell(pbs)) {
  return createPbsDriver({
    name: 'standin',
    profile: standInProfile({ slots: { per_node: SLOTS_PER_NODE }, poll_seconds: 60 }),
    shell,
  });
}

/** A login over a real sshd in front of the stand-in, with its log; undefined where this computer has no sshd. */
async function overSsh(pbs: PbsStandIn) {
  if (whyNoSshd() !== undefined) return undefined;
  const sshd = await startSshd({ sessionEnv: pbs.env });
  const { shell, end } = await logIn(sshd, 'ssh2');
  return {
    shell,
    logins: () => sshd.logins().accepted,
    async end() {
      await end();
      await removeSshd(sshd);
    },
  };
}

/** Remote commands that a look costs with so many trials in flight, and how long one takes. */
async function looks(trials: number) {
  const pbs = await PbsStandIn.start();
  const ssh = await overSsh(pbs);
  try {
    const driver = driverOn(pbs, ssh?.shell);
    await driver.prepareLaunch(planOf(pbs, { settings: { nodes: NODES }, command: ['sleep', '600'] }), () => undefined);
    await driver.send(
      Array.from({ length: trials }, (_, index) => ({
        kind: 'offer' as const,
        campaign: 'camp-1',
        offer: offer('camp-1', index + 1, 0.5),
      })),
    );
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    await sleep(3_000);
    const before = driver.commands();
    const times: number[] = [];
    let running = 0;
    for (let look = 0; look < 10; look += 1) {
      const began = performance.now();
      const seen = await driver.look({ acks: [], pilots: [{ pilot: 'camp-1.p1', campaign: 'camp-1' }], waitSeconds: 0 }, never);
      times.push(performance.now() - began);
      running = seen?.running.reduce((sum, each) => sum + each.busy.length, 0) ?? running;
    }
    const perLook = (driver.commands() - before) / 10;
    await driver.closeLaunch('camp-1');
    return {
      trialsInFlight: trials,
      running,
      remoteCommandsPerLook: perLook,
      remoteCommandsPerHour: (perLook * 3600) / 60,
      transport: ssh === undefined ? 'a shell on this computer' : 'ssh2 to a real sshd on loopback',
      // From the first command to the end of the launch.
      ...(ssh === undefined ? {} : { logins: ssh.logins() }),
      lookMilliseconds: round(median(times)),
    };
  } finally {
    await ssh?.end();
    await pbs.close();
  }
}

interface Run {
  readonly slot: string;
  readonly start: number;
  readonly end: number;
  readonly length: number;
}

/** Uniform between `least` and `most`, the same for everybody, enough for so many seconds of all slots. */
function lengthsOf(least: number, most: number, seconds: number): number[] {
  const count = Math.ceil((NODES * SLOTS_PER_NODE * seconds) / ((least + most) / 2)) + NODES * SLOTS_PER_NODE;
  return Array.from({ length: count }, (_, index) => Number((least + (most - least) * ((index * 0.618034) % 1)).toFixed(3)));
}

/** Trials of uniform length between `least` and `most` seconds on one pilot, for so many seconds of backlog. */
async function utilisation(least: number, most: number, seconds: number) {
  const pbs = await PbsStandIn.start();
  try {
    const driver = driverOn(pbs);
    const lengths = lengthsOf(least, most, seconds);
    const count = lengths.length;
    const prepared = await driver.prepareLaunch(
      planOf(pbs, {
        settings: { nodes: NODES, walltime: 3600 },
        command: ['sh', '-c', 'sleep "$1"; printf \'{"loss":1}\' >"$HOLDFAST_OUT/results.json"', 'sh', '{x}'],
      }),
      () => undefined,
    );
    await driver.send(
      lengths.map((length, index) => ({
        kind: 'offer' as const,
        campaign: 'camp-1',
        offer: offer('camp-1', index + 1, length),
      })),
    );
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const ended: DoneRecord[] = [];
    const delays: number[] = [];
    let acks: { campaign: string; trial: string; attempt: number }[] = [];
    const deadline = performance.now() + (seconds * 3 + 120) * 1000;
    let last: { allocatedSlotSeconds: number; busySlotSeconds: number } | undefined;
    while (ended.length < count && performance.now() < deadline) {
      await sleep(2_000);
      const seen = await driver.look({ acks, pilots: [{ pilot: 'camp-1.p1', campaign: 'camp-1' }], waitSeconds: 0 }, never);
      const now = Date.now();
      acks = seen?.ended.map(({ campaign, trial, attempt }) => ({ campaign, trial, attempt })) ?? [];
      for (const record of seen?.ended ?? []) {
        if (ended.some((each) => each.trial === record.trial)) continue;
        ended.push(record);
        const result = join(prepared.directory, record.directory, 'results.json');
        if (existsSync(result)) delays.push((now - statSync(result).mtimeMs) / 1000);
      }
      last = seen?.pilots[0] ?? last;
    }
    const runs = ended.flatMap((record): Run[] => {
      const folder = join(prepared.directory, record.directory);
      const agent = (JSON.parse(readFileSync(join(folder, 'started'), 'utf8')) as { agent: string }).agent;
      const length = (JSON.parse(readFileSync(join(folder, '..', 'params.json'), 'utf8')) as { x: number }).x;
      if (!existsSync(join(folder, 'results.json'))) return [];
      return [
        {
          slot: `${agent}:${record.slot}`,
          start: statSync(join(folder, 'started')).mtimeMs,
          end: statSync(join(folder, 'results.json')).mtimeMs,
          length,
        },
      ];
    });
    await driver.closeLaunch('camp-1');
    return {
      runner: 'holdfast',
      lengthSeconds: [least, most],
      trials: runs.length,
      ...slotFigures(runs),
      knowingSecondsAtTwoSecondLooks: round(median(delays)),
    };
  } finally {
    await pbs.close();
  }
}

/** The same lengths on Parsl's HighThroughputExecutor with as many workers; bounded in time, its whole process group is ended. */
async function peer(python: string, least: number, most: number, seconds: number) {
  const lengths = lengthsOf(least, most, seconds);
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-parsl-'));
  const program = join(process.cwd(), 'bench', 'pbs', 'parsl_peer.py');
  const child = spawn(python, [program, folder, String(NODES), String(SLOTS_PER_NODE)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const limit = setTimeout(() => endGroup(child.pid), (seconds * 3 + 120) * 1000);
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  child.stdin.end(JSON.stringify(lengths));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  endGroup(child.pid);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const runs = printed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Run);
  if (code !== 0 || runs.length < lengths.length)
    return {
      runner: 'parsl',
      lengthSeconds: [least, most],
      trials: runs.length,
      problem: `ended with ${code} after ${runs.length} of ${lengths.length} trials`,
    };
  return { runner: 'parsl', lengthSeconds: [least, most], trials: runs.length, ...slotFigures(runs) };
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/**
 * Per slot, from its first start to the end of its last trial but one (behind it the backlog may be empty): the share of time in which the
 * training slept as told. Everything else, process starts too, counts as idle.
 */
function slotFigures(runs: readonly Run[]) {
  const slots = new Map<string, Run[]>();
  for (const run of runs) slots.set(run.slot, [...(slots.get(run.slot) ?? []), run]);
  let busy = 0;
  let allocated = 0;
  const gaps: number[] = [];
  for (const list of slots.values()) {
    const ordered = list.sort((a, b) => a.start - b.start).slice(0, -1);
    const first = ordered[0];
    const lastRun = ordered.at(-1);
    if (!first || !lastRun) continue;
    busy += ordered.reduce((sum, run) => sum + run.length, 0);
    allocated += (lastRun.end - first.start) / 1000;
    for (let index = 1; index < ordered.length; index += 1) gaps.push((ordered[index] as Run).start - (ordered[index - 1] as Run).end);
  }
  return {
    slots: slots.size,
    utilisation: round(busy / allocated, 4),
    gapMilliseconds: round(median(gaps)),
    gapP90Milliseconds: round(quantile(gaps, 0.9)),
  };
}

function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

const lengths: [number, number, number][] = [
  [2, 4, SECONDS],
  ...(values.long ? [[20, 40, Math.max(SECONDS, 240)] as [number, number, number]] : []),
];
// Installed by scripts/python-parsl.mjs, which run.mjs calls; without it the peer is left out and the report says why.
const parsl: { readonly python?: string; readonly reason?: string } = values['no-peer']
  ? { reason: 'left out (--no-peer)' }
  : JSON.parse(process.env.HOLDFAST_PARSL ?? '{"reason": "start the bench with bench/pbs/run.mjs"}');
const report: Record<string, unknown> = {
  ...(parsl.reason === undefined ? {} : { withoutPeer: parsl.reason }),
  date: new Date().toISOString().slice(0, 10),
  processors: cpus().length,
  loadAtStart: round(loadavg()[0] ?? 0, 2),
  looks: [],
  pilots: [],
};
for (const trials of [1, 100, 1000]) {
  (report.looks as unknown[]).push(await looks(trials));
  console.log(JSON.stringify((report.looks as unknown[]).at(-1)));
}
for (const [least, most, seconds] of lengths) {
  const ours = await utilisation(least, most, seconds);
  console.log(JSON.stringify(ours));
  (report.pilots as unknown[]).push(ours);
  if (parsl.python === undefined) continue;
  const theirs = await peer(parsl.python, least, most, seconds);
  console.log(JSON.stringify(theirs));
  (report.pilots as unknown[]).push(theirs);
}
report.loadAtEnd = round(loadavg()[0] ?? 0, 2);
if (values.out !== undefined) {
  mkdirSync(dirname(values.out), { recursive: true });
  writeFileSync(values.out, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`${values.out}: ${readdirSync(dirname(values.out)).length} results there`);
}
