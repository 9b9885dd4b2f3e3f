import { setTimeout as sleep } from 'node:timers/promises';
import { DriverError } from '../driver.ts';
import { errorCode, isThere } from '../spool/durable-write.ts';
import { readAgents } from '../spool/heartbeats.ts';
import { readLaunch } from '../spool/launch-folder.ts';
import { stopAll } from '../spool/offers.ts';
import type { AgentIdentity } from '../spool/records.ts';
import { isAlive, signalTo } from './processes.ts';
import { recoverClaims } from './recover.ts';
import type { RegisteredLaunch } from './registry.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Ends everything of a launch on this computer and confirms it: stop file, then the agents' own end with the grace that trials get, then
 * SIGKILL, then the recovery that kills trainings by their token. Throws DriverError `transport` when an agent survives even that.
 */
export async function endLaunch(launch: RegisteredLaunch): Promise<void> {
  if (!(await isThere(launch.directory))) return;
  try {
    await stopAll(launch.directory, 'The campaign is over.');
  } catch (error) {
    if (!FULL.has(errorCode(error) ?? '')) throw error;
    // On a full disk a campaign must end as well, or it keeps it full.
    for (const agent of await living(launch.directory)) signalTo(agent.pid, 'SIGTERM');
  }
  const head = await readLaunch(launch.directory);
  const patience = 2 * (head?.limits.grace_seconds ?? 30) + 10;
  if (!(await untilGone(launch.directory, patience))) {
    for (const agent of await living(launch.directory)) signalTo(agent.pid, 'SIGKILL');
    if (!(await untilGone(launch.directory, 30))) {
      throw new DriverError('transport', 'HF-LOCAL-ALIVE', `An agent in ${launch.directory} cannot be killed. It is tried again.`);
    }
  }
  await recoverClaims(launch);
}

async function living(launchDirectory: string): Promise<AgentIdentity[]> {
  return (await readAgents(launchDirectory)).map(({ identity }) => identity).filter(isAlive);
}

async function untilGone(launchDirectory: string, seconds: number): Promise<boolean> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    if ((await living(launchDirectory)).length === 0) return true;
    if (performance.now() > deadline) return false;
    await sleep(50);
  }
}
