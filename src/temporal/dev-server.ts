import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { makeFolderSync } from '../make-folder.ts';
import { searchAttributeFlags } from './search-attributes.ts';

export interface DevServerOptions {
  readonly binary: string;
  /** SQLite file that holds everything; survives kill -9 of the server. */
  readonly dbFile: string;
  readonly logFile: string;
  /** Wanted ports; a taken one is replaced by a free one. */
  readonly port?: number;
  readonly uiPort?: number;
  /** The wanted port or none: waits up to a minute for it. For a server that takes the place of one whose clients are still there. */
  readonly mustHavePort?: boolean;
  readonly isHeadless?: boolean;
  /** Dynamic configuration beyond ours, `key=value`. */
  readonly settings?: readonly string[];
  /** Told as soon as the process is there, before it answers: whoever dies meanwhile leaves word of it. */
  readonly onSpawn?: (server: Pick<DevServer, 'pid' | 'address' | 'uiUrl'>) => void;
  /** Ends the start; the process is ended with it. */
  readonly signal?: AbortSignal;
}

export interface DevServer {
  readonly address: string;
  readonly uiUrl: string;
  readonly pid: number;
  /** Resolves when the process has ended, by us or not. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
  kill(): void;
}

const READY_TIMEOUT_MS = 60_000;

/**
 * The server reads each of its internal queues at most 20 times a second by default (`history.*ProcessorMaxPollRPS`, dynamic configuration), which
 * makes every signal, child start and activity wait some 35 ms for its turn. A development server has one shard and no neighbours: without the
 * pause a freed slot is filled again in 0.15 s in place of 0.39 s (measured).
 */
const DYNAMIC_CONFIG = ['history.transferProcessorMaxPollRPS=1000', 'history.timerProcessorMaxPollRPS=1000'];

/** Starts in a row: a port that was free when it was chosen may be somebody else's when the server asks for it, and the server ends then. */
const STARTS = 5;

/**
 * Starts Temporal's development server on loopback with its data in a file. WAL and synchronous=NORMAL give four to six times the throughput
 * and still survive the death of the process; only a power cut may lose the last moments. Throws when the server ends at once or does not answer
 * within a minute, and leaves no process behind then.
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  makeFolderSync(path.dirname(options.dbFile));
  for (let start = 1; ; start++) {
    if (options.mustHavePort) await untilFree(options.port ?? 0);
    const [port = 0, uiPort = 0, httpPort = 0, metricsPort = 0] = await freePorts([options.port ?? 0, options.uiPort ?? 0, 0, 0]);
    const log = openSync(options.logFile, 'a');
    const logStart = fstatSync(log).size;
    // A group of its own: Ctrl-C in the terminal reaches us first, and we stop worker and server in order.
    const child = spawn(options.binary, serverArguments(options, { port, uiPort, httpPort, metricsPort }), {
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    const told = { address: `127.0.0.1:${port}`, uiUrl: `http://127.0.0.1:${uiPort}`, pid: child.pid ?? 0 };
    if (child.pid !== undefined) options.onSpawn?.(told);
    try {
      await waitUntilReady(told.address, child, options);
    } catch (error) {
      child.kill('SIGTERM');
      await exited;
      if (start < STARTS && error instanceof EndedAtOnce && saysPortTaken(options.logFile, logStart)) continue;
      throw error;
    }
    return {
      ...told,
      exited,
      async stop() {
        child.kill('SIGTERM');
        await exited;
      },
      kill() {
        child.kill('SIGKILL');
      },
    };
  }
}

type Ports = Readonly<Record<'port' | 'uiPort' | 'httpPort' | 'metricsPort', number>>;

function serverArguments(
  { isHeadless, dbFile, settings = [] }: DevServerOptions,
  { port, uiPort, httpPort, metricsPort }: Ports,
): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--log-level', 'error', '--db-filename', dbFile],
    ...['--port', `${port}`, '--http-port', `${httpPort}`, '--metrics-port', `${metricsPort}`],
    ...(isHeadless ? ['--headless'] : ['--ui-port', `${uiPort}`]),
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...[...DYNAMIC_CONFIG, ...settings].flatMap((setting) => ['--dynamic-config-value', setting]),
    ...searchAttributeFlags().flatMap((flag) => ['--search-attribute', flag]),
  ];
}

class EndedAtOnce extends Error {}

/** Go's words for EADDRINUSE, in what the server has written to its log since it was started. */
function saysPortTaken(logFile: string, logStart: number): boolean {
  return readFileSync(logFile).subarray(logStart).includes('address already in use');
}

async function waitUntilReady(address: string, child: ChildProcess, { logFile, signal }: DevServerOptions): Promise<void> {
  const end = Date.now() + READY_TIMEOUT_MS;
  let refusal: Error | undefined;
  child.once('error', (error) => {
    refusal = error;
  });
  for (;;) {
    signal?.throwIfAborted();
    const problem = await describeServer(address).catch((error: unknown) => error);
    // Looked at after the answer: what answers may be the server of somebody else, who took the port before ours could.
    if (refusal !== undefined)
      throw new Error(
        `The Temporal server cannot be started (${refusal.message}). Name a working Temporal CLI with HOLDFAST_TEMPORAL_CLI.`,
        {
          cause: refusal,
        },
      );
    if (child.exitCode !== null || child.signalCode !== null)
      throw new EndedAtOnce(`The Temporal server ended at once (exit ${child.exitCode ?? child.signalCode}). Its log: ${logFile}`);
    if (problem === undefined) return;
    if (Date.now() > end) throw new Error(`The Temporal server does not answer at ${address}. Its log: ${logFile}`, { cause: problem });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function describeServer(address: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 2000 });
  try {
    await connection.workflowService.describeNamespace({ namespace: 'default' });
  } finally {
    await connection.close();
  }
}

/** Whether a server answers at this address within two seconds. */
export async function answers(address: string): Promise<boolean> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: 2000 });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}

/** Ports that are free now; a wanted one (not 0) is kept when it is. */
async function freePorts(wanted: readonly number[]): Promise<number[]> {
  const held = await Promise.all(wanted.map((port) => hold(port).catch(() => hold(0))));
  const ports = held.map((server) => (server.address() as { port: number }).port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Waits for a port that something (a connection that was given this number for its own end, say) holds for the moment. */
async function untilFree(port: number): Promise<void> {
  const end = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      const held = await hold(port);
      await new Promise((resolve) => held.close(resolve));
      return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`Port ${port} is still in use after a minute; \`ss -ltnp\` shows by whom.`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function hold(port: number) {
  return new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
