import { join } from 'node:path';
import { DriverError } from '../systems/driver.ts';
import { type AuthMethod, createAuthorizer } from '../systems/globus/authorizer.ts';
import { createGlobusClient, type GlobusClient } from '../systems/globus/client.ts';
import { askEndpointProgram } from '../systems/globus/endpoint-command.ts';
import { endpointLogs, type LocalEndpoint, lastError, listEndpoints } from '../systems/globus/endpoint-folder.ts';
import { type Environment, globusEnvironment } from '../systems/globus/environment.ts';
import { sharedBudget } from '../systems/globus/request-budget.ts';
import { type EndpointIo, knownEndpoint } from './endpoint-io.ts';

/** `holdfast endpoint start|stop|restart NAME`: the real program; start detaches, so the terminal is free again. */
export async function controlEndpoint(
  verb: 'start' | 'stop' | 'restart',
  name: string,
  options: { readonly debug?: boolean },
  io: EndpointIo,
): Promise<void> {
  const endpoint = await knownEndpoint(name, io);
  if (verb !== 'stop' && !endpoint.hasTemplate) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-OLD',
      `endpoint ${name} has no template (${endpoint.directory}): today's endpoint refuses an engine in config.yaml. Run \`holdfast endpoint init ${name}\`.`,
    );
  }
  const words = [verb, name, ...(verb === 'stop' ? [] : ['--detach']), ...(options.debug ? ['--debug'] : [])];
  const said = await askEndpointProgram(io.machine.run, io.program, words).catch((error: unknown) => {
    // It asks at a terminal that it does not have here; its link is good for that one question.
    if (!(error instanceof DriverError) || !/Please authenticate with Globus/i.test(error.message)) throw error;
    throw new DriverError(
      'needs_login',
      'HF-GLOBUS-ENDPOINT-LOGIN',
      `the endpoint's own program is not logged in to Globus on ${io.machine.name}. Run \`${io.program} login\` there once, then \`holdfast endpoint ${verb} ${name}\` again.`,
      { cause: error },
    );
  });
  if (said.trim() !== '') io.write(`${said.trimEnd()}\n`);
  const after = await knownEndpoint(name, io);
  io.write(`Endpoint ${name}: ${after.state}${after.id === null ? '' : `, id ${after.id}`}\n`);
}

/** `holdfast endpoint list`. */
export async function printEndpoints(options: { readonly json?: boolean }, io: EndpointIo): Promise<readonly LocalEndpoint[]> {
  const found = await listEndpoints(io.machine);
  if (options.json) io.write(`${JSON.stringify(found, null, 2)}\n`);
  else if (found.length === 0) io.write(`No endpoint is configured on ${io.machine.name}. Run \`holdfast endpoint init NAME\`.\n`);
  else for (const { name, id, state } of found) io.write(`${state.padEnd(12)}  ${id ?? '-'.padEnd(36)}  ${name}\n`);
  return found;
}

/** `holdfast endpoint show NAME`: its id alone on the first line, for scripts, then where it lies. */
export async function showEndpoint(name: string, options: { readonly json?: boolean }, io: EndpointIo): Promise<LocalEndpoint> {
  const endpoint = await knownEndpoint(name, io);
  if (options.json) io.write(`${JSON.stringify(endpoint, null, 2)}\n`);
  else
    io.write(
      `${endpoint.id ?? 'no id yet: start it once'}\nname: ${endpoint.name}\nstate: ${endpoint.state}\nfolder: ${endpoint.directory}\n`,
    );
  return endpoint;
}

/** `holdfast endpoint logs NAME -n 50`: the endpoint's log and its user processes' logs. */
export async function printEndpointLogs(
  name: string,
  options: { readonly lines: number; readonly errors?: boolean },
  io: EndpointIo,
): Promise<void> {
  const endpoint = await knownEndpoint(name, io);
  const logs = await endpointLogs(io.machine, endpoint, options.errors ? 5_000 : options.lines);
  if (options.errors) {
    io.write(`${lastError(logs) ?? `no ERROR in the logs of ${name}`}\n`);
    return;
  }
  if (logs.length === 0) io.write(`no log yet (${join(endpoint.directory, 'endpoint.log')})\n`);
  for (const log of logs) io.write(`==> ${log.path} <==\n${log.lines.join('\n')}\n`);
}

/** `holdfast endpoint status NAME-or-ID`: what the service says; exit code 1 while it is offline. */
export async function endpointStatus(
  target: string,
  options: { readonly json?: boolean; readonly auth?: AuthMethod },
  io: EndpointIo,
): Promise<boolean> {
  const id = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(target) ? target : (await knownEndpoint(target, io)).id;
  if (id === null)
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-UNREGISTERED',
      `endpoint ${target} has no id yet. Run \`holdfast endpoint start ${target}\` once.`,
    );
  const client = serviceClient(io.env, options.auth ?? 'native_client');
  const { status, details } = await client.endpointStatus(id);
  if (options.json) io.write(`${JSON.stringify({ id, status, ...details }, null, 2)}\n`);
  else
    io.write(
      `${id} ${status}${details ? ` workers ${details.idle_workers ?? '?'} idle of ${details.total_workers ?? '?'}, tasks ${details.outstanding_tasks ?? '?'}` : ''}\n`,
    );
  return status === 'online';
}

/** A client with this computer's login; the request budget is the process's own. */
function serviceClient(env: Environment, method: AuthMethod): GlobusClient {
  const environment = globusEnvironment(env);
  return createGlobusClient({
    baseUrl: environment.computeUrl,
    authorizer: createAuthorizer({ method, environment, env }),
    budget: sharedBudget(environment.computeUrl),
    timeoutSeconds: environment.httpTimeoutSeconds,
    ...(environment.computeProxy === undefined ? {} : { proxy: environment.computeProxy }),
  });
}
