import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { inject } from 'vitest';
import type { TrialRow } from '../../src/domain/trial.ts';
import { type DevServer, startDevServer } from '../../src/temporal/dev-server.ts';
import { type CampaignResult, trialsQuery } from '../../workflows/messages.ts';
import { commandOf } from './processes.ts';
import { freePort } from './sshd.ts';

const TRAINING = `
import json, os, sys, time
p = json.load(open(os.environ["HOLDFAST_PARAMS"]))
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(fd, ("%s.%s\\n" % (os.environ["HOLDFAST_TRIAL"], os.environ["HOLDFAST_ATTEMPT"])).encode()); os.close(fd)
value = 1 - (p["x"] - 0.3) ** 2 - 0.1 * p["k"]
with open(os.path.join(os.environ["HOLDFAST_OUT"], "metrics.jsonl"), "a") as out:
    for epoch in (1, 2, 3):
        time.sleep(float(sys.argv[2]) / 3)
        out.write(json.dumps({"epoch": epoch, "score": value * epoch / 3}) + "\\n"); out.flush()
while len(sys.argv) > 3 and os.stat(sys.argv[3]).st_size < int(os.environ["HOLDFAST_TRIAL"].split("-")[1]):
    time.sleep(0.02)
json.dump({"score": value}, open(os.path.join(os.environ["HOLDFAST_OUT"], "results.json.tmp"), "w"))
os.rename(os.path.join(os.environ["HOLDFAST_OUT"], "results.json.tmp"), os.path.join(os.environ["HOLDFAST_OUT"], "results.json"))
`;

/**
 * The whole of Holdfast as a user has it, in parts that can be killed: a Temporal server process, a worker process, detached agents, and a
 * training that notes each of its starts in a file of its own. That file is the judge of "started once". A training with a third word, a file
 * of the lab's, ends only when `letEnd` has said that so many trials may: no campaign is over before the test has done with it.
 */
export interface Lab {
  readonly folder: string;
  readonly server: () => DevServer;
  readonly client: () => Client;
  readonly worker: () => ChildProcess;
  startWorker(): Promise<void>;
  killWorker(): Promise<void>;
  /** SIGKILL, then a new server on the same file and port. */
  bounceServer(): Promise<void>;
  /** Processes of running agents, found by their heartbeats; one without slots only settles what an earlier one left, and leaves. */
  agents(): { readonly pid: number; readonly launch: string; readonly pilot: string; readonly slots: number }[];
  /** Trials that this pilot has brought to an end. */
  finishedBy(agent: { readonly launch: string; readonly pilot: string }): number;
  campaign(change: object): object;
  start(id: string, source: object): Promise<void>;
  result(id: string, seconds: number): Promise<CampaignResult>;
  rows(id: string): Promise<readonly TrialRow[]>;
  /** `trial.attempt` of every start of the training, per campaign's file. */
  starts(name: string): string[];
  /** Trials up to this number may end, of trainings whose third word is this file; before their start. */
  letEnd(name: string, trials: number): void;
  close(): Promise<void>;
}

export async function startLab(options: { readonly slots: number; readonly settings?: readonly string[] }): Promise<Lab> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-lab-'));
  writeFileSync(path.join(folder, 'train.py'), TRAINING);
  const serverOptions = {
    binary: inject('temporalBinary'),
    dbFile: path.join(folder, 'temporal.db'),
    logFile: path.join(folder, 'server.log'),
    isHeadless: true,
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  };
  const port = await freePort();
  let server = await startDevServer({ ...serverOptions, port, mustHavePort: true });
  // No retries inside the client: one that waits for its next try throws when its connection is closed, and servers are killed here.
  const connect = () => Connection.connect({ address: server.address, interceptors: [] });
  let connection = await connect();
  let client = new Client({ connection });
  let worker: ChildProcess | undefined;

  const settings = () => ({
    address: server.address,
    bundleFile: inject('bundleFile'),
    stateDirectory: path.join(folder, 'state'),
    workingDirectory: folder,
    slots: options.slots,
    logFile: path.join(folder, 'worker.log'),
  });

  const lab: Lab = {
    folder,
    server: () => server,
    client: () => client,
    worker: () => worker as ChildProcess,
    async startWorker() {
      const main = fileURLToPath(new URL('worker-main.mjs', import.meta.url));
      const child = spawn(process.execPath, [main, JSON.stringify(settings())], { stdio: ['ignore', 'pipe', 'inherit'], cwd: folder });
      worker = child;
      await new Promise<void>((resolve, reject) => {
        child.stdout?.once('data', () => resolve());
        child.once('exit', (code, signal) => reject(new Error(`the worker ended with ${code ?? signal}`)));
      }).catch((error: Error) => {
        if (!child.killed) throw error;
      });
    },
    async killWorker() {
      const child = worker as ChildProcess;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the worker has ended by itself with ${child.exitCode ?? child.signalCode}`);
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGKILL');
      await gone;
    },
    async bounceServer() {
      server.kill();
      await server.exited;
      server = await startDevServer({ ...serverOptions, port, mustHavePort: true });
      await connection.close();
      connection = await connect();
      client = new Client({ connection });
    },
    agents() {
      const results = path.join(folder, 'results');
      const agents: { pid: number; launch: string; pilot: string; slots: number }[] = [];
      for (const launch of list(results)) {
        for (const pilot of list(path.join(results, launch, 'pilots'))) {
          // Not the file that a killed agent was writing its next heartbeat to: that one may be empty, for ever.
          for (const file of list(path.join(results, launch, 'pilots', pilot)).filter((name) => /^heartbeat.*\.json$/.test(name))) {
            const beat = JSON.parse(readFileSync(path.join(results, launch, 'pilots', pilot, file), 'utf8'));
            if (beat.state !== 'ended' && commandOf(String(beat.pid)).includes(folder))
              agents.push({ pid: beat.pid, launch, pilot, slots: beat.slots });
          }
        }
      }
      return agents;
    },
    finishedBy({ launch, pilot }) {
      const spool = path.join(folder, 'results', launch, 'spool');
      const records = ['done', 'collected'].flatMap((name) => list(path.join(spool, name)).map((file) => path.join(spool, name, file)));
      return records.filter((file) => file.endsWith('.json') && pilotOf(file) === pilot).length;
    },
    campaign: (change) => ({
      version: 1,
      name: 'chaos',
      system: 'local',
      objective: { metric: 'score', direction: 'maximize' },
      search_space: { x: { type: 'float', min: 0, max: 1 }, k: { type: 'int', min: 0, max: 9 } },
      sampler: { type: 'random', seed: 11 },
      training: { command: ['{python}', path.join(folder, 'train.py'), path.join(folder, 'starts.log'), '0.4'] },
      ...change,
    }),
    async start(id, source) {
      await client.workflow.start('hpoCampaign', { taskQueue: 'holdfast', workflowId: id, args: [source] });
    },
    async result(id, seconds) {
      const end = Date.now() + seconds * 1000;
      // The connection may be one of a server that was killed: ask anew until the end.
      for (;;) {
        const asked = client.workflow.getHandle(id).result() as Promise<CampaignResult>;
        const answer = await Promise.race([
          asked.then(
            (value) => ({ value }),
            (error: Error) => ({ error }),
          ),
          sleep(5000).then(() => undefined),
        ]);
        if (answer !== undefined && 'value' in answer) return answer.value;
        if (answer !== undefined && answer.error.name === 'WorkflowFailedError') throw answer.error;
        if (Date.now() > end) throw new Error(`campaign ${id} did not end within ${seconds} s`);
        if (answer !== undefined) await sleep(500);
      }
    },
    async rows(id) {
      return (await client.workflow.getHandle(id).query(trialsQuery, { limit: 5000 })).rows;
    },
    starts: (name) =>
      readFileSync(path.join(folder, name), 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
    letEnd: (name, trials) => writeFileSync(path.join(folder, name), 'x'.repeat(trials)),
    async close() {
      if (worker !== undefined && worker.exitCode === null && worker.signalCode === null) await lab.killWorker();
      for (const { pid } of lab.agents()) kill(pid);
      await connection.close();
      await server.stop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  mkdirSync(path.join(folder, 'state'), { recursive: true });
  await lab.startWorker();
  return lab;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** A record's pilot; undefined for a file that is being moved or written at this moment. */
function pilotOf(file: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { pilot?: string }).pilot;
  } catch {
    return undefined;
  }
}

/** SIGKILL to a process that may end by itself at this moment. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Small, seeded, printed: a chaos test that failed can be run again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
