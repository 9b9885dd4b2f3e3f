import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processStart } from './process-start.ts';

export interface LockOptions {
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** Longest wait for a process that holds the lock and lives. Default two minutes. */
  readonly patienceMs?: number;
}

interface Holder {
  readonly pid: number;
  readonly started: string;
}

const LOOK_MS = 50;
/** Distinguishes the locks that this process takes at the same time. */
let taken = 0;

/**
 * Runs `work` while no other process on this computer is in the same lock. One that a dead process has left is taken over. Where the folder takes no links
 * or no files, `work` runs without a lock. Throws when a living process holds it for longer than the patience.
 */
export async function withLockFile<T>(
  file: string,
  work: () => Promise<T>,
  { signal, patienceMs = 120_000 }: LockOptions = {},
): Promise<T> {
  taken += 1;
  const mine = `${file}.${process.pid}-${taken}`;
  const end = Date.now() + patienceMs;
  for (;;) {
    signal?.throwIfAborted();
    const answer = take(file, mine);
    if (answer === 'no locks here') return work();
    if (answer === 'taken') break;
    const holder = holderOf(file);
    if (holder !== undefined && !lives(holder)) clear(file, mine);
    else if (Date.now() > end)
      throw new Error(`${file} is held by process ${holder?.pid ?? 'unknown'}. End it, or remove the file when it is none of Holdfast.`);
    else await sleep(LOOK_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** A link appears with its whole content or not at all, and only where there is none. */
function take(file: string, mine: string): 'taken' | 'held' | 'no locks here' {
  const holder: Holder = { pid: process.pid, started: processStart(process.pid) ?? '' };
  try {
    writeFileSync(mine, JSON.stringify(holder));
    linkSync(mine, file);
    return 'taken';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'held' : 'no locks here';
  } finally {
    rmSync(mine, { force: true });
  }
}

function holderOf(file: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Holder;
  } catch {
    // Just given back.
    return undefined;
  }
}

function lives({ pid, started }: Holder): boolean {
  return processStart(pid) === started;
}

/** Takes a dead process's lock away. Of several that do, all but the first find another's: it is put back. */
function clear(file: string, mine: string): void {
  try {
    renameSync(file, mine);
    const holder = holderOf(mine);
    if (holder !== undefined && lives(holder)) linkSync(mine, file);
  } catch {
    // Another was quicker.
  } finally {
    rmSync(mine, { force: true });
  }
}
