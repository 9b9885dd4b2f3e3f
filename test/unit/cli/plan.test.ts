import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MachinePlan } from '../../../src/plan/machine.ts';
import { cli, cliJson } from '../../support/cli.ts';

interface Plan {
  readonly machine: MachinePlan;
  readonly points: readonly { params: Record<string, unknown>; origin: string }[];
  readonly command: readonly string[];
  readonly code: { files: number; bytes: number } | null;
  readonly jobScript: string | null;
  readonly llm: { prompt: { user: string }; initialSamples: number } | null;
}

const SPACE = 'objective: {metric: score, direction: maximize}\nsearch_space:\n  lr: {type: float, min: 1e-4, max: 0.1, log: true}\n';
let folder: string;
const saved = process.env.TEMPORAL_ADDRESS;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-plan-'));
  // Nothing listens there: a plan that asked a server would fail.
  process.env.TEMPORAL_ADDRESS = '127.0.0.1:1';
});
afterAll(async () => {
  if (saved === undefined) delete process.env.TEMPORAL_ADDRESS;
  else process.env.TEMPORAL_ADDRESS = saved;
  await rm(folder, { recursive: true, force: true });
});

async function file(name: string, text: string): Promise<string> {
  const place = path.join(folder, name);
  await writeFile(place, text);
  return place;
}

describe('holdfast plan', () => {
  it('tells points, code, jobs and node-hours of a PBS campaign without a login', async () => {
    const text = `${SPACE}training: {command: "{python} {code}/train.py --lr {lr}", bundle: remote/training/digits}
system: {name: aurora, account: PROJECT, queue: capacity, nodes: 2, walltime: 6h, max_pilots: 2}
budget: {trials: 240}
limits: {trial_seconds: 30m}
`;
    const place = await file('pbs.yaml', text);
    const plan = await cliJson<Plan>('plan', place);
    expect(plan.machine.job).toMatchObject({
      nodes: 2,
      walltimeSeconds: 21_600,
      slots: 24,
      nodeHours: 12,
      mostAtOnce: 2,
      account: 'PROJECT',
    });
    // 240 trials of half an hour at most on 12 slots a node.
    expect(plan.machine.mostNodeHours).toBe(10);
    expect(plan.points).toHaveLength(5);
    expect(plan.code).toMatchObject({ files: 1 });
    expect(plan.jobScript).toMatch(/^#PBS -A PROJECT$/m);
    expect(plan.command.at(-1)).toBe(String(plan.points[0]?.params.lr));
    const told = (await cli('plan', place)).out;
    expect(told).toContain(
      'jobs     2 nodes for 6 h in queue capacity, account PROJECT: 24 slots, 12 node-hours each; at most 2 at once (pilots)',
    );
    expect(told).toContain(
      'cost     at most 10 node-hours (240 trials at limits.trial_seconds with full nodes; idle slots and retries come on top)',
    );
    expect(told).toContain('    hang_min_seconds: 600');
    expect(await readdir(folder)).toEqual(['pbs.yaml']);
  });

  it('says when nothing bounds the node-hours', async () => {
    const place = await file('free.yaml', `${SPACE}training: {command: train}\nsystem: {name: aurora, account: P}\nbudget: {trials: 3}\n`);
    expect((await cli('plan', place)).out).toContain(
      'cost     not bounded: set budget.node_hours, or limits.trial_seconds with budget.trials',
    );
  });

  it('shows your own points first and never more than the budget', async () => {
    const place = await file('own.yaml', `${SPACE}training: {command: train}\nenqueue: [{lr: 0.01}]\nbudget: {trials: 3}\n`);
    const { points } = await cliJson<Plan>('plan', place, '--points', '50');
    expect(points.map(({ origin }) => origin === 'user')).toEqual([true, false, false]);
    expect(points[0]?.params).toEqual({ lr: 0.01 });
  });

  it('shows what a language model would be asked, and asks nobody', async () => {
    const llm = 'llm: {base_url: "http://127.0.0.1:1/v1", model: some-model, initial_samples: 4}\n';
    const place = await file('llm.yaml', `${SPACE}description: a small net\n${llm}training: {command: train}\nbudget: {trials: 30}\n`);
    const plan = await cliJson<Plan>('plan', place);
    expect(plan.llm?.initialSamples).toBe(4);
    expect(plan.llm?.prompt.user).toContain('Goal: maximize score. a small net');
    expect((await cli('plan', place)).out).toContain('language model, from trial 5 on, at most 2000 calls');
  });

  it('of a file with mistakes is their list, exit 2', async () => {
    const { exit, err } = await cli('plan', await file('bad.yaml', 'objectve: 1\n'));
    expect(exit).toBe(2);
    expect(err).toContain('Did you mean "objective"?');
    expect(err).toContain('[HF-SPEC]');
  });
});
