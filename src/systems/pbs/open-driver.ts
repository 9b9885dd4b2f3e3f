import type { PbsProfile } from '../../spec/profile.ts';
import { openShell } from '../../ssh/open-shell.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import { createPbsDriver, type PbsDriver } from './driver.ts';

/** The driver of a PBS system over its profile's transport, for a single command. Connects to nothing yet; close the shell at the end. */
export function openPbsDriver(
  profile: PbsProfile,
  env: NodeJS.ProcessEnv = process.env,
): { readonly driver: PbsDriver; readonly shell: RemoteShell } {
  const { shell } = openShell(profile.name, profile.ssh, env);
  return { driver: createPbsDriver({ name: profile.name, profile, shell }), shell };
}
