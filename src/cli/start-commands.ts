import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import type { CampaignSpec } from '../domain/campaign.ts';
import { TASK_QUEUE } from '../domain/ids.ts';
import { admitCampaign } from '../spec/admit.ts';
import { BadSpec } from '../spec/bad-spec.ts';
import { isMapping, readSource } from '../spec/source.ts';
import { inlineWarmStart } from '../spec/warm-start.ts';
import { quoteWord } from '../ssh/quote.ts';
import { budgetWords } from '../view/budget.ts';
import { plural } from '../view/format.ts';
import { tellingOrder } from '../view/parameters.ts';
import { isHeld, isPolled } from './absent-worker.ts';
import { CliError, type Exit, withCode } from './exit-codes.ts';
import { withFoldersHere } from './folders-here.ts';
import { idleModel } from './idle-model.ts';
import { type CliIo, type CommonOptions, print, type QuietOptions, withClient } from './io.ts';
import { lostScript } from './lost-script.ts';
import { unreadParameters } from './unread-parameters.ts';
import { watchCampaign } from './watch.ts';

/** `holdfast validate FILE`: every problem of a campaign file at once; needs no server. */
export async function validate(file: string, options: CommonOptions, io: CliIo): Promise<Exit> {
  try {
    const spec = await admitCampaign(file);
    const warnings = await warningsOf(spec);
    const told = warnings.map((warning) => `\nWARN ${warning}`).join('');
    print(io, options, { file, valid: true, problems: [], warnings, spec }, `${file} is fine: ${describeSpec(spec)}.${told}`);
    return 'ok';
  } catch (error) {
    if (!(error instanceof BadSpec)) throw error;
    if (options.json === true) print(io, options, { file, valid: false, problems: error.problems }, '');
    else io.errors.write(`${withCode(error)}\n`);
    return 'usage';
  }
}

/** What is no mistake and yet hardly meant: code or a script that is not there, a parameter that it does not read, a model that is never asked, more trials at once than the endpoint's own file has workers for. */
async function warningsOf(spec: CampaignSpec): Promise<string[]> {
  const { bundle } = spec.training;
  const missing =
    bundle === undefined || existsSync(bundle)
      ? []
      : [
          `training.bundle: there is no folder ${bundle} here. The worker then looks for it where it was started; without it the campaign fails at once.`,
        ];
  return [
    ...missing,
    ...(await lostScript(spec)),
    ...(await unreadParameters(spec)),
    ...idleModel(spec),
    ...(await endpointWarnings(spec)),
  ];
}

async function endpointWarnings(spec: CampaignSpec): Promise<string[]> {
  if (spec.system.kind !== 'globus_compute') return [];
  const [{ endpointCapacity }, { campaignSettings }] = await Promise.all([
    import('../systems/globus/endpoint-capacity.ts'),
    import('../systems/globus/options.ts'),
  ]);
  const capacity = await endpointCapacity(campaignSettings(spec.system.settings), process.cwd(), spec.concurrency);
  return capacity?.warning === undefined ? [] : [capacity.warning];
}

/** A campaign in one line. */
export function describeSpec(spec: CampaignSpec): string {
  const goal = spec.objectives.map(({ metric, direction }) => `${direction} ${metric}`).join(', ');
  const known = spec.warmStart === undefined ? '' : ` with ${plural(spec.warmStart.length, 'result')} of earlier campaigns`;
  const budget = budgetWords(spec.budget);
  return `${goal} over ${plural(tellingOrder(spec.space).length, 'parameter')}, sampler ${spec.sampler.type}${known}, system ${spec.system.name}, ${budget.length === 0 ? 'no budget limit' : budget.join(', ')}`;
}

/** What the command line says over the file. */
export interface Overrides {
  readonly trials?: number;
  readonly concurrency?: number;
}

export interface RunOptions extends QuietOptions, Overrides {
  readonly id?: string;
  /** An earlier campaign whose results it begins with. */
  readonly from?: string;
  readonly watch?: boolean;
}

/** An id is typed again and again, and copied from what other commands print: one that a shell would take apart is refused. */
function refuseOddId(id: string | undefined): void {
  if (id === undefined || (id !== '' && quoteWord(id) === id && !id.startsWith('-'))) return;
  throw new CliError('usage', 'HF-USAGE', `--id ${quoteWord(id)} is no id. Use letters, digits, ".", "_" and "-", like digits-1.`);
}

/**
 * `holdfast run FILE`: checks the file here, then starts the campaign with its content (a later change of the file changes nothing that runs).
 * Returns at once with the id (`quiet`: nothing but the id), or watches until the end.
 */
export async function run(file: string, options: RunOptions, io: CliIo): Promise<Exit> {
  refuseOddId(options.id);
  const read = inlineWarmStart(readSource(file, process.cwd()).value, process.cwd()) as Readonly<Record<string, unknown>>;
  const isChanged = options.trials !== undefined || options.concurrency !== undefined || options.from !== undefined;
  // The file first: its mistakes have lines, and a campaign without a name has the file's, which its content alone does not tell.
  const own = await admitCampaign(file);
  const content = overridden(named(read, own.name), options);
  const { value, note = '' } =
    options.from === undefined ? { value: content } : await (await import('./go-on.ts')).withResultsOf(options.from, content, own);
  const spec = isChanged ? await admitCampaign(value) : own;
  return withClient<Exit>(async (client) => {
    const campaign = await startCampaign(client, await withFoldersHere(client, value, spec), spec, file, options.id);
    const warnings = await warningsOf(spec);
    if (options.json !== true) for (const warning of warnings) io.errors.write(`WARN ${warning}\n`);
    const absent = await absentWorker(client, spec.system.name);
    const hasWorker = absent === undefined;
    const next = [note, absent ?? `Watch it: holdfast watch ${campaign}`].filter((part) => part !== '').join(' ');
    if (options.watch === true) {
      if (options.quiet !== true || !hasWorker) io.errors.write(`${campaign} started.${hasWorker && note === '' ? '' : ` ${next}`}\n`);
      return watchCampaign(client, campaign, io, options);
    }
    // With --quiet the id alone, for `id=$(holdfast run …)`.
    print(io, options, { campaign, hasWorker, warnings }, options.quiet === true ? campaign : `${campaign} started. ${next}`);
    return 'ok';
  });
}

/** What a new campaign must wait for, in words; undefined when workers are there. */
async function absentWorker(client: Client, system: string): Promise<string | undefined> {
  const [isServed, hasHolder] = await Promise.all([isPolled(client), isHeld(client, system)]);
  if (isServed && hasHolder) return undefined;
  const what = isServed ? `No worker holds system ${system} yet` : 'No worker polls the task queue yet';
  return `${what}; the campaign waits for one: holdfast worker --systems ${system}`;
}

/** The content with the name under which it was admitted, where it has none of its own. */
function named(content: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  const { experiment } = content;
  const hasName = content.name !== undefined || (isMapping(experiment) && experiment.name !== undefined);
  return hasName ? content : { ...content, name };
}

/** The file's content with the command line's values in the place where the file has, or would have, its own. */
export function overridden(
  value: Readonly<Record<string, unknown>>,
  { trials, concurrency }: Overrides,
): Readonly<Record<string, unknown>> {
  const part = (of: unknown) => (typeof of === 'object' && of !== null ? (of as Readonly<Record<string, unknown>>) : {});
  const globus = part(value.globus_compute);
  const isGlobus = concurrency !== undefined && part(globus.parallel_jobs).max_concurrent !== undefined;
  return {
    ...value,
    ...(trials === undefined ? {} : { budget: { ...part(value.budget), trials } }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(isGlobus ? { globus_compute: { ...globus, parallel_jobs: { ...part(globus.parallel_jobs), max_concurrent: concurrency } } } : {}),
  };
}

const MOST_ATTEMPTS = 1000;

/** Starts under the id given, or under the first free `<name>-<n>`. Throws CliError for an id in use. */
async function startCampaign(client: Client, source: unknown, spec: CampaignSpec, file: string, id?: string): Promise<string> {
  const name = workflowName(spec.name || basename(file).replace(/\.[^.]+$/, ''));
  const first = id === undefined ? await firstFree(client, name) : 0;
  for (let number = first; number < first + MOST_ATTEMPTS; number += 1) {
    const workflowId = id ?? `${name}-${number}`;
    try {
      await client.workflow.start('hpoCampaign', {
        args: [source],
        taskQueue: TASK_QUEUE,
        workflowId,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        staticSummary: (spec.description ?? spec.name).slice(0, 200),
        memo: { file: resolve(file) },
      });
      return workflowId;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      if (id !== undefined) throw await inUse(client, id);
    }
  }
  throw new CliError('failed', 'HF-ID-IN-USE', `No free id ${name}-<n> was found. Give one with --id.`);
}

async function inUse(client: Client, id: string): Promise<CliError> {
  const { status } = await client.workflow.getHandle(id).describe();
  const next =
    status.name === 'RUNNING'
      ? `Watch it (holdfast watch ${id}) or choose another id.`
      : `Its results stay under that id; choose another one.`;
  return new CliError('failed', 'HF-ID-IN-USE', `The campaign id ${id} is in use (${status.name.toLowerCase()}). ${next}`);
}

async function firstFree(client: Client, name: string): Promise<number> {
  for (let number = 1; ; number += 1) {
    try {
      await client.workflow.getHandle(`${name}-${number}`).describe();
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return number;
      throw error;
    }
  }
}

/** Letters, digits, dots, dashes and underscores: an id that needs no quoting in a shell and makes a fair folder name. */
export function workflowName(name: string): string {
  return (
    name
      .replaceAll('ß', 'ss')
      .normalize('NFKD')
      // Marks on letters, which the line above has set apart.
      .replace(/\p{Mn}+/gu, '')
      .replace(/[^\w.-]+/g, '-')
      .replace(/-{2,}/g, '-')
      .replace(/^[-.]+|[-.]+$/g, '')
      .slice(0, 60) || 'campaign'
  );
}
