import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RemoteShell } from '../../ssh/transport.ts';
import { DriverError } from '../driver.ts';
import { AUTH_METHODS } from './authorizer.ts';
import { connect } from './connection.ts';
import type { Environment } from './environment.ts';
import { createTaskShell } from './task-shell.ts';

/**
 * A shell on the endpoint of a Globus Compute profile. The endpoint is the profile's own or HOLDFAST_ENDPOINT_ID, the login method
 * HOLDFAST_GLOBUS_AUTH (native_client when absent). A command may wait `queueSeconds` for a worker. Throws DriverError refused when no endpoint is named.
 */
export function openTaskShell(system: string, endpointId: string | undefined, env: Environment, queueSeconds = 7_200): RemoteShell {
  const id = endpointId ?? env.HOLDFAST_ENDPOINT_ID;
  if (!id)
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-UNKNOWN',
      `system ${system} names no endpoint. Put endpoint_id into its profile, or set HOLDFAST_ENDPOINT_ID.`,
    );
  const method = AUTH_METHODS.find((name) => name === env.HOLDFAST_GLOBUS_AUTH) ?? 'native_client';
  const stateDirectory = join(env.XDG_STATE_HOME || tmpdir(), `holdfast-deploy-${process.getuid?.() ?? ''}`);
  return createTaskShell(connect({ stateDirectory, processEnv: env }).target(id, method), { pollSeconds: 5, queueSeconds });
}
