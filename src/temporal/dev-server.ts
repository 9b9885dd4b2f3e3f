import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
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

/**
 * Starts Temporal's development server on loopback with its data in a file. WAL and synchronous=NORMAL give four to six times the throughput
 * and still survive the death of the process; only a power cut may lose the last moments. Leaves no process behind when it throws.
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  makeFolderSync(path.dirname(options.dbFile));
  if (options.mustHavePort) await untilFree(options.port ?? 0);
  const [port, uiPort, httpPort, metricsPort] = await freePorts([options.port ?? 0, options.uiPort ?? 0, 0, 0]);
  const log = openSync(options.logFile, 'a');
  const args = [
    'server',
    'start-dev',
    '--ip',
    '127.0.0.1',
    '--port',
    `${port}`,
    '--http-port',
    `${httpPort}`,
    '--metrics-port',
    `${metricsPort}`,
  ];
  args.push(...(options.isHeadless ? ['--headless'] : ['--ui-port', `${uiPort}`]));
  args.push(
    '--db-filename',
    options.dbFile,
    '--sqlite-pragma',
    'journal_mode=WAL',
    '--sqlite-pragma',
    'synchronous=NORMAL',
    '--log-level',
    'error',
  );
  for (const setting of [...DYNAMIC_CONFIG, ...(options.settings ?? [])]) args.push('--dynamic-config-value', setting);
  for (const flag of searchAttributeFlags()) args.push('--search-attribute', flag);
  // A group of its own: Ctrl-C in the terminal reaches us first, and we stop worker and server in order.
  const child = spawn(options.binary, args, { stdio: ['ignore', log, log], detached: true });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const address = `127.0.0.1:${port}`;
  const told = { address, uiUrl: `http://127.0.0.1:${uiPort}`, pid: child.pid ?? 0 };
  if (child.pid !== undefined) options.onSpawn?.(told);
  try {
    await waitUntilReady(address, child, options);
  } catch (error) {
    child.kill('SIGTERM');
    await exited;
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

async function waitUntilReady(address: string, child: ChildProcess, { logFile, signal }: DevServerOptions): Promise<void> {
  const end = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    signal?.throwIfAborted();
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`The Temporal server ended at once (exit ${child.exitCode ?? child.signalCode}). Its log: ${logFile}`);
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      await connection.close();
      return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`The Temporal server does not answer at ${address}. Its log: ${logFile}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
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
