import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { TrialRow } from '../../src/domain/trial.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { eventually } from '../support/engine.ts';
import { type Lab, seededRandom, startLab } from '../support/lab.ts';

const SEED = Number(process.env.HOLDFAST_CHAOS_SEED ?? Date.now() % 1_000_000);
const PYTHON = process.env.HOLDFAST_TORCH_PYTHON ?? '/usr/bin/python3';
const CODE = path.resolve('remote/training/cifar100');
const hasTorch = spawnSync(PYTHON, ['-c', 'import torch, numpy']).status === 0;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Results {
  readonly objective: number;
  readonly synthetic: boolean;
  readonly resumed: { readonly epoch: number };
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  readonly training_history: readonly { readonly epoch: number; readonly val_accuracy: number; readonly train_loss: number }[];
}

const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

/** The trapezoid over epochs, divided by their number less one: row M1, worked out anew. */
function areaUnder(values: readonly number[]): number {
  const pairs = values.slice(1).map((value, index) => (value + (values[index] as number)) / 2);
  return values.length === 1 ? (values[0] as number) : pairs.reduce((sum, value) => sum + value, 0) / pairs.length;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;

/** The shipped campaign, as `holdfast run` would send it, with the bundle's folder found from the lab's. */
function smokeCampaign(): Record<string, unknown> {
  const source = parse(readFileSync('config/campaigns/cifar100-local-smoke.yaml', 'utf8'));
  const command = source.training.command.replace(/\$\{HOLDFAST_TORCH_PYTHON:-[^}]*\}/, PYTHON);
  return { ...source, training: { ...source.training, command, bundle: CODE } };
}

describe.runIf(hasTorch)(`the smoke campaign with agents and trainings killed at random (HOLDFAST_CHAOS_SEED=${SEED})`, () => {
  const random = seededRandom(SEED);
  let lab: Lab;
  let result: CampaignResult;
  let rows: readonly TrialRow[];

  const launch = () => {
    const results = path.join(lab.folder, 'results');
    return path.join(results, readdirSync(results)[0] as string);
  };
  const attemptFolder = (number: number, attempt: number) => {
    const trials = path.join(launch(), 'trials');
    const name = readdirSync(trials).find((folder) => folder.endsWith(String(number).padStart(4, '0'))) as string;
    return path.join(trials, name, `attempt-${attempt}`);
  };
  const resultsOf = (row: TrialRow): Results => readJson(path.join(attemptFolder(row.number, row.attempts), 'results.json'));

  /** Trainings that run and have reported at least one epoch. */
  const trainings = (): number[] => {
    const trials = path.join(launch(), 'trials');
    if (!existsSync(trials)) return [];
    return readdirSync(trials).flatMap((trial) =>
      readdirSync(path.join(trials, trial))
        .filter((name) => name.startsWith('attempt-'))
        .flatMap((name) => {
          const folder = path.join(trials, trial, name);
          const isRunning = existsSync(path.join(folder, 'process.json')) && !existsSync(path.join(folder, 'exit.json'));
          if (!isRunning || !existsSync(path.join(folder, 'checkpoint', 'checkpoint.json'))) return [];
          const { pid } = readJson(path.join(folder, 'process.json')) as { pid: number };
          try {
            process.kill(pid, 0);
            return [pid];
          } catch {
            return [];
          }
        }),
    );
  };

  beforeAll(async () => {
    lab = await startLab({ slots: 2 });
    await lab.start('smoke', smokeCampaign());
    let isOver = false;
    const ended = lab.result('smoke', 900).finally(() => {
      isOver = true;
    });
    for (let kills = 0; kills < 4 && !isOver; ) {
      const pid = await eventually(() => (isOver ? -1 : trainings()[0]), 300, 'a training with a checkpoint');
      if (pid === -1) break;
      await sleep(random() * 400);
      const victim = kills === 1 ? lab.agents().find(({ slots }) => slots > 0)?.pid : pid;
      try {
        if (victim === undefined) throw new Error('no agent at this moment');
        process.kill(victim, 'SIGKILL');
        kills += 1;
      } catch {
        // It ended by itself in between: another one is killed.
        continue;
      }
      await sleep(500);
    }
    result = await ended;
    rows = await lab.rows('smoke');
  }, 1_200_000);
  afterAll(() => lab?.close());

  it('completes every trial, in spite of the kills', () => {
    expect(result.counts).toMatchObject({ completed: 8, failed: 0 });
    expect(rows.some((row) => row.attempts > 1)).toBe(true);
  });

  it('has, for each trial, the objective that its history gives, over all epochs, marked as synthetic', () => {
    for (const row of rows) {
      const { training_history: history, objective, synthetic } = resultsOf(row);
      expect(history.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6]);
      expect(row.values?.[0]).toBe(objective);
      expect(objective).toBeCloseTo(areaUnder(history.map(({ val_accuracy }) => val_accuracy)), 12);
      expect(synthetic).toBe(true);
    }
  });

  it('has trials that are marked as synthetic in the summary, the tables and the best trials', () => {
    expect(rows.every((row) => row.synthetic === true)).toBe(true);
    expect(result.top.length).toBeGreaterThan(0);
    expect(result.top.every((trial) => trial.synthetic === true)).toBe(true);
    const summary = readJson(path.join(launch(), 'summary.json'));
    expect(summary).toMatchObject({ synthetic_trials: 8, best: { synthetic: true } });
    const lines = readFileSync(path.join(launch(), 'trials.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).synthetic)).toEqual(Array(8).fill(true));
    expect(readFileSync(path.join(launch(), 'report.html'), 'utf8')).toContain('"synthetic_trials":8');
  });

  it('has for a trial that went on from a checkpoint the numbers of an undisturbed run, bit for bit', () => {
    const resumed = rows.find((row) => row.attempts > 1 && resultsOf(row).resumed.epoch > 0);
    expect(resumed, 'no trial went on from a checkpoint').toBeDefined();
    const results = resultsOf(resumed as TrialRow);
    const out = path.join(lab.folder, 'undisturbed');
    mkdirSync(out);
    const { params } = resumed as TrialRow;
    const words = (smokeCampaign().training as { command: string }).command.trim().split(/\s+/).slice(2);
    const flags = Object.entries(params).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const done = spawnSync(PYTHON, [path.join(CODE, 'train.py'), ...words, ...flags, '--output-dir', out], {
      env: { ...process.env, OMP_NUM_THREADS: '1' },
      encoding: 'utf8',
    });
    expect(done.status, done.stderr).toBe(0);
    const alone = readJson(path.join(out, 'results.json')) as Results;
    const numbers = ({ training_history }: Results) => training_history.map(({ train_loss, val_accuracy }) => [train_loss, val_accuracy]);
    expect(numbers(results)).toEqual(numbers(alone));
    expect(results.objective).toBe(alone.objective);
  }, 300_000);

  it('finds a best trial that beats the median', () => {
    const values = rows.map((row) => row.values?.[0] as number);
    const best = Math.max(...values);
    console.log(`smoke campaign: best val_auc ${best.toFixed(4)}, median ${median(values).toFixed(4)}, ${result.elapsedSeconds} s`);
    expect(result.best?.values[0]).toBe(best);
    expect(best).toBeGreaterThan(median(values));
  });
});
