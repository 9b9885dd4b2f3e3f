import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import { withLockFile } from './lock-file.ts';
import { makeFolderSync } from './make-folder.ts';
import { cacheFolder } from './package-root.ts';
import { loadDrivers } from './systems/load-drivers.ts';
import { TemporalUnreachable } from './temporal/connection.ts';
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
  /** Ctrl-C: ends also a start that is under way. */
  readonly signal: AbortSignal;
}

/** A server and a worker in one process: for one person on one computer. */
export interface Dev {
  readonly address: string;
  readonly uiUrl: string;
  /** The server ran already for this folder, at its own ports. */
  readonly isJoined: boolean;
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
 * process then names the server, so that clients made later find it. Undefined when it was interrupted: nothing is left running then. Throws
 * NoTemporalBinary, TemporalUnreachable.
 */
export async function startDev(options: DevOptions): Promise<Dev | undefined> {
  try {
    const dev = await start(options);
    if (!options.signal.aborted) return dev;
    await dev.stop();
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
  return undefined;
}

async function start(options: DevOptions): Promise<Dev> {
  const folder = path.resolve(options.folder ?? path.join(cacheFolder(), 'dev'));
  makeFolderSync(folder);
  const noteFile = path.join(folder, 'server.json');
  const server = (await joinServer(noteFile, options.signal)) ?? (await joinOrStart(folder, noteFile, options));
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
    isJoined: server.isJoined,
    workers,
    ended: Promise.race([
      workers.finished,
      server.exited.then(() => {
        if (isStopping) return;
        // Whoever started it has ended it in order: no fault, and the next `holdfast dev` starts it again.
        if (!server.isOwned) throw new TemporalUnreachable(server.address, 'who had started it has ended it');
        throw new Error(`The Temporal server has ended. Its log: ${path.join(folder, 'server.log')}`);
      }),
    ]),
    async stop() {
      isStopping = true;
      workers.shutdown();
      await workers.finished.catch((error: unknown) => options.logger.warn({ error: String(error) }, 'a worker did not stop in order'));
      if (!server.isOwned) return;
      await server.stop();
      // Another may have started one of its own meanwhile.
      if (readNote(noteFile)?.pid === server.pid) rmSync(noteFile, { force: true });
    },
  };
}

type AnyServer = Pick<DevServer, 'address' | 'uiUrl' | 'pid' | 'exited' | 'stop'> & {
  /** It ends with us. */
  readonly isOwned: boolean;
  readonly isJoined: boolean;
};

/** Of several that start at the same moment one starts the server, and the others join it: two servers on one file would damage what it keeps. */
async function joinOrStart(folder: string, noteFile: string, options: DevOptions): Promise<AnyServer> {
  // May take minutes, so outside of the lock.
  const binary = await findTemporalBinary(options.say);
  const { signal } = options;
  return withLockFile(
    path.join(folder, 'server.lock'),
    async () => (await joinServer(noteFile, signal)) ?? (await ownServer(binary, folder, noteFile, options)),
    { signal },
  );
}

async function ownServer(binary: string, folder: string, noteFile: string, options: DevOptions): Promise<AnyServer> {
  const server = await startDevServer({
    binary,
    dbFile: path.join(folder, 'temporal.db'),
    logFile: path.join(folder, 'server.log'),
    port: options.port ?? 7233,
    uiPort: options.uiPort ?? 8233,
    onSpawn: ({ pid, address, uiUrl }) => writeNote(noteFile, { pid, ownerPid: process.pid, address, uiUrl }),
    signal: options.signal,
  });
  return { ...server, isOwned: true, isJoined: false };
}

/** The server that already serves this folder: of another process that lives, or left behind by one that was killed (then it is ours now). */
async function joinServer(noteFile: string, signal: AbortSignal): Promise<AnyServer | undefined> {
  const note = readNote(noteFile);
  if (note === undefined || !(await isServing(note, path.dirname(noteFile), signal))) return undefined;
  const isOwned = !isAlive(note.ownerPid);
  if (isOwned) writeNote(noteFile, { ...note, ownerPid: process.pid });
  return {
    address: note.address,
    uiUrl: note.uiUrl,
    pid: note.pid,
    exited: goneFrom(note),
    isOwned,
    isJoined: true,
    async stop() {
      process.kill(note.pid, 'SIGTERM');
    },
  };
}

const LOOK_MS = 1000;

/** Resolves when the process of a server that is no child of ours has ended. */
function goneFrom({ pid }: ServerNote): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(pid)) return;
      clearInterval(timer);
      resolve();
    }, LOOK_MS);
    timer.unref();
  });
}

/** Longest wait for a server that somebody else has just started. */
const START_MS = 60_000;

/**
 * Whether the server of a note lives and answers. One that lives and does not answer is waited for: it holds the file, and a second server on the same file
 * would damage what the first one keeps.
 */
async function isServing({ pid, address }: ServerNote, folder: string, signal: AbortSignal): Promise<boolean> {
  const end = Date.now() + START_MS;
  while (isAlive(pid) && isServerOf(pid, folder)) {
    if (await answers(address)) return true;
    signal.throwIfAborted();
    if (Date.now() > end)
      throw new Error(
        `The Temporal server of ${folder} (process ${pid}) does not answer at ${address}. End it (kill ${pid}), then start again. Its log: ${path.join(folder, 'server.log')}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return false;
}

/** A process id may be somebody else's after a restart of the computer; where there is no /proc, the id has to do. */
function isServerOf(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
  } catch {
    return !existsSync('/proc/self');
  }
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
