import { BadSpec } from '../spec/bad-spec.ts';
import { loadProfile, profileFolders, profileNames } from '../spec/load-profile.ts';
import { type CliIo, withClient } from './io.ts';
import { wakeSystem } from './login.ts';

/** Tells the parked Globus Compute systems that somebody has logged in: one login serves all of them. Without Temporal the next look finds it. */
export async function wakeGlobusSystems(io: Pick<CliIo, 'env' | 'errors'>): Promise<void> {
  const systems = profileNames(profileFolders(process.cwd())).filter((name) => isGlobus(name, io));
  try {
    await withClient(async (client) => {
      for (const system of systems) await wakeSystem(client.workflow, system);
    });
  } catch (error) {
    io.errors.write(`The waiting campaigns could not be told (${error instanceof Error ? error.message : String(error)})\n`);
  }
}

function isGlobus(name: string, io: Pick<CliIo, 'env'>): boolean {
  try {
    return loadProfile(name, { env: io.env }).kind === 'globus_compute';
  } catch (error) {
    // A broken profile of another system is none of our business here.
    if (error instanceof BadSpec) return false;
    throw error;
  }
}
