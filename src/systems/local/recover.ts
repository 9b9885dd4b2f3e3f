import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { DriverError } from '../driver.ts';
import { claimFolders } from '../spool/offers.ts';
import type { RegisteredLaunch } from './registry.ts';

const run = promisify(execFile);

/** Exit codes of `agent.py recover` after which it is simply done again. */
const AGAIN: Readonly<Record<number, string>> = {
  3: 'another recovery is at work',
  5: 'an end could not be written, the disk is full',
};

/** Has the agent's own recovery settle what dead agents left: trainings killed, ends written, unstarted offers given back. Safe to repeat. */
export async function recoverClaims(launch: RegisteredLaunch): Promise<void> {
  if (!(await hasClaims(launch.directory))) return;
  try {
    await run(launch.python, [launch.agent, 'recover', '--launch', launch.directory, '--poll', '0.02', '--heartbeat', '0.5'], {
      timeout: 180_000,
    });
  } catch (error) {
    const reason = error instanceof Error && 'code' in error && typeof error.code === 'number' ? AGAIN[error.code] : undefined;
    if (reason === undefined) throw error;
    throw new DriverError(
      'transport',
      'HF-LOCAL-RECOVER',
      `What a dead agent left in ${launch.directory} is not settled: ${reason}. It is tried again.`,
      { cause: error },
    );
  }
}

async function hasClaims(launchDirectory: string): Promise<boolean> {
  for (const folder of await claimFolders(launchDirectory)) {
    try {
      if ((await readdir(folder)).some((name) => name.endsWith('.json'))) return true;
    } catch {
      // An agent that ends removes its empty folder.
    }
  }
  return false;
}
