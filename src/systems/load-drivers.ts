import { homedir } from 'node:os';
import path from 'node:path';
import { loadProfile } from '../spec/load-profile.ts';
import type { SystemProfile } from '../spec/profile.ts';
import type { SystemDriver } from './driver.ts';

type Kind = SystemProfile['kind'];

/** How a system of each kind is brought to life. Loaded only when needed: a laptop's worker has no use for ssh. */
const DRIVERS: { readonly [K in Kind]: (profile: Extract<SystemProfile, { kind: K }>) => Promise<SystemDriver> } = {
  local: async (profile) => {
    const { createLocalDriver } = await import('./local/driver.ts');
    const python = profile.python === undefined ? {} : { python: profile.python };
    return createLocalDriver({ name: profile.name, slots: profile.slots, env: profile.env, ...python });
  },
  pbs: async (profile) => {
    const [{ createPbsDriver }, { holdShell }] = await Promise.all([import('./pbs/driver.ts'), import('../ssh/hold-shell.ts')]);
    // Held for as long as the process lives: `holdfast login` reaches the worker through it.
    const { shell } = await holdShell(profile.name, profile.ssh);
    return createPbsDriver({ name: profile.name, profile, shell });
  },
  globus_compute: async (profile) => {
    const { createGlobusDriver } = await import('./globus/driver.ts');
    const { max, nodesPerBlock, workersPerNode } = profile.blocks;
    const endpointId = profile.endpointId ?? process.env.HOLDFAST_ENDPOINT_ID;
    return createGlobusDriver({
      name: profile.name,
      stateDirectory: path.join(stateHome(), 'holdfast', 'systems', encodeURIComponent(profile.name)),
      workers: max * nodesPerBlock * workersPerNode,
      pollSeconds: profile.pollSeconds,
      setup: profile.setup,
      env: profile.env,
      python: profile.python,
      loginDays: profile.loginDays,
      ...(endpointId === undefined ? {} : { endpointId }),
      ...(profile.userEndpointConfig === undefined ? {} : { userEndpointConfig: profile.userEndpointConfig }),
      ...(profile.base === undefined ? {} : { base: profile.base }),
    });
  },
};

/** The drivers of these systems, by name. Throws BadSpec for a profile that cannot be used, DriverError for one that another worker holds. */
export async function loadDrivers(names: readonly string[]): Promise<Map<string, SystemDriver>> {
  const drivers = new Map<string, SystemDriver>();
  for (const name of names) drivers.set(name, await driverFor(loadProfile(name)));
  return drivers;
}

function driverFor(profile: SystemProfile): Promise<SystemDriver> {
  const create = DRIVERS[profile.kind] as (profile: SystemProfile) => Promise<SystemDriver>;
  return create(profile);
}

function stateHome(): string {
  const named = process.env.XDG_STATE_HOME;
  return named !== undefined && path.isAbsolute(named) ? named : path.join(homedir(), '.local', 'state');
}
