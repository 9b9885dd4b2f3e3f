import { readFile, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../make-folder.ts';
import { processStart } from '../../process-start.ts';
import { DriverError } from '../driver.ts';
import { writeJsonDurably } from '../spool/durable-write.ts';

const holder = z.object({ pid: z.int(), started: z.string(), host: z.string() });

/** A holder on another host counts as gone when it has not touched its file for so long. */
const STALE_MS = 120_000;
const TOUCH_MS = 20_000;

/**
 * Takes the state folder for this process: two workers that each keep a system's facts in memory would overwrite each other's. Throws DriverError transport
 * while another one lives (its shutdown lets us in); what a dead one left is taken over.
 */
export async function holdState(directory: string): Promise<void> {
  const path = join(directory, 'holder.json');
  const mine = { pid: process.pid, started: processStart(process.pid) ?? '', host: hostname() };
  const other = await readHolder(path);
  if (other !== undefined && isOther(other, mine) && (await isAlive(other, mine.host, path))) {
    throw new DriverError(
      'transport',
      'HF-GLOBUS-HELD',
      `system state ${directory} is held by another worker (pid ${other.pid} on ${other.host}). Stop it, or leave this system out of --systems; it is tried again.`,
    );
  }
  await makeFolder(directory);
  await writeJsonDurably(path, mine);
  setInterval(() => {
    const now = new Date();
    // A folder that is gone is noticed by the next write of facts.
    utimes(path, now, now).catch(() => undefined);
  }, TOUCH_MS).unref();
}

async function readHolder(path: string): Promise<z.infer<typeof holder> | undefined> {
  try {
    return holder.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    // Missing or damaged: nobody says that it is held.
    return undefined;
  }
}

function isOther(a: z.infer<typeof holder>, b: z.infer<typeof holder>): boolean {
  return a.pid !== b.pid || a.host !== b.host || a.started !== b.started;
}

async function isAlive(other: z.infer<typeof holder>, host: string, path: string): Promise<boolean> {
  if (other.host === host) return processStart(other.pid) === other.started;
  return Date.now() - (await stat(path)).mtimeMs < STALE_MS;
}
