import { Command, InvalidArgumentError, Option } from 'commander';
import { loadProfile } from '../spec/load-profile.ts';
import { AUTH_METHODS, type AuthMethod } from '../systems/globus/authorizer.ts';
import { controlEndpoint, endpointStatus, printEndpointLogs, printEndpoints, showEndpoint } from './endpoint-control.ts';
import { DEFAULT_ENDPOINT_FILE, initEndpoint, renderEndpoint, validateEndpoint } from './endpoint-files.ts';
import { type EndpointIo, endpointIo } from './endpoint-io.ts';
import { CliError } from './exit-codes.ts';
import { jsonObject, oneOf, positive } from './option-values.ts';

/** Where an endpoint command is carried out. */
interface Where {
  /** A system whose login node has the endpoint; absent: this computer. */
  readonly on?: string;
  readonly program?: string;
  readonly setup?: readonly string[];
}

/**
 * Runs `work` with the machine that the options name. Over SSH it uses the system's own connection as every other command does: a ControlMaster that
 * `holdfast login` has opened, or keys. Throws DriverError needs_login where a person must log in first.
 */
async function at<T>(where: Where, io: EndpointIo, work: (io: EndpointIo) => Promise<T>): Promise<T> {
  if (where.on === undefined) return work(where.program === undefined ? io : { ...io, program: where.program });
  const profile = loadProfile(where.on, { env: io.env });
  if (profile.kind !== 'pbs')
    throw new CliError(
      'usage',
      'HF-USAGE',
      `--on ${where.on} is of kind ${profile.kind} and has no login node. Name a system that is reached by SSH (holdfast systems list).`,
    );
  const [{ openShell }, { sshMachine }] = await Promise.all([import('../ssh/open-shell.ts'), import('../systems/globus/ssh-machine.ts')]);
  const { shell, login } = openShell(profile.name, profile.ssh, { ...io.env });
  try {
    if (login && profile.ssh.auth === 'passcode' && io.terminal !== undefined) {
      const { askInTerminal } = await import('./login.ts');
      await login(askInTerminal(io.terminal, profile.name));
    } else if (profile.ssh.transport !== 'none') await shell.check();
    const machine = sshMachine(profile.name, shell, where.setup ?? profile.setup);
    return await work({ ...io, machine, program: where.program ?? 'globus-compute-endpoint' });
  } finally {
    await shell.close();
  }
}

/** What the old guide writes; the endpoint has no such option. */
function logLevel(): Option {
  return new Option('--log-level <level>').hideHelp().argParser(() => {
    throw new InvalidArgumentError('The endpoint has two levels: write --debug for the other one.');
  });
}

/** The `endpoint` command for the commander program. */
export function endpointCommand(io: EndpointIo = endpointIo()): Command {
  const command = new Command('endpoint').description('Globus Compute endpoints of this machine, or of a login node (--on)');
  const add = (usage: string, description: string): Command =>
    command
      .command(usage)
      .description(description)
      .option('--on <system>', 'on the login node of this system, by SSH')
      .option('--program <path>', "the endpoint's program there")
      .option('--setup <line...>', "with --on: shell lines before it; default: the profile's setup");
  const config = ['-c, --config <file>', 'the endpoint file', DEFAULT_ENDPOINT_FILE] as const;
  add('init <name>', 'make the endpoint and its files')
    .option(...config)
    .action(
      async (name: string, options: Where & { config: string }) =>
        void (await at(options, io, (there) => initEndpoint(name, options, there))),
    );
  command
    .command('render')
    .description("write or print the endpoint's files")
    .option(...config)
    .option('-o, --out <folder>', 'write them there')
    .action(async (options: { config: string; out?: string }) => void (await renderEndpoint(options, io)));
  add('validate [name]', "check the endpoint file, or an endpoint's folder, with the endpoint's own loader")
    .option(...config)
    .option('--max-concurrent <n>', 'trials at once of the campaign', positive)
    .option('--options <json>', 'user_endpoint_config of the campaign', jsonObject)
    .action(
      async (name: string | undefined, options: Where & { config: string; maxConcurrent?: number; options?: Record<string, unknown> }) => {
        await at(options, io, (there) => validateEndpoint(name, options, there));
      },
    );
  for (const verb of ['start', 'stop', 'restart'] as const) {
    const made = add(`${verb} <name>`, `${verb} the endpoint`);
    if (verb !== 'stop') made.option('--debug', 'more lines in endpoint.log').addOption(logLevel());
    made.action(async (name: string, options: Where & { debug?: boolean }) =>
      at(options, io, (there) => controlEndpoint(verb, name, options, there)),
    );
  }
  add('list', 'endpoints of this machine')
    .option('--json')
    .action(async (options: Where & { json?: boolean }) => void (await at(options, io, (there) => printEndpoints(options, there))));
  add('show <name>', 'id, state and folder of an endpoint')
    .option('--json')
    .action(
      async (name: string, options: Where & { json?: boolean }) =>
        void (await at(options, io, (there) => showEndpoint(name, options, there))),
    );
  add('logs <name>', 'last lines of its logs')
    .option('-n, --lines <n>', 'lines of each log', positive, 50)
    .option('--errors', 'the last error only')
    .action(async (name: string, options: Where & { lines: number; errors?: boolean }) =>
      at(options, io, (there) => printEndpointLogs(name, options, there)),
    );
  add('status <name-or-id>', 'online or offline, as the service sees it')
    .option('--json')
    .option('--auth <method>', AUTH_METHODS.join(', '), oneOf(AUTH_METHODS), 'native_client')
    .action(async (target: string, options: Where & { json?: boolean; auth: AuthMethod }) => {
      if (await at(options, io, (there) => endpointStatus(target, options, there))) return;
      throw new CliError(
        'failed',
        'HF-GLOBUS-OFFLINE',
        `endpoint ${target} is offline. Start it on its machine: holdfast endpoint start NAME.`,
      );
    });
  return command;
}
