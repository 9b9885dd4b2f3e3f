import type { Command } from 'commander';
import { suggest } from '../spec/problem.ts';
import type { AnalyzeOptions } from './analyze.ts';
import type { AskTellCommandOptions } from './ask-tell.ts';
import { ASK_TELL, withAskTellOptions } from './ask-tell-command.ts';
import type { DataOptions } from './data.ts';
import type { DeployOptions } from './deploy.ts';
import type { DiagnosisKind, DiagOptions } from './diag.ts';
import type { DiagSystemOptions } from './diag-system.ts';
import type { DoctorOptions } from './doctor.ts';
import { CliError, type Exit } from './exit-codes.ts';
import type { HealthOptions } from './health.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import type { LoginOptions } from './login.ts';
import { positive, whole, withQuiet } from './option-values.ts';
import type { Add } from './program.ts';

/** Commands about systems, endpoints and data. Their modules are loaded when they are called: `holdfast ls` has no use for ssh. */
export function siteCommands(root: Command, add: Add, io: CliIo): void {
  add(
    'login <system>',
    'log in to a system, to Globus Compute (`login globus`) or to the inference service (`login inference`)',
    (system: string, options: LoginCommand) => login(system, options, io),
  )
    .option('--check', 'only say how it stands; never logs in')
    .option('--logout', 'end the connection')
    .option('--node <name>', 'a certain login node')
    .option('--client', 'globus: check the client id and secret of the environment');
  add(
    'doctor [systems...]',
    'checks this computer and the systems named, a line each with what to do',
    async (systems: string[], options: DoctorOptions) => (await import('./doctor.ts')).doctor(systems, options, io),
  ).option('-c, --config <file>', 'a campaign file: checked too, with its own system and the key of its language model');
  add(
    'health [system]',
    'the scheduled check of a system: login, endpoint, versions',
    async (system: string | undefined, options: HealthOptions) => (await import('./health.ts')).health(system, options, io),
  )
    .option('--every <time>', 'check it so often from now on: 10m, 1h')
    .option('--off', 'check it no more')
    .option('--now', 'check it at once and wait for the report')
    .option('-e, --endpoint-id <uuid>', 'with --every: an endpoint to watch besides those in use');
  const systems = root.command('systems').description('profiles of systems');
  add(
    'list',
    'the profiles that there are',
    async (options: CommonOptions) => (await import('./systems.ts')).listSystems(options, io),
    systems,
  );
  add(
    'show <name>',
    'queues, limits and slots of a profile',
    async (name: string, options: CommonOptions) => (await import('./systems.ts')).showSystem(name, options, io),
    systems,
  );
  add(
    'diff <name>',
    'a profile beside what the site says now; needs a login',
    async (name: string, options: CommonOptions) => (await import('./systems.ts')).diffSystem(name, options, io),
    systems,
  );
  add(
    'reset <name>',
    'submit pilots again after the cause of repeated failures was mended (closes the circuit breaker)',
    async (name: string, options: CommonOptions) => (await import('./reset-system.ts')).resetSystem(name, options, io),
    systems,
  );
  add(
    'render-job <file>',
    'the job script that a campaign would submit; nothing is sent',
    async (file: string, options: CommonOptions & { all?: boolean }) => (await import('./render.ts')).render(file, options, io),
  ).option('--all', 'also the files that it starts');
  withQuiet(
    add('deploy <system>', 'repository, Python environment and data set on a system', async (system: string, options: DeployOptions) =>
      (await import('./deploy.ts')).deploy(system, options, io),
    )
      .requiredOption('-c, --config <file>', 'the plan')
      .option('-a, --action <step>', 'repo, python, dataset, verify or all', 'all'),
  );
  add('data <set> <folder>', 'fetch, check and repair a data set: cifar100', async (set: string, folder: string, options: DataOptions) =>
    (await import('./data.ts')).data(set, folder, options, io),
  )
    .option('--from <path>', 'an archive or folder that is already here')
    .option('--url <url>', 'another place to fetch it from')
    .option('--verify', 'only look')
    .option('--generate', 'a synthetic stand-in of the same format')
    .option('--train-images <n>', 'of the stand-in', whole)
    .option('--test-images <n>', 'of the stand-in', whole)
    .option('--seed <n>', 'of the stand-in', whole)
    .option('--detach', 'go on in the background')
    .option('--status', 'how far the background is')
    .option('--keep-archive', 'do not remove the archive');
  add('analyze <folder>', 'every results.json below a folder; needs no server', async (folder: string, options: AnalyzeOptions) =>
    (await import('./analyze.ts')).analyze(folder, options, io),
  )
    .option('-o, --out <file>', 'the whole summary as JSON')
    .option('--minimize', 'smaller is better')
    .option('--data <folder>', 'describe this data set as well');
  withAskTellOptions(
    add('ask-tell', ASK_TELL, async (options: AskTellCommandOptions) => (await import('./ask-tell.ts')).runAskTell(options, io)),
  );
  add(
    'recover',
    "a campaign's table and report from its launch folder alone, without its server",
    async (options: CommonOptions & { from: string; out?: string }) => (await import('./recover.ts')).recover(options, io),
  )
    .requiredOption('--from <system:folder>', 'the launch folder; `local:FOLDER` is on this computer')
    .option('-o, --out <folder>', 'write them there');
  add(
    'diag <what>',
    'a PBS system: what a training finds on one of its nodes, by one short job; with -e real tasks on a Globus Compute endpoint: connectivity, torch, parallel, training, aurora, comprehensive; `inference`: the language model of a campaign',
    async (what: string, options: DiagCommand) => diagnose(what, options, io),
  )
    .option('-e, --endpoint-id <uuid>', 'the endpoint')
    .option('-c, --config <file>', 'with `inference`: the campaign file with its llm block')
    .option('--account <name>', 'PBS: allocation that pays for the job')
    .option('--queue <name>', "PBS: instead of the profile's default queue")
    .option('--walltime <time>', 'PBS: of the job (10m)')
    .option('--auth <method>', 'native_client, confidential_client or client_credentials')
    .option('-n, --num-jobs <n>', 'trainings', positive)
    .option('--epochs <n>', 'epochs of each', positive)
    .option('--seed <n>', 'of their parameters', whole)
    .option('--tasks <n>', 'tasks at once of `parallel`', positive)
    .option('--max-wait-minutes <n>', 'longest wait', positive)
    .option('--training <name>', 'which training')
    .option('--data-dir <folder>', 'data set on the system')
    .option('--base <folder>', 'folder on the system')
    .option('--python <path>', 'python on the system')
    .option('--show-detailed-errors', 'whole errors')
    .option('-q, --quiet', 'no progress: only verdicts and errors');
}

interface LoginCommand extends LoginOptions, CommonOptions {
  readonly client?: boolean;
}

async function login(system: string, options: LoginCommand, io: CliIo): Promise<Exit> {
  if (system === 'globus') {
    const { loginGlobus, logoutGlobus } = await import('./login-globus.ts');
    if (options.logout === true) await logoutGlobus({ ...io, output: io.errors });
    const namespace = options.logout === true ? null : await loginGlobus({ client: options.client === true }, { ...io, output: io.errors });
    if (namespace !== null) await (await import('./wake-globus.ts')).wakeGlobusSystems(io);
    print(io, options, { system, namespace, loggedIn: namespace !== null }, '');
    return 'ok';
  }
  if (system === 'inference') {
    const file = await (await import('./login-inference.ts')).loginInference('alcf', { ...io, output: io.errors });
    print(io, options, { system, file, loggedIn: true }, '');
    return 'ok';
  }
  const [{ login: logIn, wakeSystem }, { loadProfile }] = await Promise.all([import('./login.ts'), import('../spec/load-profile.ts')]);
  const profile = loadProfile(system, { env: io.env });
  if (profile.kind !== 'pbs') {
    throw new CliError(
      'usage',
      'HF-USAGE',
      `${system} is of kind ${profile.kind} and needs no SSH login.${profile.kind === 'globus_compute' ? ' Run: holdfast login globus' : ''}`,
    );
  }
  const wake = (name: string) =>
    withClient((client) => wakeSystem(client.workflow, name)).catch(async (error: unknown) => {
      const { TemporalUnreachable } = await import('../temporal/connection.ts');
      // The login stands without Temporal, and before the first `holdfast dev` there is nobody to tell.
      const why =
        error instanceof TemporalUnreachable ? 'no Temporal server answers' : error instanceof Error ? error.message : String(error);
      io.errors.write(
        `No campaign was told (${why}). If one waits for this login, run holdfast login ${name} again when the server is up.\n`,
      );
    });
  const state = await logIn(system, profile.ssh, options, {
    input: io.input,
    output: options.json === true ? io.errors : io.output,
    env: { ...io.env },
    wake,
  });
  if (options.json === true) print(io, options, { system, ...state }, '');
  return state.kind === 'ready' || options.logout === true ? 'ok' : 'needsLogin';
}

interface DiagCommand extends Omit<DiagOptions, 'endpointId'>, DiagSystemOptions {
  readonly endpointId?: string;
  readonly config?: string;
}

async function diagnose(what: string, { endpointId, config, ...options }: DiagCommand, io: CliIo): Promise<Exit> {
  if (what === 'inference') {
    if (config === undefined) throw new CliError('usage', 'HF-USAGE', 'diag inference needs the campaign file: -c FILE.');
    return (await import('./diag-inference.ts')).diagInference({ ...options, config }, io);
  }
  const { DIAGNOSES, diag } = await import('./diag.ts');
  const kind = DIAGNOSES.find((name): name is DiagnosisKind => name === what);
  if (kind !== undefined && endpointId !== undefined) return diag(kind, { ...options, endpointId }, io);
  // Without an endpoint `aurora` is the PBS system of that name.
  const { profileFolders, profileNames } = await import('../spec/load-profile.ts');
  const systems = profileNames(profileFolders(process.cwd()));
  if (what.includes('/') || systems.includes(what)) return (await import('./diag-system.ts')).diagSystem(what, options, io);
  if (kind === undefined)
    throw new CliError(
      'usage',
      'HF-USAGE',
      `diag ${what} is not known. ${suggest(what, [...new Set([...DIAGNOSES, 'inference', ...systems])])}`,
    );
  throw new CliError('usage', 'HF-USAGE', `diag ${kind} needs the endpoint: -e UUID. \`holdfast endpoint show NAME\` prints it.`);
}
