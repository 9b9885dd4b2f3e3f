#!/usr/bin/env node
// `npm run bench:event-loop`: how long the worker's event loop stands still while samplers, pruners and the report work on large tables. Never fails by the clock;
// keeps its last results in bench/results.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from '../../scripts/build.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
if (!process.argv.includes('--no-build')) await build();
const ours = (file) => import(pathToFileURL(path.join(root, 'dist', file)).href);
const { createSearchThread } = await ours('activities/search-thread.js');
const { writeReport } = await ours('src/report/write.js');
const { answerTo } = await ours('activities/search-answers.js');

const COUNTS = [100, 1000, 10_000];
const BATCH = 12;
const MAX_STEPS = 27;
const space = {
  parameters: [
    { name: 'learning_rate', type: 'float', min: 1e-5, max: 0.1, log: true },
    { name: 'batch_size', type: 'ordinal', values: [32, 64, 128, 256] },
    { name: 'hidden', type: 'int', min: 16, max: 1024, log: true },
    { name: 'layers', type: 'int', min: 1, max: 5 },
    { name: 'dropout', type: 'float', min: 0, max: 0.6 },
    { name: 'weight_decay', type: 'float', min: 1e-6, max: 1e-2, log: true },
    { name: 'activation', type: 'categorical', values: ['relu', 'tanh', 'gelu'] },
  ],
};
const objective = { metric: 'val_accuracy', direction: 'maximize', reduce: 'result' };
const pruner = { type: 'asha', minSteps: 1, maxSteps: MAX_STEPS, reductionFactor: 3, options: { rank: 'model' } };

const spec = {
  version: 1,
  name: 'bench',
  system: { name: 'local', kind: 'local', settings: {} },
  objectives: [objective],
  space,
  sampler: { type: 'auto', options: {} },
  enqueue: [],
  training: { command: ['true'], env: {}, slots: 1 },
  budget: {},
  stop: { minDelta: 0 },
  limits: { hangFactor: 20, hangMinSeconds: 600, graceSeconds: 15, logBytes: 1e6 },
  retries: { infrastructure: 5, trial: 1 },
  workingDirs: { localBase: 'results', launchIterationPattern: 'x', jobPattern: 'x' },
  allowDuplicates: false,
  seed: 0,
};

function lcg(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Ended trials with a curve of four reports each, and `BATCH` running ones that have reached a rung. */
function tableOf(count) {
  const random = lcg(count);
  return Array.from({ length: count + BATCH }, (_, index) => {
    const lr = 10 ** (-5 + 4 * random());
    const params = {
      learning_rate: lr,
      batch_size: space.parameters[1].values[Math.floor(4 * random())],
      hidden: Math.round(16 * 64 ** random()),
      layers: 1 + Math.floor(5 * random()),
      dropout: 0.6 * random(),
      weight_decay: 10 ** (-6 + 4 * random()),
      activation: space.parameters[6].values[Math.floor(3 * random())],
    };
    const value = 0.95 - 0.05 * (Math.log10(lr) + 2.7) ** 2 - 0.02 * random();
    const isRunning = index >= count;
    const curve = (isRunning ? [1, 3] : [1, 3, 9, 27]).map((step) => [step, value - 0.4 / step]);
    const row = { number: index + 1, params, origin: 'gp', attempts: 1, createdAt: 1_795_000_000_000 + index * 1000, curve };
    return isRunning
      ? { ...row, state: 'running' }
      : { ...row, state: 'completed', values: [value], step: 27, runSeconds: 600, finishedAt: 1_795_000_600_000 + index * 1000 };
  });
}

const suggestion = (count) => ({
  kind: 'suggest',
  sampler: 'auto',
  request: { space, objectives: [objective], count, seed: 1, options: {}, parallelism: BATCH },
  taken: [],
});
const judgement = { kind: 'judge', request: { pruner, objective, space, decided: {}, seed: 1 } };

const REPEATS = 3;

/** The best of some rounds: other work on the machine only lengthens a standstill. */
async function standstill(work) {
  const rounds = [];
  for (let round = 0; round < REPEATS; round++) rounds.push(await oneStandstill(() => work(round)));
  return { took: Math.min(...rounds.map(({ took }) => took)), longest: Math.min(...rounds.map(({ longest }) => longest)) };
}

/** Longest standstill of the event loop while `work` runs, and how long it took, milliseconds. */
async function oneStandstill(work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  // It measures from tick to tick: the first one must lie before the work.
  await sleep(20);
  const started = performance.now();
  await work();
  const took = performance.now() - started;
  // The histogram learns of a standstill at the next turn only.
  await sleep(20);
  delay.disable();
  return { took, longest: delay.max / 1e6 };
}

const thread = createSearchThread();
await thread.suggest(suggestion(1), 'warm-up', tableOf(30));
const rows = [];
for (const count of COUNTS) {
  const table = tableOf(count);
  for (const [what, ask, inPlace] of [
    [
      `${BATCH} points, the whole table new`,
      (round) => thread.suggest(suggestion(BATCH), `first-${count}-${round}`, table),
      () => answerTo(suggestion(BATCH), table),
    ],
    [
      `${BATCH} points, one row new`,
      () => thread.suggest(suggestion(BATCH), `first-${count}-0`, [...table.slice(0, -1), { ...table.at(-1), attempts: 2 }]),
    ],
    ['ASHA with a model', () => thread.judge(judgement, `first-${count}-0`, table), () => answerTo(judgement, table)],
  ]) {
    const inThread = await standstill(ask);
    const without = inPlace === undefined ? undefined : await standstill(async () => inPlace());
    rows.push({ trials: count, what, inThread, ...(without === undefined ? {} : { inPlace: without }) });
    console.error(`${count} ${what}: ${inThread.longest.toFixed(1)} ms of ${inThread.took.toFixed(0)} ms`);
  }
}
for (const count of COUNTS.slice(1)) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-event-loop-'));
  const table = tableOf(count).slice(0, count);
  const outcomes = table.map((row) => ({
    ...row,
    metrics: { train_loss: 0.1, val_loss: 0.2 },
    host: 'node',
    slot: 1,
    pilot: 'p1',
    directory: 'trials/t',
    files: [{ path: 'results.json', sizeBytes: 100, sha256: 'f'.repeat(64) }],
  }));
  const startedAt = table[0].createdAt;
  const inThread = await standstill(() =>
    writeReport(folder, {
      campaign: 'bench',
      spec,
      status: 'completed',
      startedAt,
      endedAt: startedAt + count * 1000,
      rows: table,
      outcomes,
    }),
  );
  rows.push({ trials: count, what: 'the report: tables, summary, page', inThread });
  rmSync(folder, { recursive: true });
}
const worst = Math.max(...rows.map(({ inThread }) => inThread.longest));
const ms = (value) => value.toFixed(value < 10 ? 1 : 0);
const lines = [
  '# How long the worker’s event loop stands still',
  '',
  `Longest delay of the event loop (\`perf_hooks.monitorEventLoopDelay\`, 1 ms) while the search thread answers, and the same question answered in place; and while the report is written, piece by piece on the loop itself. ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${os.cpus().length} cores, load ${os.loadavg()[0].toFixed(1)}. Times in milliseconds, the best of ${REPEATS} rounds each, since other work on the machine only lengthens them; an idle loop shows 1 to 3.`,
  '',
  '| ended trials | question | answered in | loop stands still | in place it would |',
  '| --- | --- | --- | --- | --- |',
  ...rows.map(
    ({ trials, what, inThread, inPlace }) =>
      `| ${trials} | ${what} | ${ms(inThread.took)} | ${ms(inThread.longest)} | ${inPlace === undefined ? '' : ms(inPlace.longest)} |`,
  ),
  '',
  `Worst: ${ms(worst)} ms (bar: 50).`,
  '',
];
mkdirSync(path.join(root, 'bench', 'results'), { recursive: true });
writeFileSync(path.join(root, 'bench', 'results', 'event-loop.md'), lines.join('\n'));
console.log(lines.join('\n'));
process.exit(0);
