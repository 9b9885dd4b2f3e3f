#!/usr/bin/env node
// `npm run bench:ux`: what a user waits for and is told. Never fails by the clock; keeps its last results in bench/results/ux.md.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { Client, Connection } from '@temporalio/client';
import pino from 'pino';
import { build } from '../../scripts/build.mjs';
import { GOOD, WRONG } from './wrong-campaigns.mjs';
import { wrongFiles } from './wrong-files.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
process.chdir(root);
await build();
const ours = (file) => import(pathToFileURL(path.join(root, 'dist', file)).href);
const { main } = await ours('src/cli/main.js');
const { startDevServer } = await ours('src/temporal/dev-server.js');
const { findTemporalBinary } = await ours('src/temporal/server-binary.js');
const { startWorkers } = await ours('src/worker.js');
const { createLocalDriver } = await ours('src/systems/local/driver.js');
const { admitText } = await ours('src/spec/admit.js');
const { newCampaignState, newRow, carry } = await ours('src/domain/campaign-state.js');
const { addRow, changeRow } = await ours('src/domain/table.js');
const { writeReport } = await ours('src/report/write.js');

const ROUNDS = 5;
const { stop: _, ...ADMITTED } = admitText(
  GOOD.replace('system: {name: aurora, account: PROJECT, queue: capacity, nodes: 2, walltime: 6h}\n', 'system: local\n'),
  'ux.yaml',
);
// Without the rule that would end a campaign of so many trials.
const SPEC = { ...ADMITTED, stop: { minDelta: 0 } };
const folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-ux-'));

/** Rows of ended trials with the space of the file; every tenth failed. */
function rowsOf(count, curvePoints) {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: count }, (_, index) => {
    const params = { learning_rate: 10 ** (-5 + 4 * random()), batch_size: 64, layers: 1 + Math.floor(8 * random()), optimizer: 'adam' };
    const ended = { attempts: 1, runSeconds: 60 + 600 * random(), finishedAt: Date.now(), step: curvePoints };
    const curve = Array.from({ length: curvePoints }, (_, step) => [step + 1, 1 - 1 / (step + 2) + 0.01 * random()]);
    const isFailed = index % 10 === 9;
    return {
      ...newRow(index + 1, { params, origin: 'sobol' }, Date.now()),
      ...ended,
      ...(isFailed
        ? { state: 'failed', failure: { class: 'exit_code', message: 'The training ended with exit code 3: ValueError' } }
        : { state: 'completed', values: [random()], ...(curvePoints === 0 ? {} : { curve }) }),
    };
  });
}

/** A paused campaign with so many trials, as one run of the workflow hands it to the next; a real server and worker answer for it. */
async function statusSeconds(client, trials) {
  const state = newCampaignState(`ux-${trials}`, Date.now());
  Object.assign(state, { phase: 'paused', spec: SPEC, budget: { trials: trials + 10 } });
  for (const row of rowsOf(trials, 0)) {
    addRow(state.table, { ...row, state: 'queued' });
    changeRow(state.table, row.number, row);
  }
  await client.workflow.start('hpoCampaign', { taskQueue: 'holdfast', workflowId: state.campaign, args: ['ux.yaml', carry(state, SPEC)] });
  const seconds = { status: [], trials: [], process: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const command of ['status', 'trials']) {
      let out = '';
      const write = {
        write: (chunk) => {
          out += chunk;
          return true;
        },
      };
      const started = performance.now();
      const exit = await main([command, state.campaign], {
        env: {},
        input: process.stdin,
        output: write,
        errors: write,
        interrupted: new AbortController().signal,
      });
      seconds[command].push((performance.now() - started) / 1000);
      if (exit !== 0 || !out.includes(command === 'status' ? 'completed' : String(trials))) throw new Error(`${command}: ${out}`);
    }
    const started = performance.now();
    await promisify(execFile)(process.execPath, ['bin/holdfast.mjs', 'status', state.campaign], {
      env: { ...process.env, HOLDFAST_NO_BUILD: '1' },
    });
    seconds.process.push((performance.now() - started) / 1000);
  }
  await client.workflow.getHandle(state.campaign).terminate();
  return Object.fromEntries(Object.entries(seconds).map(([name, all]) => [name, Math.min(...all)]));
}

async function reportSize(trials, curvePoints) {
  const into = path.join(folder, `report-${trials}`);
  mkdirSync(into, { recursive: true });
  const rows = rowsOf(trials, curvePoints);
  const started = performance.now();
  const now = Date.now();
  const { html } = await writeReport(into, { campaign: 'ux', spec: SPEC, status: 'completed', startedAt: now - 1e7, endedAt: now, rows });
  const seconds = (performance.now() - started) / 1000;
  return { bytes: statSync(html).size, packed: gzipSync(readFileSync(html)).length, seconds };
}

/** Commands that the README's first section asks for, up to a first result of the user's own training. */
function commandsOf(readme) {
  const section = readme.slice(readme.indexOf('## Five minutes'), readme.indexOf('## Commands'));
  const blocks = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block.trim().split('\n'));
  const upTo = (lines, last) => lines.slice(0, lines.findIndex((line) => line.includes(last)) + 1).length;
  return { demo: blocks[0].length, own: upTo(blocks[1], 'holdfast best') };
}

let result;
const server = await startDevServer({
  binary: await findTemporalBinary(console.error),
  dbFile: path.join(folder, 'temporal.db'),
  logFile: path.join(folder, 'server.log'),
  isHeadless: true,
});
try {
  process.env.TEMPORAL_ADDRESS = server.address;
  const client = new Client({ connection: await Connection.connect({ address: server.address }) });
  const workers = await startWorkers({
    drivers: new Map([['local', createLocalDriver({ slots: 1, stateDirectory: path.join(folder, 'state') })]]),
    logger: pino({ level: 'silent' }),
    server: { address: server.address, namespace: 'default' },
  });
  const wrong = await wrongFiles(main);
  for (const { title, told } of wrong.failures) console.error(`not as it should be: ${title}: ${told}`);
  result = {
    commands: commandsOf(readFileSync('README.md', 'utf8')),
    wrong,
    status: { 100: await statusSeconds(client, 100), 10000: await statusSeconds(client, 10_000) },
    report: { 32: await reportSize(32, 20), 2000: await reportSize(2000, 20) },
  };
  workers.shutdown();
  await workers.finished;
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

const { commands, wrong, status, report } = result;
const seconds = (value) => `${value.toFixed(2)} s`;
const kilobytes = (value) => `${Math.round(value / 1000)} kB`;
const text = `# What a user waits for and is told

\`npm run bench:ux\`, ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${os.cpus().length} cores (${os.cpus()[0]?.model.trim()}), load ${os.loadavg()[0].toFixed(1)}. Times are the best of ${ROUNDS}, since other work on the machine only lengthens them.

| what | result |
| --- | --- |
| commands from a fresh clone to the first result (the demonstration) | ${commands.demo} |
| commands to the first result of the user's own training (README, "Five minutes") | ${commands.own}, and one file edited |
| \`holdfast status\` at 100 trials, at 10,000 trials (in a process that is already there) | ${seconds(status[100].status)}, ${seconds(status[10000].status)} |
| the same from the shell, Node's start included | ${seconds(status[100].process)}, ${seconds(status[10000].process)} |
| \`holdfast trials\` at 10,000 trials | ${seconds(status[10000].trials)} |
| report.html at 32 trials, at 2,000 trials, 20 epochs each | ${kilobytes(report[32].bytes)}, ${kilobytes(report[2000].bytes)} (${kilobytes(report[2000].packed)} gzipped) |
| making tables and report at 2,000 trials | ${seconds(report[2000].seconds)} |
| ${WRONG.length} wrong campaign files (bench/ux/wrong-campaigns.mjs): refused before anything is started | ${wrong.caught} of ${wrong.of} |
| … with the right place | ${wrong.placed} of ${wrong.of} |
| … with the right place and the right fix | ${wrong.fixed} of ${wrong.of} |

The campaigns of 100 and 10,000 trials are generated tables handed to the workflow as one of its runs hands them to the next; server, worker and command are the real ones. The report's
trials are generated too. The wrong files were written before the messages were looked at; the messages of eight were then made better.
`;
writeFileSync('bench/results/ux.md', text);
console.log(text);
process.exit(0);
