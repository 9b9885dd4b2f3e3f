import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import { serializeJson } from '../../src/systems/globus/serialize.ts';
import { offer, type Rig, startRig } from '../../test/support/globus-rig.ts';

/**
 * What the client costs: requests per poll and per submission for 1, 100 and 1,000 tasks in flight, and its processor and wall time per task. The
 * service is the stand-in of the tests on loopback in the same process, so the times include the stand-in's own work: upper bounds for the client.
 */
interface Row {
  readonly inFlight: number;
  readonly submitRequests: number;
  readonly tasksPerSubmit: number;
  readonly submitMsPerTask: number;
  readonly requestsPerPoll: number;
  readonly pollMs: number;
  readonly pollCpuMsPerTask: number;
  readonly resultCpuMsPerTask: number;
  readonly bytesPerTask: number;
}

const POLLS = 10;

async function measure(rig: Rig, inFlight: number): Promise<Row> {
  const campaign = `bench-${inFlight}`;
  rig.endpoint.setOnline(true);
  await rig.driver.prepareLaunch(rig.plan(campaign), () => undefined);
  await rig.endpoint.idle();
  rig.endpoint.setOnline(false);
  const exchanges = rig.service.exchanges;
  const orders = Array.from({ length: inFlight }, (_, index) => ({ kind: 'offer' as const, campaign, offer: offer(campaign, index + 1) }));

  const beforeSubmit = exchanges.length;
  const submitStart = performance.now();
  for (let from = 0; from < orders.length; from += 200) await rig.driver.send(orders.slice(from, from + 200));
  const submitMs = performance.now() - submitStart;
  const submits = exchanges.slice(beforeSubmit).filter((exchange) => exchange.path.endsWith('/submit'));
  const bytes = submits.reduce((sum, exchange) => sum + Buffer.byteLength(JSON.stringify(exchange.body)), 0);

  let cursor: string | undefined;
  const look = async (acks: Parameters<typeof rig.driver.look>[0]['acks'] = []) => {
    const result = await rig.driver.look(
      { ...(cursor === undefined ? {} : { cursor }), acks, pilots: [], waitSeconds: 0 },
      new AbortController().signal,
    );
    cursor = result?.cursor ?? cursor;
    return result;
  };
  await look();
  const beforePolls = exchanges.length;
  const pollStart = performance.now();
  const cpuBefore = process.cpuUsage();
  for (let poll = 0; poll < POLLS; poll++) await look();
  const cpu = process.cpuUsage(cpuBefore);
  const pollMs = (performance.now() - pollStart) / POLLS;
  const requestsPerPoll = (exchanges.length - beforePolls) / POLLS;

  // All end between two polls, as after a night offline.
  for (const task of rig.service.tasks.values()) {
    const name = /trial-(\d+)/.exec(task.payload)?.[0];
    if (task.status === 'success' || name === undefined || !task.payload.includes(campaign)) continue;
    task.result = serializeJson({ state: 'ended', name: `${name}.1`, record: record(campaign, name), files: {} });
    task.status = 'success';
  }
  const resultBefore = process.cpuUsage();
  const seen = await look();
  const resultCpu = process.cpuUsage(resultBefore);
  if (seen?.ended.length !== inFlight) throw new Error(`${seen?.ended.length} of ${inFlight} ends were seen`);
  await look(seen.ended.map(({ trial, attempt }) => ({ campaign, trial, attempt })));
  await rig.driver.closeLaunch(campaign);
  return {
    inFlight,
    submitRequests: submits.length,
    tasksPerSubmit: round(inFlight / submits.length),
    submitMsPerTask: round(submitMs / inFlight),
    requestsPerPoll: round(requestsPerPoll),
    pollMs: round(pollMs),
    pollCpuMsPerTask: round((cpu.user + cpu.system) / 1000 / POLLS / inFlight),
    resultCpuMsPerTask: round((resultCpu.user + resultCpu.system) / 1000 / inFlight),
    bytesPerTask: Math.round(bytes / inFlight),
  };
}

function record(campaign: string, trial: string): unknown {
  const curve = Array.from({ length: 30 }, (_, index) => [index + 1, 0.5]);
  const base = {
    version: 1,
    campaign,
    trial,
    attempt: 1,
    status: 'completed',
    exit_code: 0,
    signal: null,
    error: null,
    values: [0.5],
    metrics: { score: 0.5 },
    curve,
    step: 30,
  };
  const times = {
    started_at: 1,
    ended_at: 2,
    run_seconds: 1,
    pilot: 'one',
    host: 'node01',
    slot: 0,
    resumed_from: null,
    has_checkpoint: false,
  };
  const files = ['results.json', 'metrics.jsonl', 'stdout.log', 'stderr.log'].map((path) => ({ path, size: 100, sha256: 'a'.repeat(64) }));
  return { ...base, ...times, directory: `trials/job_${trial}/attempt-1`, files };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

const loadBefore = loadavg()[0] ?? 0;
const rig = await startRig({
  times: { settle: 0.05, stale: 3, heartbeat: 0.3, agentPoll: 0.05, health: 3_600, lossCheck: 3_600, control: 60, close: 20 },
});
const rows: Row[] = [];
try {
  for (const inFlight of [1, 100, 1_000]) rows.push(await measure(rig, inFlight));
} finally {
  await rig.end();
}
console.table(rows);
if (process.argv.includes('--save')) {
  const folder = join(packageRoot(), 'bench/results');
  mkdirSync(folder, { recursive: true });
  const header = [
    'tasks in flight',
    'submit requests',
    'tasks per submit',
    'submit ms/task',
    'requests per poll',
    'ms per poll',
    'poll CPU ms/task',
    'result CPU ms/task',
    'bytes/task',
  ];
  const lines = rows.map((row) => `| ${Object.values(row).join(' | ')} |`);
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const text = [
    `# Globus Compute client (${new Date().toISOString().slice(0, 10)}; ${machine}; Node ${process.version}; load ${loadBefore.toFixed(2)})`,
    '',
    'Made by `npm run bench:globus -- --save`; the stand-in service ran in the same process, so times are upper bounds. Requests are counted, whatever the load.',
    '',
    'The real service allows a user 20 requests in 10 s, for all campaigns together: polls of 1,000 tasks (128 ids a request, as the SDK asks) leave room for two a',
    'window. Tasks per submission are what the system workflow sends at once (200 orders) in the SDK’s batches of 128.',
    '',
    `| ${header.join(' | ')} |`,
    `|${header.map(() => ' ---: |').join('')}`,
    ...lines,
    '',
  ].join('\n');
  writeFileSync(join(folder, 'globus.md'), text);
}
