#!/usr/bin/env node
// `npm run bench:engine`: what the engine costs, as ratios measured in one run. Never fails by the clock; keeps its last results in bench/results.
// On a busy machine the parts can be measured one at a time (`-- --parts=refill`): each keeps its own date and load.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import pino from 'pino';
import { build } from '../../scripts/build.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const option = (name, fallback) => Number(process.argv.find((word) => word.startsWith(`--${name}=`))?.split('=')[1] ?? fallback);
const TRIALS = option('trials', 300);
const WIDTH = option('width', 20);
const ROUNDS = option('rounds', 2);
const IN_FLIGHT = option('in-flight', 1000);
const PARTS = (process.argv.find((word) => word.startsWith('--parts='))?.split('=')[1] ?? 'speed,refill,memory').split(',');
const NOOP = ['/bin/sh', '-c', 'echo \'{"x":1}\' > "$HOLDFAST_OUT/results.json"'];

if (!process.argv.includes('--no-build')) await build();
const ours = (file) => import(pathToFileURL(path.join(root, 'dist', file)).href);
const { startDevServer } = await ours('src/temporal/dev-server.js');
const { findTemporalBinary } = await ours('src/temporal/server-binary.js');
const { createLocalDriver } = await ours('src/systems/local/driver.js');
const { startWorkers } = await ours('src/worker.js');

const folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-bench-'));
const server = await startDevServer({
  binary: await findTemporalBinary(console.error),
  dbFile: path.join(folder, 'temporal.db'),
  logFile: path.join(folder, 'server.log'),
  isHeadless: true,
});
const client = new Client({ connection: await Connection.connect({ address: server.address }) });
const driver = createLocalDriver({ slots: WIDTH, stateDirectory: path.join(folder, 'state'), workingDirectory: folder });
const workers = await startWorkers({
  drivers: new Map([['local', driver]]),
  logger: pino({ level: 'silent' }),
  server: { address: server.address, namespace: 'default' },
  maxCachedWorkflows: 5000,
});
const floorConnection = await NativeConnection.connect({ address: server.address });
const floorWorker = await Worker.create({
  connection: floorConnection,
  taskQueue: 'floor',
  workflowsPath: path.join(root, 'bench/engine/floor-workflows.mjs'),
  activities: { noop: async () => undefined },
});
const floorRun = floorWorker.run();

const specification = (change) => ({
  version: 1,
  name: 'bench',
  system: 'local',
  objective: { metric: 'x', direction: 'maximize' },
  search_space: { x: { type: 'float', min: 0, max: 1 } },
  sampler: { type: 'random', seed: 1 },
  training: { command: NOOP },
  ...change,
});

async function floor(number) {
  const started = performance.now();
  await client.workflow.execute('floorParent', { taskQueue: 'floor', workflowId: `floor-${number}`, args: [TRIALS, WIDTH] });
  return TRIALS / ((performance.now() - started) / 1000);
}

async function campaign(number) {
  const started = performance.now();
  await client.workflow.execute('hpoCampaign', {
    taskQueue: 'holdfast',
    workflowId: `bench-${number}`,
    args: [specification({ budget: { trials: TRIALS }, concurrency: WIDTH })],
  });
  return TRIALS / ((performance.now() - started) / 1000);
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Events of a workflow over all runs of its chain. */
async function events(workflowId) {
  let sum = 0;
  for await (const { runId } of client.workflow.list({ query: `WorkflowId = "${workflowId}"` })) {
    sum += (await client.workflow.getHandle(workflowId, runId).describe()).historyLength;
  }
  return sum;
}

/** Trials per second against the floor, and events per trial, of campaigns of no-op trials. */
async function speed() {
  const trialsPerSecond = { floor: [], campaign: [] };
  await floor('warm-up');
  await campaign('warm-up');
  const systemBefore = await events('system/local');
  for (let round = 1; round <= ROUNDS; round += 1) {
    trialsPerSecond.floor.push(await floor(round));
    trialsPerSecond.campaign.push(await campaign(round));
  }
  const some = [1, 2, 3].map((third) => `bench-${ROUNDS}/trial-${String(Math.floor((TRIALS * third) / 4)).padStart(4, '0')}`);
  const ofTrials = await Promise.all(some.map(events));
  return {
    trials: TRIALS,
    width: WIDTH,
    trialsPerSecond,
    shareOfFloor: median(trialsPerSecond.campaign.map((each, index) => each / trialsPerSecond.floor[index])),
    eventsPerTrial: {
      campaign: (await events(`bench-${ROUNDS}`)) / TRIALS,
      trial: ofTrials.reduce((a, b) => a + b) / ofTrials.length,
      system: ((await events('system/local')) - systemBefore) / (TRIALS * ROUNDS),
    },
  };
}

/** Seconds from a trial's end to the start of the next one on the slot that it freed: two slots, trials of half a second. */
async function refill() {
  const id = 'bench-refill';
  await client.workflow.execute('hpoCampaign', {
    taskQueue: 'holdfast',
    workflowId: id,
    args: [specification({ budget: { trials: 24 }, concurrency: 2, training: { command: ['/bin/sh', '-c', `sleep 0.5; ${NOOP[2]}`] } })],
  });
  const results = path.join(folder, 'results');
  const launch = path.join(
    results,
    readdirSync(results).find((name) => name.endsWith(id)),
  );
  const runs = [];
  for (const trial of readdirSync(path.join(launch, 'trials'))) {
    const attempt = path.join(launch, 'trials', trial, 'attempt-1');
    const collected = JSON.parse(readFileSync(findRecord(launch, trial)));
    runs.push({ slot: collected.slot, start: statSync(path.join(attempt, 'started')).mtimeMs, end: collected.ended_at });
  }
  const gaps = [];
  for (const slot of new Set(runs.map((run) => run.slot))) {
    const own = runs.filter((run) => run.slot === slot).toSorted((a, b) => a.start - b.start);
    for (let i = 1; i < own.length; i += 1) gaps.push((own[i].start - own[i - 1].end) / 1000);
  }
  return { median: median(gaps), max: Math.max(...gaps), gaps: gaps.length };
}

function findRecord(launch, trial) {
  const name = `${trial.replace(/^job_/, '')}.1.json`;
  const folders = ['collected', 'done'].map((each) => path.join(launch, 'spool', each));
  return path.join(
    folders.find((each) => readdirSync(each).includes(name)),
    name,
  );
}

/** Resident memory of this process (worker, client and agent's driver in one) before and with so many trials in flight. */
async function memory() {
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const id = 'bench-memory';
  const handle = await client.workflow.start('hpoCampaign', {
    taskQueue: 'holdfast',
    workflowId: id,
    args: [specification({ budget: { trials: IN_FLIGHT }, concurrency: IN_FLIGHT, training: { command: ['/bin/sleep', '600'] } })],
  });
  for (;;) {
    const status = await handle.query('status').catch(() => undefined);
    if (status?.inFlight.length === IN_FLIGHT) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const after = process.memoryUsage().rss;
  await handle.signal('stop');
  await handle.result().catch(() => undefined);
  return { trials: IN_FLIGHT, beforeMiB: before / 2 ** 20, withMiB: after / 2 ** 20, perTrialKiB: (after - before) / 1024 / IN_FLIGHT };
}

const resultsFile = path.join(root, 'bench/results/engine.json');
const known = existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile)) : {};
const results = { speed: known.speed, refill: known.refill, memory: known.memory };
const measures = { speed, refill, memory };
for (const part of PARTS) {
  const load = os.loadavg()[0];
  const figures = await measures[part]();
  results[part] = { ...(await circumstances()), load: [load, os.loadavg()[0]], ...figures };
  console.log(part, JSON.stringify(results[part]));
}

async function circumstances() {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${os.cpus().length} × ${os.cpus()[0]?.model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    temporalSdk: JSON.parse(readFileSync(path.join(root, 'node_modules/@temporalio/worker/package.json'))).version,
    temporalCli: execFileSync(await findTemporalBinary(() => undefined), ['--version'], { encoding: 'utf8' }).trim(),
  };
}

const round = (value) => Number(value.toPrecision(3));
const when = (part) => `${part.date}, load ${part.load.map(round).join(' to ')}`;
const rows = [];
if (results.speed !== undefined) {
  const { shareOfFloor, trialsPerSecond, eventsPerTrial } = results.speed;
  const speeds = `${trialsPerSecond.campaign.map(round).join(', ')} against ${trialsPerSecond.floor.map(round).join(', ')}`;
  rows.push(['no-op trials per second, share of the floor', `${round(shareOfFloor)} (${speeds})`, '≥ 0.5', when(results.speed)]);
  for (const [name, aim] of Object.entries({ campaign: 6, trial: 25, system: 6 }))
    rows.push([`events per trial: ${name}`, round(eventsPerTrial[name]), `≤ ${aim}`, when(results.speed)]);
}
if (results.refill !== undefined) {
  const { median: middle, max, gaps } = results.refill;
  const title = "seconds from a trial's end to the next start on its slot";
  rows.push([title, `median ${round(middle)}, longest ${round(max)} of ${gaps}`, '< 0.3', when(results.refill)]);
}
if (results.memory !== undefined) {
  const { trials, beforeMiB, withMiB, perTrialKiB } = results.memory;
  const figure = `${Math.round(withMiB)} MiB (${Math.round(beforeMiB)} before; ${round(perTrialKiB)} KiB a trial)`;
  rows.push([`worker memory with ${trials} trials in flight`, figure, '', when(results.memory)]);
}
const { machine, node, temporalSdk, temporalCli } = results[PARTS[0]];
const lines = [
  '# Engine',
  '',
  `${machine}; Node ${node}; SDK ${temporalSdk}; ${temporalCli}. \`npm run bench:engine\` measures again.`,
  '',
  '| figure | measured | aim | when |',
  '| --- | --- | --- | --- |',
  ...rows.map((row) => `| ${row.join(' | ')} |`),
];
console.log(lines.join('\n'));
mkdirSync(path.dirname(resultsFile), { recursive: true });
writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
writeFileSync(path.join(root, 'bench/results/engine.md'), `${lines.join('\n')}\n`);

workers.shutdown();
floorWorker.shutdown();
await Promise.all([workers.finished, floorRun]);
await floorConnection.close();
await client.connection.close();
await server.stop();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
