import type { Client } from '@temporalio/client';
import { stringify } from 'yaml';
import type { BestTrial } from '../../workflows/messages.ts';
import type { CampaignSpec, MetricConstraint } from '../domain/campaign.ts';
import { FAILURE_TABLE, type FailureClass } from '../domain/failures.ts';
import { trialName } from '../domain/ids.ts';
import type { Point } from '../domain/space.ts';
import { TRIAL_STATES, type TrialRow, type TrialState } from '../domain/trial.ts';
import { frontVolume } from '../report/front-volume.ts';
import { suggest } from '../spec/problem.ts';
import { quoteCommand } from '../ssh/quote.ts';
import { endWords } from '../view/end-words.ts';
import { age, columns, measured, plural } from '../view/format.ts';
import { trialSummary } from '../view/parameters.ts';
import { savingLine } from '../view/progress.ts';
import { brokenMark, paretoFront, topRows } from '../view/ranking.ts';
import { syntheticNote } from '../view/synthetic.ts';
import { clip } from '../view/width.ts';
import { askDescription, askLive, askStatus, askTable } from './ask-campaign.ts';
import { findCampaign } from './campaigns.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { statusOrEnd } from './look-commands.ts';

export interface BestOptions extends CommonOptions {
  readonly count: number;
  readonly config?: string;
}

const CONFIGS: Readonly<Record<string, (params: Point) => string>> = {
  yaml: (params) => stringify(params),
  json: (params) => `${JSON.stringify(params, null, 2)}\n`,
  argv: (params) => `${quoteCommand(Object.entries(params).flatMap(([name, value]) => [`--${name}`, String(value)]))}\n`,
};

/** `holdfast best`: the best trials; with --config the best point alone, ready to be used. */
export function best(name: string | undefined, options: BestOptions, io: CliIo): Promise<Exit> {
  const render = options.config === undefined ? undefined : CONFIGS[options.config];
  if (options.config !== undefined && render === undefined) {
    throw new CliError('usage', 'HF-USAGE', `--config ${options.config} is not known. Choose ${Object.keys(CONFIGS).join(', ')}.`);
  }
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const { trials, metric, notes, none } = await bestTrials(client, campaign, options.count);
    if (render !== undefined) {
      const [first] = trials;
      if (first === undefined) throw new CliError('failed', 'HF-NO-RESULT', none);
      print(io, options, first.params, render(first.params));
      return 'ok';
    }
    const names = [...new Set(trials.flatMap((trial) => Object.keys(trial.params)))];
    const table = columns([
      ['trial', ...metric, 'from', ...names],
      ...trials.map((trial) => [
        String(trial.number),
        ...metric.map((_, index) => measured(trial.values[index] ?? Number.NaN)),
        trial.origin,
        ...names.map((parameter) =>
          Object.hasOwn(trial.params, parameter) ? trialSummary({ v: trial.params[parameter] as string }, 30).slice(2) : '–',
        ),
      ]),
    ]);
    const lines = [...table, ...notes, ...optionalLine(syntheticNote(trials))];
    print(io, options, trials, trials.length === 0 ? none : lines.join('\n'));
    return 'ok';
  });
}

async function bestTrials(
  client: Client,
  campaign: string,
  count: number,
): Promise<{ trials: readonly BestTrial[]; metric: string[]; notes: string[]; none: string }> {
  const { status: now, ended } = await statusOrEnd(client, campaign);
  if (now === undefined)
    return { trials: ended.result?.top.slice(0, count) ?? [], metric: ['value'], notes: [], none: noBest(campaign, []) };
  const { spec } = await askDescription(client, campaign);
  const rows = await askTable(client, campaign);
  return {
    trials: bestRows(rows, spec, count).map(bestTrial),
    metric: spec.objectives.map((objective) => objective.metric),
    notes: [
      ...frontLine(rows, spec, count),
      ...(now.savedHours === undefined ? [] : [`early stopping saved ${savingLine({ ...now, savedHours: now.savedHours })}`]),
    ],
    none: noBest(campaign, rows, spec.metricConstraints),
  };
}

/** Why there is no best trial: none has completed, or none that has keeps the conditions on metrics. */
export function noBest(campaign: string, rows: readonly TrialRow[], constraints: readonly MetricConstraint[] = []): string {
  const { length } = rows.filter((row) => row.state === 'completed');
  const which =
    length === 0
      ? ''
      : ` that keeps ${constraints.map(({ metric, op, bound }) => `${metric} ${op} ${bound}`).join(' and ')} (${length} completed)`;
  return `${campaign} has no completed trial${which}. See holdfast status ${campaign}.`;
}

/** With several objectives: how many trials the front has, which of them are not among the `count` shown, and how much it dominates. */
export function frontLine(
  rows: readonly TrialRow[],
  { objectives, metricConstraints }: Pick<CampaignSpec, 'objectives' | 'metricConstraints'>,
  count = Number.POSITIVE_INFINITY,
): string[] {
  const volume = frontVolume(rows, objectives, metricConstraints);
  if (volume === undefined) return [];
  const corner = Object.entries(volume.corner).map(([name, value]) => `${name} ${measured(value)}`);
  const size = paretoFront(rows, objectives, metricConstraints).length;
  const more = size > count ? ` (${count} shown; -n ${size} shows all)` : '';
  return [`front of ${plural(size, 'trial')}${more}, hypervolume ${measured(volume.value)} up to ${corner.join(', ')}`];
}

/** The best by the objective; with several objectives what no other trial beats in all of them, by the first one. Trials that break a constraint are left out. */
export function bestRows(
  rows: readonly TrialRow[],
  spec: Pick<CampaignSpec, 'objectives' | 'metricConstraints'>,
  count: number,
): TrialRow[] {
  const { objectives, metricConstraints } = spec;
  const candidates = objectives.length > 1 ? paretoFront(rows, objectives, metricConstraints) : rows;
  return topRows(candidates, objectives, count, metricConstraints);
}

function bestTrial(row: TrialRow): BestTrial {
  return {
    number: row.number,
    trial: trialName(row.number),
    values: row.values ?? [],
    params: row.params,
    origin: row.origin,
    ...(row.synthetic === undefined ? {} : { synthetic: row.synthetic }),
  };
}

function optionalLine(line: string | undefined): string[] {
  return line === undefined ? [] : [line];
}

export interface TrialsOptions extends CommonOptions {
  readonly state?: string;
  readonly limit: number;
}

/** Parameters of a trial, or why it has failed; of one that was stopped early or breaks a condition both, for its point says as much as its end. */
function tableWords(row: TrialRow, constraints: readonly MetricConstraint[] | undefined): string {
  const { params, failure, state } = row;
  const broken = brokenMark(row, constraints);
  if (broken !== undefined) return `${trialSummary(params, 45)}  ${broken}`;
  if (failure === undefined || state === 'completed') return trialSummary(params, 70);
  const words = endWords(state, failure);
  return state === 'pruned' ? `${trialSummary(params, 35)}  ${clip(words, 70)}` : clip(words, 70);
}

/** `holdfast trials`: the table, the newest last. */
export function trials(name: string | undefined, options: TrialsOptions, io: CliIo): Promise<Exit> {
  if (options.state !== undefined && !TRIAL_STATES.some((state) => state === options.state))
    throw new CliError('usage', 'HF-USAGE', `--state ${options.state} is not known. ${suggest(options.state, TRIAL_STATES)}`);
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const now = await askStatus(client, campaign);
    const all = await askTable(client, campaign);
    const running = new Map((now.system === '' ? [] : await askLive(client, now.system, campaign)).map((live) => [live.trial, live]));
    const stateOf = (row: TrialRow): TrialState => (running.has(trialName(row.number)) ? 'running' : row.state);
    const chosen = all.filter((row) => options.state === undefined || stateOf(row) === options.state);
    const rows = chosen.slice(-options.limit);
    const metrics = now.objectives.map((objective) => objective.metric);
    const table = columns([
      ['trial', 'state', ...metrics, 'tries', 'time', 'from', 'parameters'],
      ...rows.map((row) => [
        String(row.number),
        stateOf(row),
        ...metrics.map((_, index) => (row.values?.[index] === undefined ? '–' : measured(row.values[index] as number))),
        String(row.attempts),
        row.runSeconds === undefined ? '–' : age(row.runSeconds),
        row.origin,
        tableWords(row, now.metricConstraints),
      ]),
    ]);
    const left = chosen.length - rows.length;
    const text =
      rows.length === 0
        ? 'no trials'
        : [
            ...table,
            ...(left > 0 ? [`(${left} earlier ones left out; --limit ${chosen.length} shows all)`] : []),
            ...optionalLine(syntheticNote(rows.filter((row) => row.values !== undefined))),
          ].join('\n');
    print(io, options, rows, text);
    return 'ok';
  });
}

/** `holdfast errors`: failures by class with stages, examples and advice. Exit 0 whether there are any or not. */
export function errors(name: string | undefined, options: CommonOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const groups = failureGroups(await askTable(client, campaign));
    const total = groups.reduce((sum, group) => sum + group.count, 0);
    const text =
      groups.length === 0
        ? `No trial of ${campaign} has failed.`
        : [
            `${plural(total, 'trial')} of ${campaign} failed:`,
            ...groups.map((group) =>
              [
                '',
                `${group.class} (${group.severity}): ${plural(group.count, 'trial')}${group.stages.length === 0 ? '' : `, in ${group.stages.join(', ')}`}`,
                ...exampleLines(group.examples),
                `  ${group.advice}`,
                `  More: holdfast why ${campaign} ${group.examples[0]?.number ?? ''}`,
              ].join('\n'),
            ),
          ].join('\n');
    print(io, options, { campaign, total, classes: groups }, text);
    return 'ok';
  });
}

/** One line for each message: trials that say the same share it. */
export function exampleLines(examples: FailureGroup['examples']): string[] {
  return [...new Set(examples.map(({ message }) => message))].map((message) => {
    const numbers = examples.filter((example) => example.message === message).map(({ number }) => number);
    return `  trial${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')}: ${message}`;
  });
}

const MOST_EXAMPLES = 3;

export interface FailureGroup {
  readonly class: FailureClass;
  readonly severity: string;
  readonly count: number;
  readonly stages: readonly string[];
  readonly examples: readonly { readonly number: number; readonly message: string }[];
  readonly advice: string;
}

/** Failed trials by class, the worst severity first, then the most frequent. */
export function failureGroups(rows: readonly TrialRow[]): FailureGroup[] {
  const rank = ['critical', 'high', 'medium', 'low'];
  const classes = [...new Set(rows.flatMap((row) => (row.state === 'failed' && row.failure !== undefined ? [row.failure.class] : [])))];
  return classes
    .map((name): FailureGroup => {
      const own = rows.filter((row) => row.state === 'failed' && row.failure?.class === name);
      const { severity, advice } = FAILURE_TABLE[name];
      return {
        class: name,
        severity,
        count: own.length,
        stages: [...new Set(own.flatMap((row) => row.failure?.stage ?? []))],
        examples: own.slice(0, MOST_EXAMPLES).map((row) => ({ number: row.number, message: row.failure?.message ?? '' })),
        advice,
      };
    })
    .sort((a, b) => rank.indexOf(a.severity) - rank.indexOf(b.severity) || b.count - a.count);
}
