import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrialRow } from '../../src/domain/trial.ts';
import { eventually } from '../support/engine.ts';
import { kill, type Lab, seededRandom, startLab } from '../support/lab.ts';

const SEED = Number(process.env.HOLDFAST_CHAOS_SEED ?? Date.now() % 1_000_000);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What must not depend on who died when. */
const table = (rows: readonly TrialRow[]) => rows.map(({ number, params, values, state }) => ({ number, params, values, state }));

/** Processes below this one. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      parents.set(Number(name), Number(fields[1]));
    } catch {
      // It ended while we looked.
      parents.delete(Number(name));
    }
  }
  const below = (parent: number): number[] => [...parents].filter(([, of]) => of === parent).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/** An agent and all processes below it, once there are a keeper and a training among them. */
function trainingsBelow(pid: number): number[] | undefined {
  const below = descendants(pid);
  return below.length > 1 ? [pid, ...below] : undefined;
}

/** A folder's entries; none where it is not there yet. */
function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Moments in the life of a trial and of its campaign, each told by something that appears in the launch folder. */
const MOMENTS: Readonly<Record<string, (launch: string) => string[]>> = {
  submission: (launch) => [
    ...list(path.join(launch, 'spool', 'ready')),
    ...list(path.join(launch, 'spool', 'claimed')).flatMap((agent) => list(path.join(launch, 'spool', 'claimed', agent))),
  ],
  start: (launch) => attempts(launch).filter((folder) => existsSync(path.join(folder, 'started'))),
  training: (launch) => attempts(launch).filter((folder) => existsSync(path.join(folder, 'metrics.jsonl'))),
  completion: (launch) => list(path.join(launch, 'spool', 'done')),
  // The first of the report's files, the summary being the last.
  report: (launch) =>
    list(launch)
      .filter((name) => name.includes('trials.jsonl'))
      .map((name) => `${name} ${mtime(path.join(launch, name))}`),
};

function attempts(launch: string): string[] {
  return list(path.join(launch, 'trials')).map((trial) => path.join(launch, 'trials', trial, 'attempt-1'));
}

function mtime(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Waits until the moment comes anew. */
async function untilNext(moment: string, launch: string, isOver: () => boolean): Promise<void> {
  const look = MOMENTS[moment] as (launch: string) => string[];
  const before = new Set(look(launch));
  for (const end = Date.now() + 240_000; !isOver(); await sleep(4)) {
    if (look(launch).some((each) => !before.has(each))) return;
    if (Date.now() > end) throw new Error(`no ${moment} came`);
  }
}

describe(`a campaign whose parts are killed (HOLDFAST_CHAOS_SEED=${SEED})`, () => {
  let lab: Lab;
  let undisturbed: ReturnType<typeof table>;
  const random = seededRandom(SEED);
  const training = (starts: string, seconds: number, ...pace: string[]) => ({
    training: {
      command: [
        '{python}',
        ...['train.py', starts].map((name) => path.join(lab.folder, name)),
        String(seconds),
        ...pace.map((name) => path.join(lab.folder, name)),
      ],
    },
  });

  beforeAll(async () => {
    lab = await startLab({ slots: 3 });
    await lab.start('calm', lab.campaign({ ...training('calm.log', 0.1), budget: { trials: 120 } }));
    const result = await lab.result('calm', 400);
    expect(result.counts.completed).toBe(120);
    undisturbed = table(await lab.rows('calm'));
  }, 450_000);
  afterAll(() => lab.close());

  it('has the same table after 30 kills of the worker, and each training was started once', async () => {
    lab.letEnd('worker.pace', 0);
    await lab.start('worker-kills', lab.campaign({ ...training('worker-kills.log', 0.9, 'worker.pace'), budget: { trials: 120 } }));
    let isOver = false;
    const ended = lab.result('worker-kills', 2300).finally(() => {
      isOver = true;
    });
    const launch = await eventually(
      () => list(path.join(lab.folder, 'results')).find((name) => name.endsWith('worker-kills')),
      60,
      'the launch folder',
    );
    // Six of each in an order by chance; the last one falls into a report: of the trials that may end by then, the 80th is before it (campaign-desk.ts).
    const moments = ['submission', 'start', 'training', 'completion', 'anywhere']
      .flatMap((moment) => Array.from({ length: 6 }, () => ({ moment, order: random() })))
      .sort((one, other) => one.order - other.order)
      .map(({ moment }) => moment);
    moments.splice(-1, 1, 'report');
    for (const [at, moment] of moments.entries()) {
      // Two more trials may end, so that each of the moments comes; the last trial never before the last kill.
      lab.letEnd('worker.pace', moment === 'report' ? 119 : 2 * (at + 1));
      if (moment === 'anywhere') await sleep(random() * 2500);
      else await untilNext(moment, path.join(lab.folder, 'results', launch), () => isOver);
      await sleep(random() < 0.5 ? 0 : random() * (moment === 'training' ? 800 : 25));
      expect(isOver, `over before the ${moment} at which it should be killed`).toBe(false);
      await lab.killWorker();
      await lab.startWorker();
    }
    lab.letEnd('worker.pace', 120);
    const result = await ended;
    expect(result.counts).toMatchObject({ completed: 120, failed: 0 });
    expect(table(await lab.rows('worker-kills'))).toEqual(undisturbed);
    expect(lab.starts('worker-kills.log').sort()).toEqual(undisturbed.map(({ number }) => `trial-${String(number).padStart(4, '0')}.1`));
  }, 2_400_000);

  it('has the same table after 5 kills of the Temporal server', async () => {
    lab.letEnd('server.pace', 0);
    await lab.start('server-kills', lab.campaign({ ...training('server-kills.log', 1, 'server.pace'), budget: { trials: 60 } }));
    for (let kills = 0; kills < 5; kills += 1) {
      lab.letEnd('server.pace', 10 * (kills + 1));
      await sleep(1000 + random() * 2000);
      await lab.bounceServer();
    }
    lab.letEnd('server.pace', 60);
    const result = await lab.result('server-kills', 500);
    expect(result.counts).toMatchObject({ completed: 60, failed: 0 });
    expect(table(await lab.rows('server-kills'))).toEqual(undisturbed.slice(0, 60));
    expect(lab.starts('server-kills.log').sort()).toEqual(
      undisturbed.slice(0, 60).map(({ number }) => `trial-${String(number).padStart(4, '0')}.1`),
    );
  }, 600_000);

  it('has the same table after 5 kills of an agent: an attempt is started once, a lost one is followed by another', async () => {
    lab.letEnd('agent.pace', 0);
    await lab.start('agent-kills', lab.campaign({ ...training('agent-kills.log', 1, 'agent.pace'), budget: { trials: 60 } }));
    const killed = new Set<number>();
    while (killed.size < 5) {
      lab.letEnd('agent.pace', 10 * (killed.size + 1));
      // Three agents in a row that finish nothing would open the circuit breaker, as they should.
      const next = () =>
        lab.agents().find((each) => each.launch.endsWith('agent-kills') && !killed.has(each.pid) && lab.finishedBy(each) > 0);
      const agent = await eventually(next, 120, 'an agent that has finished a trial');
      await sleep(random() * 1500);
      // Keepers outlive their agent and bring their trainings to an end. Twice they go down with it, as when a node dies: those attempts are lost.
      if (killed.size % 2 === 1) {
        if (agent.slots === 0) continue;
        for (const below of await eventually(() => trainingsBelow(agent.pid), 60, 'an agent with a training')) kill(below);
      } else kill(agent.pid);
      killed.add(agent.pid);
    }
    lab.letEnd('agent.pace', 60);
    const result = await lab.result('agent-kills', 500);
    expect(result.counts).toMatchObject({ completed: 60, failed: 0 });
    const rows = await lab.rows('agent-kills');
    expect(table(rows)).toEqual(undisturbed.slice(0, 60));
    const starts = lab.starts('agent-kills.log');
    expect(new Set(starts).size).toBe(starts.length);
    expect(rows.some((row) => row.attempts > 1)).toBe(true);
  }, 600_000);

  it('leaves no agent behind', async () => {
    await eventually(() => lab.agents().length === 0, 60, 'the end of all agents');
  });
});
