import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { OfferRecord } from '../../domain/spool.ts';
import { isMissing, isThere, renameDurablyIfThere, writeDurably, writeJsonDurably } from './durable-write.ts';
import { readLaunch } from './launch-folder.ts';
import { attemptFolder, queueFile, queueFolder, stopFile } from './paths.ts';

/**
 * Offers one attempt: a durable write of a deterministic name into ready/. Safe to repeat at any time: what is ready, claimed or ended is left
 * as it is. `done`: the attempt has ended; its record lies in done/ (again), so the next look brings it.
 */
export async function placeOffer(launchDirectory: string, offer: OfferRecord): Promise<'offered' | 'done'> {
  const name = `${offer.trial}.${offer.attempt}`;
  if (await restoreEnd(launchDirectory, name)) return 'done';
  if ((await isClaimed(launchDirectory, name)) || (await isThere(queueFile(launchDirectory, 'ready', name)))) return 'offered';
  await rm(queueFile(launchDirectory, 'withdrawn', name), { force: true });
  // Between the checks and this write an agent may have claimed, run and ended the attempt; agents drop offers of what was started before.
  await writeJsonDurably(queueFile(launchDirectory, 'ready', name), offer);
  return 'offered';
}

/**
 * Takes back an attempt that nobody has claimed, by the same kind of rename that claims it; asks a claimed one to stop by a stop file.
 * `unknown`: no trace of the attempt.
 */
export async function withdrawOrStop(
  launchDirectory: string,
  trial: string,
  attempt: number,
  reason: string,
): Promise<'withdrawn' | 'stopping' | 'done' | 'unknown'> {
  const name = `${trial}.${attempt}`;
  // An offer on its way from ready/ to a claim, or back from a dead agent's claim, is in neither for an instant of our reading.
  for (let round = 0; round < 3; round += 1) {
    if (await restoreEnd(launchDirectory, name)) return 'done';
    if (await renameDurablyIfThere(queueFile(launchDirectory, 'ready', name), queueFile(launchDirectory, 'withdrawn', name))) {
      // It may have been offered twice: then what an agent has of it must be asked.
      if (await isTaken(launchDirectory, trial, attempt)) return requestStop(launchDirectory, name, reason);
      return 'withdrawn';
    }
    if (await isClaimed(launchDirectory, name)) return requestStop(launchDirectory, name, reason);
    if (await isThere(queueFile(launchDirectory, 'withdrawn', name))) {
      return (await wasStarted(launchDirectory, trial, attempt)) ? requestStop(launchDirectory, name, reason) : 'withdrawn';
    }
  }
  return (await restoreEnd(launchDirectory, name)) ? 'done' : 'unknown';
}

async function requestStop(launchDirectory: string, name: string, reason: string): Promise<'stopping' | 'done'> {
  const file = stopFile(launchDirectory, { attempt: name });
  await writeDurably(file, `${reason}\n`);
  if (!(await restoreEnd(launchDirectory, name))) return 'stopping';
  await rm(file, { force: true });
  return 'done';
}

/** Asks a pilot's agents to end; what they run is given back. */
export async function stopPilot(launchDirectory: string, pilot: string, reason: string): Promise<void> {
  await writeDurably(stopFile(launchDirectory, { pilot }), `${reason}\n`);
}

/** Asks everything of a launch to stop; agents of this launch that start later end at once. */
export async function stopAll(launchDirectory: string, reason: string): Promise<void> {
  await writeDurably(stopFile(launchDirectory, 'all'), `${reason}\n`);
}

/** Whether an attempt has ended. A record that was taken in before comes back to done/: who asks again has forgotten it. */
async function restoreEnd(launchDirectory: string, name: string): Promise<boolean> {
  const done = queueFile(launchDirectory, 'done', name);
  if (await isThere(done)) return true;
  return renameDurablyIfThere(queueFile(launchDirectory, 'collected', name), done);
}

async function isClaimed(launchDirectory: string, name: string): Promise<boolean> {
  for (const agent of await claimFolders(launchDirectory)) {
    if (await isThere(path.join(agent, `${name}.json`))) return true;
  }
  return false;
}

/** One folder per agent that has claimed something. */
export async function claimFolders(launchDirectory: string): Promise<string[]> {
  const folder = queueFolder(launchDirectory, 'claimed');
  try {
    return (await readdir(folder)).map((agent) => path.join(folder, agent));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function isTaken(launchDirectory: string, trial: string, attempt: number): Promise<boolean> {
  return (await isClaimed(launchDirectory, `${trial}.${attempt}`)) || (await wasStarted(launchDirectory, trial, attempt));
}

async function wasStarted(launchDirectory: string, trial: string, attempt: number): Promise<boolean> {
  const launch = await readLaunch(launchDirectory);
  return isThere(path.join(launchDirectory, attemptFolder(launch?.job_pattern ?? '{job_id}', trial, attempt), 'started'));
}
