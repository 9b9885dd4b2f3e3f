import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { claimFolders } from '../spool/offers.ts';
import type { RegisteredLaunch } from './registry.ts';

const run = promisify(execFile);

/** Has the agent's own recovery settle what dead agents left: trainings killed, ends written, unstarted offers given back. Safe to repeat. */
export async function recoverClaims(launch: RegisteredLaunch): Promise<void> {
  if (!(await hasClaims(launch.directory))) return;
  await run(launch.python, [launch.agent, 'recover', '--launch', launch.directory, '--poll', '0.02', '--heartbeat', '0.5'], {
    timeout: 180_000,
  });
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
