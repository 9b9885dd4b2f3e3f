import { loadProfile } from '../spec/load-profile.ts';
import { openShell } from '../ssh/open-shell.ts';
import type { RemoteShell } from '../ssh/transport.ts';
import type { CliIo } from './io.ts';

/**
 * A shell where a campaign's trials ran: over the SSH connection that is open, or by tasks of its Globus Compute endpoint, which may wait `queueSeconds`
 * for a worker. Close it at the end.
 */
export async function systemShell(
  system: string,
  settings: Readonly<Record<string, unknown>>,
  io: Pick<CliIo, 'env'>,
  queueSeconds?: number,
): Promise<RemoteShell> {
  const profile = loadProfile(system, { env: io.env });
  if (profile.kind === 'pbs') return openShell(profile.name, profile.ssh, { ...process.env, ...io.env }).shell;
  const { openTaskShell } = await import('../systems/globus/open-task-shell.ts');
  const endpoint =
    typeof settings.endpointId === 'string' ? settings.endpointId : profile.kind === 'globus_compute' ? profile.endpointId : undefined;
  return openTaskShell(profile.name, endpoint, io.env, queueSeconds);
}
