import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { DoneRecord } from '../../src/domain/spool.ts';
import { createPbsDriver } from '../../src/systems/pbs/driver.ts';
import { offer, planOf, standInProfile, standInShell } from '../../test/support/pbs/campaign.ts';
import { PbsStandIn } from '../../test/support/pbs/standin.ts';

/**
 * What a PBS system costs and what its pilots make of their slots, on the stand-in with real processes:
 * remote commands per hour for 1, 100 and 1,000 trials in flight; slot utilisation of a
 * 2-node × 12-slot pilot; the gap from a trial's end to the next start on its slot.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    long: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const SECONDS = Number(values.seconds);
const NODES = 2;
const SLOTS_PER_NODE = 12;
const never = new AbortController().signal;

function driverOn(pbs: PbsStandIn) {
  return createPbsDriver({
    name: 'standin',
    profile: standInProfile({ slots: { per_node: SLOTS_PER_NODE }, poll_seconds: 60 }),
    shell: standInShell(pbs),
  });
}

/** Remote commands that a look costs with so many trials in flight, and how long one takes. */
async function looks(trials: number) {
  const pbs = await PbsStandIn.start();
  try {
    const driver = driverOn(pbs);
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
      lookMilliseconds: round(median(times)),
    };
  } finally {
    await pbs.close();
  }
}

interface Run {
  readonly slot: string;
  readonly start: number;
  readonly end: number;
  readonly length: number;
}

/** Trials of uniform length between `least` and `most` seconds on one pilot, for so many seconds of backlog. */
async function utilisation(least: number, most: number, seconds: number) {
  const pbs = await PbsStandIn.start();
  try {
    const driver = driverOn(pbs);
    const count = Math.ceil((NODES * SLOTS_PER_NODE * seconds) / ((least + most) / 2)) + NODES * SLOTS_PER_NODE;
    const lengths = Array.from({ length: count }, (_, index) => least + (most - least) * (((index * 0.618034) % 1) + 0));
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
        offer: offer('camp-1', index + 1, Number(length.toFixed(3))),
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
      lengthSeconds: [least, most],
      trials: runs.length,
      ...slotFigures(runs),
      knowingSecondsAtTwoSecondLooks: round(median(delays)),
    };
  } finally {
    await pbs.close();
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
const report: Record<string, unknown> = {
  date: new Date().toISOString().slice(0, 10),
  processors: cpus().length,
  loadAtStart: round(loadavg()[0] ?? 0, 2),
  transport: 'a shell on this computer (no SSH)',
  looks: [],
  pilots: [],
};
for (const trials of [1, 100, 1000]) {
  (report.looks as unknown[]).push(await looks(trials));
  console.log(JSON.stringify((report.looks as unknown[]).at(-1)));
}
for (const [least, most, seconds] of lengths) {
  const ours = await utilisation(least, most, seconds);
  console.log('holdfast', JSON.stringify(ours));
  (report.pilots as unknown[]).push(ours);
}
report.loadAtEnd = round(loadavg()[0] ?? 0, 2);
if (values.out !== undefined) {
  mkdirSync(dirname(values.out), { recursive: true });
  writeFileSync(values.out, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`${values.out}: ${readdirSync(dirname(values.out)).length} results there`);
}
