import { Command, Option } from 'commander';
import type { AdoptOptions } from './adopt.ts';
import { enqueue, type RetryOptions, retry, setBudget, setConcurrency } from './change-commands.ts';
import type { CompareOptions } from './compare.ts';
import { devServerAddress } from './dev-server.ts';
import { endpointCommand } from './endpoint-command.ts';
import { endpointIo } from './endpoint-io.ts';
import { EXIT_CODES, type Exit } from './exit-codes.ts';
import type { GetOptions } from './get.ts';
import { houseCommands } from './house-commands.ts';
import type { ImportanceOptions } from './importance.ts';
import { type InitOptions, init } from './init.ts';
import { PRESETS } from './init-presets.ts';
import type { CliIo } from './io.ts';
import * as look from './look-commands.ts';
import { finite, port, positive, withQuiet } from './option-values.ts';
import type { PlanOptions } from './plan.ts';
import { EXPORTS, exportTrials, report } from './result-commands.ts';
import { siteCommands } from './site-commands.ts';
import { type RunOptions, run, validate } from './start-commands.ts';
import { STEERING, steer, type Verb } from './steer-commands.ts';
import * as table from './table-commands.ts';
import * as trial from './trial-commands.ts';
import { versions } from './version.ts';
import { watch } from './watch.ts';
import type { DevCommandOptions, WorkerOptions } from './worker-commands.ts';

/** Where the exit of the last command goes. */
export type Finish = (exit: Exit) => void;

/** The whole command line. Example: `await program(processIo(), finish).parseAsync(process.argv)`. */
export function program(io: CliIo, finish: Finish): Command {
  const root = new Command('holdfast')
    .description('Hyperparameter-optimisation campaigns that cannot be lost.')
    .showSuggestionAfterError(true)
    .version(versions().holdfast, '-V, --version')
    .configureHelp({ sortSubcommands: false })
    .addHelpText('after', exitTable());

  /** A command with --json and the connection options; its action's answer is the exit. */
  const add = (usage: string, summary: string, action: (...args: never[]) => Promise<Exit>, parent: Command = root) => {
    const command = parent.command(usage).description(summary).option('--json', 'one JSON document instead of text');
    addConnection(command);
    command.action(async (...args: unknown[]) => {
      // Commander appends the options and the command itself to the arguments.
      finish(await (action as (...all: unknown[]) => Promise<Exit>)(...args.slice(0, -1)));
    });
    return command;
  };

  atWork(add, io);
  initCommand(add, io);
  adoption(add, io);
  start(add, io);
  lookAt(add, io);
  steering(root, add, io);
  siteCommands(root, add, io);
  houseCommands(root, add, io);
  root.addCommand(endpoint(io));
  return root;
}

export type Add = (usage: string, summary: string, action: (...args: never[]) => Promise<Exit>, parent?: Command) => Command;

function atWork(add: Add, io: CliIo): void {
  const dev = add('dev', "Temporal's dev server and a worker, for one person on one computer", async (options: DevCommandOptions) =>
    (await import('./worker-commands.ts')).dev(options, io),
  )
    .option('--port <n>', 'port of the server (default 7233, or a free one)', port)
    .option('--ui-port <n>', 'port of the Web UI (default 8233, or a free one)', port)
    .option('--folder <folder>', 'where the server keeps its file');
  const worker = add('worker', 'a worker for workflows and for the systems named', async (options: WorkerOptions) =>
    (await import('./worker-commands.ts')).worker(options, io),
  );
  for (const command of [dev, worker]) {
    withQuiet(command)
      .option('-s, --systems <names>', 'systems whose work this worker does', names, ['local'])
      .option('-l, --log-level <level>', 'trace, debug, info, warn, error, silent', 'info');
  }
}

function names(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function start(add: Add, io: CliIo): void {
  add('validate <file>', 'check a campaign file and list every problem; needs no server', (file: string, options: { json?: boolean }) =>
    validate(file, options, io),
  );
  add('run <file>', 'start a campaign and return its id', (file: string, options: RunOptions) => run(file, options, io))
    .option('-m, --trials <n>', "trials in all, instead of the file's", positive)
    .option('--concurrency <n>', "trials in flight at most, instead of the file's", positive)
    .option('--from <campaign>', 'begin with the results of an earlier campaign, or of its results folder')
    .option('--id <id>', 'id of the campaign (default: <name>-<n>)')
    .option('-w, --watch', 'watch it until the end; Ctrl-C leaves the view, never the campaign')
    .option('-q, --quiet', 'only the id; with --watch only how it ended');
  add(
    'plan <file>',
    'what a campaign would do: first points, jobs, node-hours, every default; needs no server and starts nothing',
    async (file: string, options: PlanOptions) => (await import('./plan.ts')).plan(file, options, io),
  ).option('-n, --points <n>', 'first points', positive, 5);
}

function adoption(add: Add, io: CliIo): void {
  const collect = (value: string, earlier: readonly string[]) => [...earlier, value];
  add(
    'adopt <source...>',
    'results of earlier campaigns, CSV, JSON Lines or Optuna studies as the warm start of a campaign file',
    async (sources: string[], options: AdoptOptions) => (await import('./adopt.ts')).adopt(sources, options, io),
  )
    .requiredOption('--into <file>', 'the campaign file that is to begin with them')
    .option('-o, --out <file>', 'where they are written ("-" is the terminal; default: warm-start.jsonl, points.yaml with --points)')
    .option('-n, --limit <n>', 'at most this many: the best half and a spread of the rest', positive, 500)
    .option('--points <n>', 'instead: the best n points, as a list for `enqueue`, to be tried again', positive)
    .option('--rename <theirs=ours>', 'another name of a parameter or metric; may be repeated', collect, [])
    .option('--fixed <name=value>', 'what a parameter was in all of their trials; may be repeated', collect, [])
    .option('--study <name>', 'of several Optuna studies');
}

function initCommand(add: Add, io: CliIo): void {
  add('init [file]', 'write a campaign file to start from', (file: string | undefined, options: InitOptions) =>
    init(file ?? 'campaign.yaml', options, io),
  )
    .option(
      '-p, --preset <name>',
      Object.entries(PRESETS)
        .map(([name, { summary }]) => `${name}: ${summary}`)
        .join('; '),
      'own',
    )
    .option('--name <name>', "the campaign's name (default: the file's)")
    .option('--system <name>', 'quick, standard, thorough: a profile of config/systems')
    .option('--account <name>', 'quick, standard, thorough: the project that pays')
    .option('--queue <name>', 'quick, standard, thorough: its queue')
    .option('--endpoint-id <uuid>', 'quick, standard, thorough: a Globus Compute endpoint instead')
    .option('--data-dir <folder>', 'quick, standard, thorough: the data set on the system')
    .option('--force', 'replace the file');
}

function lookAt(add: Add, io: CliIo): void {
  add('ls', 'list campaigns', (options: { limit: number }) => look.ls(options, io)).option(
    '-n, --limit <n>',
    'at most this many',
    positive,
    50,
  );
  add('status [campaign]', 'one screen: state, best, what it waits for', (name: string | undefined, options: object) =>
    look.status(name, options, io),
  );
  withQuiet(
    add(
      'watch [campaign]',
      'live view until the end; Ctrl-C leaves it, the campaign goes on',
      (name: string | undefined, options: object) => watch(name, options, io),
    ),
  );
  add('best [campaign]', 'the best trials', (name: string | undefined, options: table.BestOptions) => table.best(name, options, io))
    .option('-n, --count <n>', 'how many', positive, 5)
    .option('--config <format>', 'the best point alone, ready to be used: yaml, json or argv');
  add('trials [campaign]', 'the table of trials', (name: string | undefined, options: table.TrialsOptions) =>
    table.trials(name, options, io),
  )
    .option('-s, --state <state>', 'only those: queued, running, completed, pruned, failed, cancelled')
    .option('-n, --limit <n>', 'at most this many, the newest', positive, 50);
  add('errors [campaign]', 'failures by class, with examples and what to do', (name: string | undefined, options: object) =>
    table.errors(name, options, io),
  );
  add(
    'logs <campaign> [trial]',
    'output of a trial: `logs digits-1 7` or `logs digits-1/trial-0007`',
    (first: string, second: string | undefined, options: trial.LogsOptions) => trial.logs(first, second, options, io),
  )
    .option('-f, --follow', 'go on as it grows, until the trial ends')
    .option('--stderr', 'stderr instead of stdout')
    .option('--all', 'all that was written about it, fetched from where it ran: training, agent, batch job, endpoint')
    .option('-n, --lines <n>', 'only the last lines', positive)
    .option('-a, --attempt <n>', 'an earlier attempt', positive);
  add(
    'get <campaign> [trial] [file]',
    'a file of a trial, fetched from the system where it is not here; without a file the list',
    async (...words: [string, string | undefined, string | undefined, GetOptions]) =>
      (await import('./get.ts')).get(
        words.slice(0, 3).filter((word): word is string => typeof word === 'string'),
        words[3],
        io,
      ),
  )
    .option('-o, --out <path>', 'a file or folder to put it into; "-" prints it')
    .option('-a, --attempt <n>', 'an earlier attempt', positive)
    .option('--max-bytes <n>', 'refuse larger files of a remote system (default 512 MiB)', positive);
  add(
    'why <campaign> [trial]',
    'why a trial stands where it stands, with evidence',
    (first: string, second: string | undefined, options: object) => trial.why(first, second, options, io),
  );
  add(
    'repro <campaign> [trial]',
    'shell script that runs a trial again by hand',
    (first: string, second: string | undefined, options: object) => trial.repro(first, second, options, io),
  );
  add(
    'importance [campaign]',
    'how much each parameter matters (a campaign, or a results folder: needs no server)',
    async (name: string | undefined, options: ImportanceOptions) => (await import('./importance.ts')).importance(name, options, io),
  )
    .option('--objective <metric>', 'of several objectives')
    .option('--quantile <share>', 'what matters for being among the best 0.1 of the trials (PED-ANOVA), say', finite)
    .option('--space <file>', 'the search space, for a table without its campaign.json')
    .addOption(new Option('--direction <way>', 'for a table without its campaign').choices(['minimize', 'maximize']));
  add(
    'compare <campaign...>',
    'campaigns with the same objective, at equal trials and hours, and where their settings differ; results folders need no server',
    async (names: string[], options: CompareOptions) => (await import('./compare.ts')).compare(names, options, io),
  )
    .option('--optimum <value>', 'regret is measured from here (default: the best of all)', finite)
    .option('--direction <way>', 'minimize or maximize, for a table without its campaign');
  add(
    'report [campaign]',
    'make tables, summary and report.html again from the history',
    (name: string | undefined, options: { out?: string }) => report(name, options, io),
  ).option('-o, --out <folder>', 'write them there');
  const exports = add('export [campaign]', 'trials for other tools', (name: string | undefined, options: Record<string, unknown>) =>
    exportTrials(name, options, io),
  );
  for (const [format, { summary }] of Object.entries(EXPORTS)) exports.option(`--${format} <file>`, `${summary} ("-" is the terminal)`);
}

function steering(root: Command, add: Add, io: CliIo): void {
  for (const verb of Object.keys(STEERING) as Verb[]) {
    const command = add(
      `${verb} [campaign]`,
      STEERING[verb].summary,
      (name: string | undefined, options: { reason?: string; yes?: boolean }) => steer(verb, name, options, io),
    );
    if (verb === 'drain' || verb === 'stop') command.option('--reason <words>', 'why, for the report');
    if (STEERING[verb].question !== undefined) command.option('-y, --yes', 'do not ask');
  }
  add(
    'enqueue <campaign> [point...]',
    'try your own point next: name=value …',
    (name: string, pairs: string[], options: { file?: string }) => enqueue(name, pairs, options, io),
  ).option('-f, --file <file>', 'a point or a list of points, YAML or JSON');
  add(
    'retry <campaign> [trial...]',
    'failed trials run again, each from its last checkpoint: all of them, those named, or those of a class',
    (name: string, trials: string[], options: RetryOptions) => retry(name, trials, options, io),
  ).option('--class <names>', 'failure classes (holdfast errors), or infrastructure, trial');
  const set = root.command('set').description('change a running campaign');
  add(
    'concurrency <campaign> <n>',
    'trials in flight at most',
    (name: string, value: string, options: object) => setConcurrency(name, value, options, io),
    set,
  );
  add('budget <campaign>', 'limits; what is not named stays', (name: string, options: object) => setBudget(name, options, io), set)
    .option('--trials <n>', 'trials in all')
    .option('--wall <time>', 'wall time from the start: 90m, 6h, 2d')
    .option('--node-hours <h>', 'node-hours')
    .option('--until <instant>', 'deadline, ISO 8601 with a zone');
}

/** Temporal's own names; they set its environment variables, so profiles, TLS and API keys work as everywhere. */
function addConnection(command: Command): void {
  for (const [flag, variable, summary] of [
    ['--address <host:port>', 'TEMPORAL_ADDRESS', 'Temporal server'],
    ['--namespace <name>', 'TEMPORAL_NAMESPACE', 'Temporal namespace'],
    ['--profile <name>', 'TEMPORAL_PROFILE', 'profile of temporal.toml'],
  ] as const) {
    command.addOption(new Option(flag, `${summary} (default: ${variable})`).hideHelp(flag !== '--address <host:port>'));
  }
  command.hook('preAction', (_, action) => {
    const options = action.opts<{ address?: string; namespace?: string; profile?: string }>();
    if (options.address !== undefined) process.env.TEMPORAL_ADDRESS = options.address;
    if (options.namespace !== undefined) process.env.TEMPORAL_NAMESPACE = options.namespace;
    if (options.profile !== undefined) process.env.TEMPORAL_PROFILE = options.profile;
    const here = devServerAddress(process.env);
    if (here !== undefined) process.env.TEMPORAL_ADDRESS = here;
  });
}

/** The endpoint commands have their own outside; what they print goes where the others print. */
function endpoint(io: CliIo): Command {
  const terminal = { input: io.input, output: io.errors };
  return endpointCommand({ ...endpointIo(io.env), terminal, write: (text) => void io.output.write(text) });
}

function exitTable(): string {
  const rows = Object.values(EXIT_CODES).map(({ status, meaning }) => `  ${status}  ${meaning}`);
  return `\nExit status:\n${rows.join('\n')}\n\nThe server comes from Temporal's own configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS*, temporal.toml).`;
}
