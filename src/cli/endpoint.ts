import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DriverError } from '../systems/driver.ts';
import { type AuthMethod, createAuthorizer } from '../systems/globus/authorizer.ts';
import { createGlobusClient, type GlobusClient } from '../systems/globus/client.ts';
import { askEndpointProgram, endpointProgram } from '../systems/globus/endpoint-command.ts';
import { type EndpointFiles, readEndpointSettings, renderEndpointFiles } from '../systems/globus/endpoint-files.ts';
import { endpointLogs, type LocalEndpoint, lastError, listEndpoints, readEndpoint } from '../systems/globus/endpoint-folder.ts';
import { type EndpointMachine, localMachine } from '../systems/globus/endpoint-machine.ts';
import { concurrencyWarning, type EndpointSettings, workersOf } from '../systems/globus/endpoint-settings.ts';
import { type Environment, globusEnvironment } from '../systems/globus/environment.ts';
import { sharedBudget } from '../systems/globus/request-budget.ts';

/** What the endpoint commands need from outside; tests give their own. */
export interface EndpointIo {
  readonly env: Environment;
  readonly write: (text: string) => void;
  /** Where the endpoints are. */
  readonly machine: EndpointMachine;
  /** The endpoint's program on that machine. */
  readonly program: string;
  /** For a login node that asks for a passcode. */
  readonly terminal?: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream };
}

export function endpointIo(env: Environment = process.env): EndpointIo {
  return { env, write: (text) => void process.stdout.write(text), machine: localMachine(env), program: endpointProgram(env) };
}

export const DEFAULT_ENDPOINT_FILE = 'config/globus_endpoint.yaml';

async function settingsOf(path: string): Promise<EndpointSettings> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-FILE',
      `endpoint file ${path} cannot be read. Copy config/globus_endpoint.yaml and edit it.`,
      { cause },
    );
  }
  return readEndpointSettings(text, path);
}

async function known(name: string, { machine }: EndpointIo): Promise<LocalEndpoint> {
  const endpoints = await listEndpoints(machine);
  const found = endpoints.find((endpoint) => endpoint.name === name);
  if (found) return found;
  throw new DriverError(
    'refused',
    'HF-GLOBUS-ENDPOINT-UNKNOWN',
    `endpoint ${name} does not exist on ${machine.name} (${await machine.base()} has: ${endpoints.map((endpoint) => endpoint.name).join(', ') || 'none'}). Run \`holdfast endpoint init ${name}\`.`,
  );
}

/** `holdfast endpoint init NAME`: makes the endpoint with the real program and our files; an existing one gets our files anew. */
export async function initEndpoint(name: string, options: { readonly config: string }, io: EndpointIo): Promise<LocalEndpoint> {
  const settings = await settingsOf(options.config);
  const files = renderEndpointFiles(settings);
  const { machine } = io;
  if (!(await readEndpoint(machine, name))) {
    await withFiles(machine, files, (path) =>
      askEndpointProgram(machine.run, io.program, [
        'configure',
        name,
        '--core-config',
        path('config.yaml'),
        '--template-config',
        path('user_config_template.yaml.j2'),
        '--schema-config',
        path('user_config_schema.json'),
        ...(settings.contact_email === undefined ? [] : ['--contact-email', settings.contact_email]),
      ]),
    );
  }
  const endpoint = await known(name, io);
  await machine.writeFiles(endpoint.directory, { ...files });
  await validateEndpoint(name, {}, io);
  io.write(
    `Endpoint ${name} is configured in ${endpoint.directory} (${workersOf(settings)} workers at once). Start it: holdfast endpoint start ${name}\n`,
  );
  return endpoint;
}

/** `holdfast endpoint render`: the three files, to a folder or to the terminal. */
export async function renderEndpoint(options: { readonly config: string; readonly out?: string }, io: EndpointIo): Promise<EndpointFiles> {
  const files = renderEndpointFiles(await settingsOf(options.config));
  if (options.out !== undefined) await mkdir(options.out, { recursive: true });
  for (const [file, text] of Object.entries(files)) {
    if (options.out !== undefined) await writeFile(join(options.out, file), text);
    io.write(options.out === undefined ? `# ${file}\n${text}\n` : `${join(options.out, file)}\n`);
  }
  return files;
}

/**
 * `holdfast endpoint validate [NAME]`: our file (keys, contradictions, concurrency), then the endpoint's own loader on what lies in its folder or on
 * what would be rendered; undefined where the endpoint is not installed. Throws DriverError refused with the key or the loader's words.
 */
export async function validateEndpoint(
  name: string | undefined,
  options: { readonly config?: string; readonly maxConcurrent?: number; readonly options?: Readonly<Record<string, unknown>> },
  io: EndpointIo,
): Promise<string | undefined> {
  const { machine, program } = io;
  const input = JSON.stringify(options.options ?? {});
  if (name !== undefined) {
    await known(name, io);
    const rendered = await askEndpointProgram(machine.run, program, ['render-user-config', '-e', name, '-o', '-'], input);
    io.write(`Endpoint ${name}: the endpoint's own loader accepts its files.\n`);
    return rendered;
  }
  const settings = await settingsOf(options.config ?? DEFAULT_ENDPOINT_FILE);
  const warning = options.maxConcurrent === undefined ? undefined : concurrencyWarning(settings, options.maxConcurrent);
  if (warning !== undefined) io.write(`WARN ${warning}\n`);
  const file = options.config ?? DEFAULT_ENDPOINT_FILE;
  try {
    const rendered = await withFiles(machine, renderEndpointFiles(settings), (path) => {
      const parts = [
        '-t',
        path('user_config_template.yaml.j2'),
        '-s',
        path('user_config_schema.json'),
        '--parent-config',
        path('config.yaml'),
      ];
      return askEndpointProgram(machine.run, program, ['render-user-config', ...parts, '-o', '-'], input);
    });
    io.write(`${file}: the endpoint's own loader accepts what Holdfast makes of it.\n`);
    return rendered;
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-ENDPOINT-MISSING') throw error;
    io.write(`${file}: no mistake found. The endpoint's own loader was not asked: ${program} is not installed on ${machine.name}.\n`);
    return undefined;
  }
}

async function withFiles<T>(
  machine: EndpointMachine,
  files: EndpointFiles,
  work: (path: (file: keyof EndpointFiles) => string) => Promise<T>,
): Promise<T> {
  const folder = await machine.writeFiles(undefined, { ...files });
  try {
    return await work((file) => join(folder, file));
  } finally {
    await machine.removeFolder(folder);
  }
}

/** `holdfast endpoint start|stop|restart NAME`: the real program; start detaches, so the terminal is free again. */
export async function controlEndpoint(
  verb: 'start' | 'stop' | 'restart',
  name: string,
  options: { readonly debug?: boolean },
  io: EndpointIo,
): Promise<void> {
  const endpoint = await known(name, io);
  if (verb !== 'stop' && !endpoint.hasTemplate) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-OLD',
      `endpoint ${name} has no template (${endpoint.directory}): today's endpoint refuses an engine in config.yaml. Run \`holdfast endpoint init ${name}\`.`,
    );
  }
  const words = [verb, name, ...(verb === 'stop' ? [] : ['--detach']), ...(options.debug ? ['--debug'] : [])];
  const said = await askEndpointProgram(io.machine.run, io.program, words);
  if (said.trim() !== '') io.write(`${said.trimEnd()}\n`);
  const after = await known(name, io);
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
  const endpoint = await known(name, io);
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
  const endpoint = await known(name, io);
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
  const id = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(target) ? target : (await known(target, io)).id;
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
export function serviceClient(env: Environment, method: AuthMethod): GlobusClient {
  const environment = globusEnvironment(env);
  return createGlobusClient({
    baseUrl: environment.computeUrl,
    authorizer: createAuthorizer({ method, environment, env }),
    budget: sharedBudget(environment.computeUrl),
    timeoutSeconds: environment.httpTimeoutSeconds,
    ...(environment.computeProxy === undefined ? {} : { proxy: environment.computeProxy }),
  });
}
