import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Objective, PrunerConfig } from '../../src/domain/campaign.ts';
import type { TrialRow } from '../../src/domain/trial.ts';
import { prunerEntry } from '../../src/search/pruning/registry.ts';
import { samplerEntry } from '../../src/search/registry.ts';
import { rungsOf } from '../../src/search/rungs.ts';
import type { SamplerState } from '../../src/search/sampler.ts';
import { toSpace } from './optimisers.ts';
import { loadTasks, type Task } from './tasks.ts';

/**
 * Early stopping on learning curves (lcbench): regret of the best checkpoint seen, by epochs spent, with and without pruners, 8 asynchronous workers on a virtual
 * clock. Arguments: --tasks FOLDER --seeds N --every N (tasks) --budget EPOCHS --pruners 'none;asha{…};…' --save NAME
 */
const root = join(import.meta.dirname, '../../../../..');
const { values: args } = parseArgs({
  options: {
    tasks: { type: 'string', default: join(root, '../shared/bench') },
    sampler: { type: 'string', default: 'auto' },
    pruners: {
      type: 'string',
      default: 'none;asha{"min_steps":2,"form":"stop"};asha{"min_steps":2,"form":"promote"};hyperband{"min_steps":2};median{"min_steps":2}',
    },
    seeds: { type: 'string', default: '2' },
    every: { type: 'string', default: '1' },
    budget: { type: 'string', default: '2600' },
    workers: { type: 'string', default: '8' },
    save: { type: 'string' },
  },
});
const MOST_EPOCHS = 52;
const MARKS = [416, 832, 867, 1248, 2600];

interface Job {
  readonly number: number;
  readonly to: number;
  readonly ends: number;
}

/** Regret of the best checkpoint after each epoch spent. */
function run(task: Task, samplerName: string, pruner: PrunerConfig | undefined, seed: number, workers: number, budget: number): number[] {
  const objective: Objective = { metric: 'accuracy', direction: task.direction, reduce: 'best' };
  const space = toSpace(task.space);
  const { sampler } = samplerEntry(samplerName);
  const entry = pruner && prunerEntry(pruner.type);
  const rungs = pruner ? rungsOf(pruner) : [MOST_EPOCHS];
  const sign = task.direction === 'maximize' ? -1 : 1;
  const trials: TrialRow[] = [];
  const decided: Record<number, number> = {};
  const jobs: Job[] = [];
  const regret: number[] = [];
  let state: SamplerState | undefined;
  let best = Number.POSITIVE_INFINITY;
  const set = (number: number, change: Partial<TrialRow>) => {
    trials[number - 1] = { ...(trials[number - 1] as TrialRow), ...change };
  };
  const question = () => ({ pruner: pruner as PrunerConfig, objective, space, trials, decided, seed });
  const begin = (number: number, from: number, to: number, now: number) => {
    const { params } = trials[number - 1] as TrialRow;
    const seconds = (task.at as NonNullable<Task['at']>)(params, MOST_EPOCHS).seconds / MOST_EPOCHS;
    set(number, { state: 'running' });
    jobs.push({ number, to, ends: now + seconds * (to - from) });
  };
  const feed = (now: number) => {
    const promotion = entry?.promote?.(question())[0];
    if (promotion) return begin(promotion.number, promotion.fromStep, promotion.toStep, now);
    const result = sampler({ space, objectives: [objective], trials, count: 1, seed, options: {}, ...(state ? { state } : {}) });
    state = result.state;
    for (const { params, origin } of result.suggestions) {
      trials.push({ number: trials.length + 1, params, origin, state: 'running', attempts: 1, createdAt: now });
      begin(trials.length, 0, rungs[0] as number, now);
    }
  };
  for (let w = 0; w < workers; w++) feed(0);
  while (jobs.length > 0 && regret.length < budget) {
    jobs.sort((a, b) => a.ends - b.ends || a.number - b.number);
    const { number, to, ends } = jobs.shift() as Job;
    const trial = trials[number - 1] as TrialRow;
    const from = trial.step ?? 0;
    let mine = trial.values ? sign * (trial.values[0] as number) : Number.POSITIVE_INFINITY;
    for (let epoch = from + 1; epoch <= to; epoch++) {
      // Curves of the surrogate are smooth: every fourth epoch and the end of each stretch are enough to see the best checkpoint.
      if (epoch % 4 === 0 || epoch === to) mine = Math.min(mine, sign * (task.at as NonNullable<Task['at']>)(trial.params, epoch).value);
      best = Math.min(best, mine);
      regret.push(task.regret(sign * best));
    }
    set(number, { step: to, curve: [...(trial.curve ?? []), [to, sign * mine]], values: [sign * mine] });
    if (to >= MOST_EPOCHS) {
      set(number, { state: 'completed', finishedAt: ends });
      feed(ends);
      continue;
    }
    const verdicts = entry?.judge(question()).filter((v) => v.number === number) ?? [];
    for (const v of verdicts) decided[number] = Math.max(decided[number] ?? 0, v.rung);
    if (verdicts.some((v) => v.action === 'stop')) {
      set(number, { state: 'pruned', finishedAt: ends });
      feed(ends);
    } else begin(number, to, rungs.find((r) => r > to) as number, ends);
  }
  return regret;
}

function configOf(text: string): PrunerConfig | undefined {
  if (text === 'none') return undefined;
  const [, type = '', json = '{}'] = /^([^{]+)(\{.*\})?$/.exec(text) ?? [];
  const { min_steps: minSteps = 2, factor: reductionFactor = 3, ...options } = JSON.parse(json) as Record<string, never>;
  return { type, minSteps, maxSteps: MOST_EPOCHS, reductionFactor, options };
}

const tasks = (await loadTasks(args.tasks)).filter((t) => t.family === 'lcbench').filter((_, i) => i % Number(args.every) === 0);
const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
const lines = [
  `| sampler + pruner | ${MARKS.map((m) => `regret @${m} epochs`).join(' | ')} |`,
  `| --- |${MARKS.map(() => ' --- |').join('')}`,
];
for (const text of args.pruners.split(';')) {
  const runs = tasks.flatMap((task) =>
    Array.from({ length: Number(args.seeds) }, (_, seed) =>
      run(task, args.sampler, configOf(text), seed, Number(args.workers), Number(args.budget)),
    ),
  );
  const row = MARKS.map((m) => (m <= Number(args.budget) ? mean(runs.map((r) => r[Math.min(m, r.length) - 1] as number)).toFixed(4) : '–'));
  lines.push(`| ${args.sampler} + ${text} | ${row.join(' | ')} |`);
  console.log(lines.slice(lines.length === 3 ? 0 : -1).join('\n'));
}
if (args.save) {
  const file = join(root, 'bench/results', `${args.save}.md`);
  mkdirSync(dirname(file), { recursive: true });
  const heading = `# Early stopping\n\n${new Date().toISOString().slice(0, 10)}; ${tasks.length} lcbench tasks × ${args.seeds} seeds, ${args.workers} workers; mean regret of the best checkpoint; 2600 epochs are 50 full trainings.\n`;
  writeFileSync(file, `${heading}\n${lines.join('\n')}\n`);
}
