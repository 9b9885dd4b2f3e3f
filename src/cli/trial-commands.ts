import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { type CampaignDescription, type CampaignStatus, type SystemStatus, type TrialView, trialQuery } from '../../workflows/messages.ts';
import { FAILURE_TABLE } from '../domain/failures.ts';
import { trialName, trialWorkflowId } from '../domain/ids.ts';
import { attemptFolder } from '../systems/spool/paths.ts';
import { endWords, isEarlyStop } from '../view/end-words.ts';
import { age, duration, instant, measured } from '../view/format.ts';
import { valueMarks } from '../view/synthetic.ts';
import { ask, askDescription, askStatus, askSystem } from './ask-campaign.ts';
import { findCampaign, trialArgument } from './campaigns.ts';
import { commandOf } from './command-line.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, painter, print, withClient } from './io.ts';
import { followFile, lastLines, printFile } from './log-files.ts';
import { reproScript } from './repro-script.ts';

/** What the commands about one trial start from. */
export interface TrialFile {
  readonly campaign: string;
  readonly number: number;
  readonly view: TrialView;
  readonly description: CampaignDescription;
  /** The attempt's folder below the launch folder, on this computer and on the system, once the launch folder is made. */
  readonly directory?: string;
  readonly folder?: string;
  readonly remoteFolder?: string;
}

/** Which trial is meant, what it says of itself, and where its files lie. Throws CliError. */
export async function trialFile(client: Client, first: string, second: string | undefined, attempt?: number): Promise<TrialFile> {
  const { campaign: named, number } = trialArgument(first, second);
  const campaign = await findCampaign(client, named);
  const description = await askDescription(client, campaign);
  const view = await ask(client.workflow.getHandle(trialWorkflowId(campaign, number)), trialQuery).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') {
      throw new CliError(
        'usage',
        'HF-NO-TRIAL',
        `${campaign} has no trial ${number}, or Temporal keeps it no longer. See holdfast trials ${campaign} and its results folder.`,
      );
    }
    throw error;
  });
  const { launch, spec } = description;
  if (launch === undefined) return { campaign, number, view, description };
  const directory = attemptFolder(spec.workingDirs.jobPattern, trialName(number), attempt ?? view.attempt);
  return {
    campaign,
    number,
    view,
    description,
    directory,
    folder: path.join(launch.localDirectory, directory),
    remoteFolder: path.posix.join(launch.directory, directory),
  };
}

export interface LogsOptions extends CommonOptions {
  readonly follow?: boolean;
  readonly stderr?: boolean;
  /** Everything that has something to say about it, from where it ran. */
  readonly all?: boolean;
  readonly lines?: number;
  readonly attempt?: number;
}

/** `holdfast logs TRIAL [-f] [--stderr]`: the training's own words. Files of a remote system are here once the trial has ended. */
export function logs(first: string, second: string | undefined, options: LogsOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    if (options.all === true) return (await import('./trial-logs.ts')).allLogs(client, [first, second], options, io);
    const trial = await trialFile(client, first, second, options.attempt);
    const name = options.stderr === true ? 'stderr.log' : 'stdout.log';
    const file = trial.folder === undefined ? undefined : path.join(trial.folder, name);
    const isOpen = trial.view.outcome === undefined;
    if (file === undefined || !(existsSync(file) || (options.follow === true && isOpen))) {
      // Log files are made with their first byte.
      if (trial.folder === undefined || !existsSync(path.join(trial.folder, 'started'))) throw notHere(trial, name);
      print(io, options, { trial: trial.number, file: null, text: '' }, '');
      if (options.json !== true)
        io.errors.write(
          `Trial ${trial.number} ${isOpen ? 'has printed' : 'printed'} nothing to ${name.replace('.log', '')}.${otherStream(trial, name)}\n`,
        );
      return 'ok';
    }
    if (options.json === true) {
      print(io, options, { trial: trial.view.number, file, text: lastLines(file, options.lines ?? 1000) }, '');
      return 'ok';
    }
    if (options.follow === true) {
      const handle = client.workflow.getHandle(trialWorkflowId(trial.campaign, trial.number));
      const hasEnded = async () => (await handle.describe()).status.name !== 'RUNNING';
      await followFile(file, io, hasEnded);
    } else await printFile(file, io, options.lines);
    return 'ok';
  });
}

/** Where the words are that somebody looks for in vain. */
function otherStream({ folder, campaign, number }: TrialFile, name: string): string {
  const isOther = name === 'stdout.log' && existsSync(path.join(folder ?? '', 'stderr.log'));
  return isOther ? ` Its stderr: holdfast logs ${campaign} ${number} --stderr` : '';
}

function notHere({ view, campaign, number, remoteFolder, description }: TrialFile, name: string): CliError {
  const { system } = description.spec;
  if (view.attempts.every((attempt) => attempt.startedAt === undefined) && view.outcome === undefined) {
    return new CliError(
      'failed',
      'HF-NO-LOG',
      `Trial ${number} of ${campaign} has not started yet: ${view.headline}. See holdfast why ${campaign} ${number}.`,
    );
  }
  const where = remoteFolder === undefined ? '' : ` It lies at ${remoteFolder}/${name} on ${system.name}`;
  const next = view.outcome === undefined && system.kind !== 'local' ? ' and is fetched when the trial ends.' : '.';
  return new CliError('failed', 'HF-NO-LOG', `${name} of trial ${number} is not on this computer.${where}${where === '' ? '' : next}`);
}

/** `holdfast why TRIAL`: the chain of reasons with its evidence, the last lines of stderr, and what to do. */
export function why(first: string, second: string | undefined, options: CommonOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const trial = await trialFile(client, first, second);
    const now = await askStatus(client, trial.campaign);
    const system = await askSystem(client, trial.description.spec.system.name);
    const stderr = trial.folder === undefined ? '' : readable(path.join(trial.folder, 'stderr.log'));
    const chain = reasons(trial.view, now, system);
    const text = [
      `${trial.campaign} trial ${trial.number}: ${trial.view.state}`,
      // The evidence of its failure is the end of the same file.
      ...chain.filter((line) => stderr === '' || !line.startsWith('| ')).map((line) => `  ${line}`),
      ...(stderr === ''
        ? []
        : ['', `last lines of stderr (${trial.folder}/stderr.log):`, ...stderr.split('\n').map((line) => `  | ${line}`)]),
    ].join('\n');
    print(io, options, { campaign: trial.campaign, trial: trial.view, reasons: chain, stderr, folder: trial.folder ?? null }, text);
    return 'ok';
  });
}

const LOG_LINES = 20;
/** Letters of the agent's sha256 that name its folder (src/systems/spool/agent-files.ts). */
const AGENT_FOLDER_LENGTH = 16;

function readable(file: string): string {
  return existsSync(file) ? lastLines(file, LOG_LINES).trimEnd() : '';
}

/** Why a trial stands where it stands, from the trial up to its campaign and its system. */
export function reasons(view: TrialView, campaign: CampaignStatus, system: SystemStatus | undefined): string[] {
  const isOpen = view.outcome === undefined;
  const failure = view.outcome?.failure ?? view.attempts.at(-1)?.failure;
  return [
    view.headline,
    `proposed by ${view.origin}${view.note === undefined ? '' : `: ${view.note}`}`,
    ...view.attempts.map((attempt) => {
      const place = attempt.pilot === undefined ? '' : ` on ${attempt.pilot}, slot ${attempt.slot ?? '?'}`;
      const began =
        attempt.startedAt === undefined
          ? attempt.pilot === undefined
            ? 'not started'
            : 'ran between two looks'
          : `started ${instant(attempt.startedAt)} after ${age((attempt.startedAt - attempt.offeredAt) / 1000)} of waiting`;
      const end = attempt.failure === undefined ? (attempt.end ?? '') : endWords(view.state, attempt.failure);
      return `attempt ${attempt.attempt}${place}: ${began}${end === '' ? '' : `; ${end}`}`;
    }),
    ...(view.outcome?.values === undefined
      ? []
      : [
          `result ${view.outcome.values.map(measured).join(', ')} after ${duration(view.outcome.runSeconds)} of training${valueMarks(view.outcome)}`,
        ]),
    ...(failure === undefined || view.state === 'completed' || isEarlyStop(view.state, failure.class)
      ? []
      : [`${FAILURE_TABLE[failure.class].advice}`]),
    ...(failure?.evidence === undefined || view.state === 'completed'
      ? []
      : failure.evidence
          .split('\n')
          .slice(-LOG_LINES)
          .map((line) => `| ${line}`)),
    ...(isOpen && campaign.phase !== 'running' ? [`the campaign is ${campaign.phase}: ${campaign.headline}`] : []),
    ...(isOpen && system !== undefined ? systemReasons(system) : []),
    ...(isOpen && system === undefined
      ? [`the system ${campaign.system} is not at work: does a worker hold it? holdfast worker --systems ${campaign.system}`]
      : []),
  ];
}

function systemReasons(system: SystemStatus): string[] {
  return [
    ...(system.login.kind === 'needs_login' ? [`${system.name} needs a login: holdfast login ${system.name}`] : []),
    ...(system.breaker.open
      ? [
          `${system.name} stopped after repeated failures: ${system.breaker.evidence.join('; ')}. Mend the cause, then run: holdfast systems reset ${system.name}`,
        ]
      : []),
    `${system.name}: ${system.running} of ${system.slots} slots busy, ${system.queued} trials queued before or beside this one`,
    ...system.pilots
      .filter((pilot) => pilot.state !== 'ended')
      .map((pilot) => `pilot ${pilot.pilot} is ${pilot.state}${pilot.comment === undefined ? '' : `: ${pilot.comment}`}`),
  ];
}

/** `holdfast repro TRIAL`: what is needed to run this training again by hand, as a shell script. */
export function repro(first: string, second: string | undefined, options: CommonOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const trial = await trialFile(client, first, second);
    const { spec, launch, provenance } = trial.description;
    if (launch === undefined)
      throw new CliError('failed', 'HF-NOT-PREPARED', `${trial.campaign} has not staged its code yet. Try again in a moment.`);
    const bundle = provenance.bundle_sha256 ?? provenance.bundle;
    const code = bundle === undefined ? undefined : path.posix.join(launch.directory, 'bundle', bundle.replace(/^sha256:/, ''));
    // The helper module `holdfast` lies beside the agent.
    const agent = path.posix.join(launch.directory, 'agent', (provenance.agent ?? '').slice(0, AGENT_FOLDER_LENGTH));
    const facts = {
      params: trial.view.params,
      trial: trialName(trial.number),
      python: provenance.python_path ?? 'python3',
      ...(code === undefined ? {} : { code }),
      ...(spec.training.dataDir === undefined ? {} : { dataDir: spec.training.dataDir }),
    };
    const again = {
      campaign: trial.campaign,
      trial: trial.number,
      params: trial.view.params,
      command: commandOf(spec.training.command, facts),
      env: spec.training.env,
      seed: spec.seed,
      sampler: spec.sampler.type,
      system: spec.system.name,
      provenance,
      values: trial.view.outcome?.values ?? null,
      directory: trial.remoteFolder ?? null,
    };
    const paint = painter(io);
    const metric = spec.objectives
      .map((objective, index) => `${objective.metric} ${measured(trial.view.outcome?.values?.[index] ?? Number.NaN)}`)
      .join(', ');
    const text = [
      `# ${trial.campaign} trial ${trial.number} on ${spec.system.name}${trial.view.outcome?.values === undefined ? '' : `: ${metric}`}`,
      `# campaign seed ${spec.seed}, sampler ${spec.sampler.type}, proposed by ${trial.view.origin}`,
      ...Object.entries(provenance).map(([name, value]) => `# ${name}: ${value}`),
      ...(trial.remoteFolder === undefined ? [] : [`# first run in ${trial.remoteFolder}`]),
      ...reproScript({ ...facts, command: spec.training.command, env: spec.training.env, agentFolder: agent }).map((line, index, all) =>
        index === all.length - 1 ? paint('bold', line) : line,
      ),
    ].join('\n');
    print(io, options, again, text);
    return 'ok';
  });
}
