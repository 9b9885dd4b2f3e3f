import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import { cacheFolder } from './package-root.ts';
import { loadDrivers } from './systems/load-drivers.ts';
import { answers, type DevServer, startDevServer } from './temporal/dev-server.ts';
import { findTemporalBinary } from './temporal/server-binary.ts';
import { type RunningWorkers, startWorkers } from './worker.ts';

export interface DevOptions {
  /** Folder of the server's SQLite file and log; default: our cache folder, so that a campaign goes on at the next start. */
  readonly folder?: string;
  readonly port?: number;
  readonly uiPort?: number;
  readonly systems: readonly string[];
  readonly logger: Logger;
  readonly say: (text: string) => void;
}

/** A server and a worker in one process: for one person on one computer. */
export interface Dev {
  readonly address: string;
  readonly uiUrl: string;
  readonly workers: RunningWorkers;
  /** Rejects or resolves when server or worker end by themselves. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

interface ServerNote {
  readonly pid: number;
  readonly ownerPid: number;
  readonly address: string;
  readonly uiUrl: string;
}

/**
 * Starts Temporal's dev server (or joins the one that already serves this folder) and a worker for these systems. The environment of this
 * process then names the server, so that clients made later find it. Throws NoTemporalBinary, TemporalUnreachable.
 */
export async function startDev(options: DevOptions): Promise<Dev> {
  const folder = options.folder ?? path.join(cacheFolder(), 'dev');
  mkdirSync(folder, { recursive: true });
  const noteFile = path.join(folder, 'server.json');
  const joined = await joinServer(noteFile);
  const server = joined ?? (await ownServer(folder, noteFile, options));
  process.env.TEMPORAL_ADDRESS = server.address;
  const workers = await startWorkers({
    drivers: await loadDrivers(options.systems),
    logger: options.logger,
    server: { address: server.address, namespace: process.env.TEMPORAL_NAMESPACE ?? 'default' },
  });
  let isStopping = false;
  return {
    address: server.address,
    uiUrl: server.uiUrl,
    workers,
    ended: Promise.race([
      workers.finished,
      server.exited.then(() => {
        if (!isStopping) throw new Error(`The Temporal server has ended. Its log: ${path.join(folder, 'server.log')}`);
      }),
    ]),
    async stop() {
      isStopping = true;
      workers.shutdown();
      await workers.finished.catch((error: unknown) => options.logger.warn({ error: String(error) }, 'a worker did not stop in order'));
      if (!server.isOwned) return;
      await server.stop();
      rmSync(noteFile, { force: true });
    },
  };
}

type AnyServer = Pick<DevServer, 'address' | 'uiUrl' | 'exited' | 'stop'> & { readonly isOwned: boolean };

async function ownServer(folder: string, noteFile: string, options: DevOptions): Promise<AnyServer> {
  const binary = await findTemporalBinary(options.say);
  const server = await startDevServer({
    binary,
    dbFile: path.join(folder, 'temporal.db'),
    logFile: path.join(folder, 'server.log'),
    port: options.port ?? 7233,
    uiPort: options.uiPort ?? 8233,
  });
  writeNote(noteFile, { pid: server.pid, ownerPid: process.pid, address: server.address, uiUrl: server.uiUrl });
  return { ...server, isOwned: true };
}

/** The server that already serves this folder: of another process that lives, or left behind by one that was killed (then it is ours now). */
async function joinServer(noteFile: string): Promise<AnyServer | undefined> {
  const note = readNote(noteFile);
  if (note === undefined || !isAlive(note.pid) || !(await answers(note.address))) return undefined;
  const isOwned = !isAlive(note.ownerPid);
  if (isOwned) writeNote(noteFile, { ...note, ownerPid: process.pid });
  return {
    address: note.address,
    uiUrl: note.uiUrl,
    exited: new Promise(() => undefined),
    isOwned,
    async stop() {
      process.kill(note.pid, 'SIGTERM');
    },
  };
}

function readNote(file: string): ServerNote | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ServerNote;
  } catch {
    // No note, or one cut short by a crash: a server is started in either case.
    return undefined;
  }
}

function writeNote(file: string, note: ServerNote): void {
  writeFileSync(`${file}.tmp`, JSON.stringify(note));
  renameSync(`${file}.tmp`, file);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
