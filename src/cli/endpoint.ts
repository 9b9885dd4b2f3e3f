import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { DriverError } from '../systems/driver.ts';
import { type AuthMethod, createAuthorizer } from '../systems/globus/authorizer.ts';
import { createGlobusClient, type GlobusClient } from '../systems/globus/client.ts';
import { askEndpointProgram, endpointProgram, localProgram, type RunProgram } from '../systems/globus/endpoint-command.ts';
import { type EndpointFiles, readEndpointSettings, renderEndpointFiles } from '../systems/globus/endpoint-files.ts';
import { endpointLogs, type LocalEndpoint, lastError, listEndpoints, readEndpoint } from '../systems/globus/endpoint-folder.ts';
import { concurrencyWarning, type EndpointSettings, workersOf } from '../systems/globus/endpoint-settings.ts';
import { type Environment, globusEnvironment } from '../systems/globus/environment.ts';
import { sharedBudget } from '../systems/globus/request-budget.ts';
import { CliError } from './exit-codes.ts';

/** What the endpoint commands need from outside; tests give their own. */
export interface EndpointIo {
  readonly env: Environment;
  readonly write: (text: string) => void;
  readonly run: RunProgram;
}

export function endpointIo(env: Environment = process.env): EndpointIo {
  return { env, write: (text) => void process.stdout.write(text), run: localProgram(env) };
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

async function known(name: string, env: Environment): Promise<LocalEndpoint> {
  const { endpointsDirectory } = globusEnvironment(env);
  const found = await readEndpoint(endpointsDirectory, name);
  if (found) return found;
  const names = (await listEndpoints(endpointsDirectory)).map((endpoint) => endpoint.name).join(', ') || 'none';
  throw new DriverError(
    'refused',
    'HF-GLOBUS-ENDPOINT-UNKNOWN',
    `endpoint ${name} does not exist on this machine (${endpointsDirectory} has: ${names}). Run \`holdfast endpoint init ${name}\`.`,
  );
}

/** `holdfast endpoint init NAME`: makes the endpoint with the real program and our files; an existing one gets our files anew. */
export async function initEndpoint(name: string, options: { readonly config: string }, io: EndpointIo): Promise<LocalEndpoint> {
  const settings = await settingsOf(options.config);
  const files = renderEndpointFiles(settings);
  const base = globusEnvironment(io.env).endpointsDirectory;
  if (!(await readEndpoint(base, name))) {
    await withFiles(files, (path) =>
      askEndpointProgram(io.run, endpointProgram(io.env), [
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
  const endpoint = await known(name, io.env);
  for (const [file, text] of Object.entries(files)) await writeFile(join(endpoint.directory, file), text, { mode: 0o600 });
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
  const program = endpointProgram(io.env);
  const input = JSON.stringify(options.options ?? {});
  if (name !== undefined) {
    await known(name, io.env);
    const rendered = await askEndpointProgram(io.run, program, ['render-user-config', '-e', name, '-o', '-'], input);
    io.write(`Endpoint ${name}: the endpoint's own loader accepts its files.\n`);
    return rendered;
  }
  const settings = await settingsOf(options.config ?? DEFAULT_ENDPOINT_FILE);
  const warning = options.maxConcurrent === undefined ? undefined : concurrencyWarning(settings, options.maxConcurrent);
  if (warning !== undefined) io.write(`WARN ${warning}\n`);
  const file = options.config ?? DEFAULT_ENDPOINT_FILE;
  try {
    const rendered = await withFiles(renderEndpointFiles(settings), (path) => {
      const parts = [
        '-t',
        path('user_config_template.yaml.j2'),
        '-s',
        path('user_config_schema.json'),
        '--parent-config',
        path('config.yaml'),
      ];
      return askEndpointProgram(io.run, program, ['render-user-config', ...parts, '-o', '-'], input);
    });
    io.write(`${file}: the endpoint's own loader accepts what Holdfast makes of it.\n`);
    return rendered;
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-ENDPOINT-MISSING') throw error;
    io.write(`${file}: no mistake found. The endpoint's own loader was not asked: ${program} is not installed on this machine.\n`);
    return undefined;
  }
}

async function withFiles<T>(files: EndpointFiles, work: (path: (file: keyof EndpointFiles) => string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-endpoint-'));
  try {
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
    return await work((file) => join(folder, file));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `holdfast endpoint start|stop|restart NAME`: the real program; start detaches, so the terminal is free again. */
export async function controlEndpoint(
  verb: 'start' | 'stop' | 'restart',
  name: string,
  options: { readonly debug?: boolean },
  io: EndpointIo,
): Promise<void> {
  const endpoint = await known(name, io.env);
  if (verb !== 'stop' && !endpoint.hasTemplate) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-OLD',
      `endpoint ${name} has no template (${endpoint.directory}): today's endpoint refuses an engine in config.yaml. Run \`holdfast endpoint init ${name}\`.`,
    );
  }
  const words = [verb, name, ...(verb === 'stop' ? [] : ['--detach']), ...(options.debug ? ['--debug'] : [])];
  const said = await askEndpointProgram(io.run, endpointProgram(io.env), words);
  if (said.trim() !== '') io.write(`${said.trimEnd()}\n`);
  const after = await known(name, io.env);
  io.write(`Endpoint ${name}: ${after.state}${after.id === null ? '' : `, id ${after.id}`}\n`);
}

/** `holdfast endpoint list`. */
export async function printEndpoints(options: { readonly json?: boolean }, io: EndpointIo): Promise<readonly LocalEndpoint[]> {
  const found = await listEndpoints(globusEnvironment(io.env).endpointsDirectory);
  if (options.json) io.write(`${JSON.stringify(found, null, 2)}\n`);
  else if (found.length === 0) io.write('No endpoint is configured on this machine. Run `holdfast endpoint init NAME`.\n');
  else for (const { name, id, state } of found) io.write(`${state.padEnd(12)}  ${id ?? '-'.padEnd(36)}  ${name}\n`);
  return found;
}

/** `holdfast endpoint show NAME`: its id alone on the first line, for scripts, then where it lies. */
export async function showEndpoint(name: string, options: { readonly json?: boolean }, io: EndpointIo): Promise<LocalEndpoint> {
  const endpoint = await known(name, io.env);
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
  const endpoint = await known(name, io.env);
  const logs = await endpointLogs(globusEnvironment(io.env).endpointsDirectory, endpoint, options.errors ? 5_000 : options.lines);
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
  const id = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(target) ? target : (await known(target, io.env)).id;
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

/** The `endpoint` command for the commander program. */
export function endpointCommand(io: EndpointIo = endpointIo()): Command {
  const command = new Command('endpoint').description('Globus Compute endpoints of this machine');
  const config = ['-c, --config <file>', 'the endpoint file', DEFAULT_ENDPOINT_FILE] as const;
  command
    .command('init <name>')
    .description('make the endpoint and its files')
    .option(...config)
    .action(async (name: string, options: { config: string }) => void (await initEndpoint(name, options, io)));
  command
    .command('render')
    .description("write or print the endpoint's files")
    .option(...config)
    .option('-o, --out <folder>', 'write them there')
    .action(async (options: { config: string; out?: string }) => void (await renderEndpoint(options, io)));
  command
    .command('validate [name]')
    .description("check the endpoint file, or an endpoint's folder, with the endpoint's own loader")
    .option(...config)
    .option('--max-concurrent <n>', 'trials at once of the campaign', Number)
    .option('--options <json>', 'user_endpoint_config of the campaign')
    .action(async (name: string | undefined, options: { config: string; maxConcurrent?: number; options?: string }) => {
      const user = options.options === undefined ? {} : { options: JSON.parse(options.options) as Record<string, unknown> };
      await validateEndpoint(
        name,
        { config: options.config, ...(options.maxConcurrent === undefined ? {} : { maxConcurrent: options.maxConcurrent }), ...user },
        io,
      );
    });
  for (const verb of ['start', 'stop', 'restart'] as const) {
    const made = command.command(`${verb} <name>`).description(`${verb} the endpoint`);
    if (verb !== 'stop') made.option('--debug', 'more lines in endpoint.log');
    made.action(async (name: string, options: { debug?: boolean }) => controlEndpoint(verb, name, options, io));
  }
  command
    .command('list')
    .description('endpoints of this machine')
    .option('--json')
    .action(async (options: { json?: boolean }) => void (await printEndpoints(options, io)));
  command
    .command('show <name>')
    .description('id, state and folder of an endpoint')
    .option('--json')
    .action(async (name: string, options: { json?: boolean }) => void (await showEndpoint(name, options, io)));
  command
    .command('logs <name>')
    .description('last lines of its logs')
    .option('-n, --lines <n>', 'lines of each log', Number, 50)
    .option('--errors', 'the last error only')
    .action(async (name: string, options: { lines: number; errors?: boolean }) => printEndpointLogs(name, options, io));
  command
    .command('status <name-or-id>')
    .description('online or offline, as the service sees it')
    .option('--json')
    .option('--auth <method>', 'native_client, confidential_client or client_credentials', 'native_client')
    .action(async (target: string, options: { json?: boolean; auth: AuthMethod }) => {
      if (await endpointStatus(target, options, io)) return;
      throw new CliError(
        'failed',
        'HF-GLOBUS-OFFLINE',
        `endpoint ${target} is offline. Start it on its machine: holdfast endpoint start NAME.`,
      );
    });
  return command;
}
