import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Objective, PrunerConfig } from '../../src/domain/campaign.ts';
import type { TrialRow } from '../../src/domain/trial.ts';
import { prunerEntry } from '../../src/search/pruning/registry.ts';
import { reportSteps } from '../../src/search/pruning/report-steps.ts';
import { samplerEntry } from '../../src/search/registry.ts';
import { firstPause } from '../../src/search/rungs.ts';
import type { SamplerState } from '../../src/search/sampler.ts';
import { digestOfSearch } from './code-digest.ts';
import { toSpace } from './optimisers.ts';
import { interval, mean } from './report.ts';
import { loadTasks, type Task } from './tasks.ts';

/**
 * Early stopping on learning curves (lcbench): regret of the best checkpoint seen, by epochs spent, with and without pruners, asynchronous workers on a virtual
 * clock. Every epoch of every worker counts when it ends, also of trainings that are still running; one that goes on from its checkpoint does not
 * pay its epochs again. Pruners know which share of the epochs (--budget) is used. Runs are kept in .cache/bench-search/fidelity.jsonl by the digest of src/search, so a stopped bench goes on.
 * Arguments: --tasks FOLDER --seeds N --first-seed N --every N --offset N (every Nth task from the Nth on, so that a method can be developed on one half and
 * confirmed on the other) --budget EPOCHS --pruners 'none;asha{…};…' --save NAME
 */
const root = join(import.meta.dirname, '../../../../..');
const { values: args } = parseArgs({
  options: {
    tasks: { type: 'string', default: join(root, '../shared/bench') },
    sampler: { type: 'string', default: 'auto' },
    pruners: {
      type: 'string',
      default: 'none;freeze_thaw;asha{"min_steps":4,"form":"promote","factor":2};asha{"min_steps":4,"factor":2};median{"min_steps":4}',
    },
    seeds: { type: 'string', default: '10' },
    'first-seed': { type: 'string', default: '0' },
    every: { type: 'string', default: '1' },
    offset: { type: 'string', default: '0' },
    budget: { type: 'string', default: '2600' },
    workers: { type: 'string', default: '8' },
    save: { type: 'string' },
  },
});
const MOST_EPOCHS = 52;
const MARKS = [416, 867, 1300, 2600];

interface Job {
  readonly number: number;
  readonly to: number;
  readonly seconds: number;
  /** When its next epoch ends. */
  ends: number;
}

interface Outcome {
  /** Of the best checkpoint after each epoch spent. */
  readonly regret: readonly number[];
  /** CPU time of the pruner's and the sampler's part in giving a free place a training. */
  readonly msPerDecision: number;
}

function run(task: Task, samplerName: string, pruner: PrunerConfig | undefined, seed: number, workers: number, budget: number): Outcome {
  const objective: Objective = { metric: 'accuracy', direction: task.direction, reduce: 'best' };
  const at = task.at as NonNullable<Task['at']>;
  const space = toSpace(task.space);
  const { sampler } = samplerEntry(samplerName);
  const entry = pruner && prunerEntry(pruner.type);
  const isHeard = new Set(reportSteps(pruner));
  const sign = task.direction === 'maximize' ? -1 : 1;
  const trials: TrialRow[] = [];
  const decided: Record<number, number> = {};
  let jobs: Job[] = [];
  const regret: number[] = [];
  let state: SamplerState | undefined;
  let best = Number.POSITIVE_INFINITY;
  const set = (number: number, change: Partial<TrialRow>) => {
    trials[number - 1] = { ...(trials[number - 1] as TrialRow), ...change };
  };
  const question = () => ({
    pruner: pruner as PrunerConfig,
    objective,
    space,
    trials,
    decided,
    seed,
    budgetShare: regret.length / budget,
    ...(state ? { samplerState: state } : {}),
  });
  const begin = (number: number, to: number, now: number) => {
    const trial = trials[number - 1] as TrialRow;
    const seconds = at(trial.params, MOST_EPOCHS).seconds / MOST_EPOCHS;
    set(number, { state: 'running' });
    jobs.push({ number, to, seconds, ends: now + seconds });
  };
  let decisions = 0;
  let cpu = 0;
  const feed = (now: number) => {
    const begun = process.cpuUsage();
    decide(now);
    const { user, system } = process.cpuUsage(begun);
    cpu += (user + system) / 1000;
    decisions++;
  };
  const decide = (now: number) => {
    const promotion = entry?.promote?.(question())[0];
    if (promotion) {
      set(promotion.number, { attempts: (trials[promotion.number - 1] as TrialRow).attempts + 1 });
      return begin(promotion.number, promotion.toStep, now);
    }
    const steps = pruner ? { maxSteps: pruner.maxSteps } : {};
    const result = sampler({ space, objectives: [objective], trials, count: 1, seed, options: {}, ...steps, ...(state ? { state } : {}) });
    state = result.state;
    for (const { params, origin } of result.suggestions) {
      trials.push({ number: trials.length + 1, params, origin, state: 'running', attempts: 1, createdAt: now, curve: [] });
      begin(trials.length, firstPause(pruner, seed, trials.length) ?? MOST_EPOCHS, now);
    }
  };
  for (let w = 0; w < workers; w++) feed(0);
  while (jobs.length > 0 && regret.length < budget) {
    jobs.sort((a, b) => a.ends - b.ends || a.number - b.number);
    const job = jobs[0] as Job;
    const { number, to, ends: now } = job;
    const trial = trials[number - 1] as TrialRow;
    const step = (trial.step ?? 0) + 1;
    const { value } = at(trial.params, step);
    const mine = trial.values ? Math.min(sign * (trial.values[0] as number), sign * value) : sign * value;
    best = Math.min(best, mine);
    regret.push(task.regret(sign * best));
    set(number, { step, values: [sign * mine], ...(isHeard.has(step) ? { curve: [...(trial.curve ?? []), [step, value]] } : {}) });
    job.ends += job.seconds;
    const verdicts = isHeard.has(step) ? (entry?.judge(question()).filter((v) => v.number === number) ?? []) : [];
    for (const v of verdicts) decided[number] = Math.max(decided[number] ?? 0, v.rung);
    const isPaused = step >= to || verdicts.some((v) => v.action === 'stop');
    if (step < MOST_EPOCHS && !isPaused) continue;
    jobs = jobs.filter((j) => j !== job);
    set(number, { state: step >= MOST_EPOCHS ? 'completed' : 'pruned', finishedAt: now });
    feed(now);
  }
  return { regret, msPerDecision: cpu / decisions };
}

function configOf(text: string): PrunerConfig | undefined {
  if (text === 'none') return undefined;
  const [, type = '', json = '{}'] = /^([^{]+)(\{.*\})?$/.exec(text) ?? [];
  const defaults = prunerEntry(type).defaults?.(MOST_EPOCHS) ?? { minSteps: 1, reductionFactor: 3 };
  const {
    min_steps: minSteps = defaults.minSteps,
    factor: reductionFactor = defaults.reductionFactor,
    ...options
  } = JSON.parse(json) as Record<string, never>;
  return { type, minSteps, maxSteps: MOST_EPOCHS, reductionFactor, options };
}

interface FidelityRecord {
  readonly key: string;
  /** At MARKS up to the budget. */
  readonly regret: readonly number[];
  readonly msPerDecision: number;
}

const cacheFile = join(root, '.cache/bench-search/fidelity.jsonl');
const known = new Map<string, FidelityRecord>();
if (existsSync(cacheFile))
  for (const line of readFileSync(cacheFile, 'utf8').split('\n')) {
    if (!line.endsWith('}')) continue;
    const record = JSON.parse(line) as FidelityRecord;
    known.set(record.key, record);
  }
const code = digestOfSearch();
const budget = Number(args.budget);
const marks = MARKS.filter((m) => m <= budget);
const tasks = (await loadTasks(args.tasks))
  .filter((t) => t.family === 'lcbench')
  .filter((_, i) => i % Number(args.every) === Number(args.offset));
if (tasks.length === 0) throw new Error('No task is left: --offset must be below --every.');
const seeds = Array.from({ length: Number(args.seeds) }, (_, i) => Number(args['first-seed']) + i);
const texts = args.pruners.split(';');
const results = new Map<string, FidelityRecord[]>(texts.map((text) => [text, []]));
for (const seed of seeds)
  for (const text of texts)
    for (const task of tasks) {
      const key = [args.sampler, text, task.id, args.workers, seed, budget, code].join('|');
      let record = known.get(key);
      if (!record) {
        const { regret: curve, msPerDecision } = run(task, args.sampler, configOf(text), seed, Number(args.workers), budget);
        const regret = marks.map((m) => Number((curve[Math.min(m, curve.length) - 1] as number).toPrecision(5)));
        record = { key, regret, msPerDecision };
        appendFileSync(cacheFile, `${JSON.stringify(record)}\n`);
        console.error(`${text} ${task.id} s${seed} ${record.regret.join(' ')}`);
      }
      results.get(text)?.push(record);
    }

const lines = [
  `| sampler + pruner | ${marks.map((m) => `regret @${m} epochs`).join(' | ')} | CPU ms per decision |`,
  `| --- |${marks.map(() => ' --- |').join('')} --- |`,
];
for (const [text, runs] of results) {
  const row = marks.map((_, k) => {
    const values = runs.map((r) => r.regret[k] as number);
    const [low, high] = interval(values).map((x) => x.toFixed(3));
    return `${mean(values).toFixed(4)} [${low}–${high}]`;
  });
  const ms = mean(runs.map((r) => r.msPerDecision)).toFixed(0);
  lines.push(`| ${args.sampler} + ${text} | ${row.join(' | ')} | ${ms} |`);
}
console.log(lines.join('\n'));
if (args.save) {
  const file = join(root, 'bench/results', `${args.save}.md`);
  mkdirSync(dirname(file), { recursive: true });
  const heading = `# Early stopping\n\n${new Date().toISOString().slice(0, 10)}; ${tasks.length} lcbench tasks × ${seeds.length} seeds, ${args.workers} workers; mean regret of the best checkpoint and its 95 % bootstrap interval; 2600 epochs are 50 full trainings.\n`;
  writeFileSync(file, `${heading}\n${lines.join('\n')}\n`);
}
