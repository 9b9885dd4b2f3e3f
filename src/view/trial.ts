import type { Objective } from '../domain/campaign.ts';
import { FAILURE_TABLE } from '../domain/failures.ts';
import type { Point } from '../domain/space.ts';
import type { CurvePoint, Failure, TrialState } from '../domain/trial.ts';
import { curveChart } from './chart.ts';
import { endWords, isEarlyStop } from './end-words.ts';
import { age, duration, instant, measured, plain, short } from './format.ts';
import { tellingNames } from './parameters.ts';
import { valueMarks } from './synthetic.ts';

/** What a trial's current details are made from; `TrialView` of workflows/messages.ts fits. Times in milliseconds. */
export interface TrialDetailsInput {
  readonly campaign: string;
  readonly number: number;
  readonly params: Point;
  readonly origin: string;
  readonly note?: string;
  readonly state: TrialState;
  readonly attempt: number;
  readonly attempts: readonly {
    readonly attempt: number;
    readonly offeredAt: number;
    readonly startedAt?: number;
    readonly pilot?: string;
    readonly slot?: number;
    readonly nativeId?: string;
    readonly end?: string;
    readonly failure?: Failure;
    readonly directory?: string;
  }[];
  readonly outcome?: {
    readonly values?: readonly number[];
    readonly metrics?: Readonly<Record<string, number>>;
    readonly synthetic?: true;
    readonly curve?: readonly CurvePoint[];
    readonly step?: number;
    readonly runSeconds: number;
    readonly failure?: Failure;
    readonly directory?: string;
    readonly host?: string;
  };
  /** One sentence: what it waits for, or what became of it. */
  readonly headline: string;
}

/** A trial's current details in Markdown: state, parameters, attempts, learning curve, where its files lie. `directory` is the launch folder on the system. */
export function trialDetails(
  trial: TrialDetailsInput,
  objectives: readonly Objective[],
  options: { readonly order?: readonly string[]; readonly launchDirectory?: string } = {},
): string {
  const { outcome } = trial;
  const failure = outcome?.failure ?? trial.attempts.at(-1)?.failure;
  const curve = outcome?.curve && curveChart(outcome.curve, objectives[0]?.metric ?? 'objective');
  const directory = outcome?.directory ?? trial.attempts.at(-1)?.directory;
  const folder = directory && (options.launchDirectory ? `${options.launchDirectory}/${directory}` : directory);
  return [
    `## trial ${trial.number} · ${trial.state}${result(outcome?.values, objectives)}${outcome?.values === undefined ? '' : valueMarks(outcome)}`,
    plain(trial.headline),
    ...(failure === undefined || trial.state === 'completed' || isEarlyStop(trial.state, failure.class) ? [] : [problem(failure)]),
    ...(curve ? [curve] : []),
    `### Parameters (from ${plain(trial.origin)})\n\n${fence(parameterLines(trial.params, options.order))}`,
    ...(trial.note ? [`> ${plain(trial.note)}`] : []),
    `### Attempts\n\n${trial.attempts.map((attempt) => `- ${attemptLine(attempt, trial.state)}`).join('\n') || '- none yet'}`,
    ...(outcome === undefined
      ? []
      : [`- **Training time:** ${duration(outcome.runSeconds)}${outcome.host ? ` on ${plain(outcome.host)}` : ''}`]),
    ...(folder
      ? [`- **Logs:** \`${folder}/stdout.log\` and \`stderr.log\`; or run\n  \`holdfast logs ${trial.campaign} ${trial.number}\``]
      : []),
  ].join('\n\n');
}

function result(values: readonly number[] | undefined, objectives: readonly Objective[]): string {
  if (values === undefined) return '';
  return ` · ${objectives.map((objective, index) => `${plain(objective.metric)} ${measured(values[index] ?? Number.NaN)}`).join(', ')}`;
}

function problem(failure: Failure): string {
  const stage = failure.stage === undefined ? '' : ` while in ${failure.stage}`;
  const evidence = failure.evidence === undefined ? '' : `\n\n${fence(failure.evidence.split('\n').slice(-20))}`;
  return `**${failure.class}**${plain(stage)}: ${plain(failure.message)} ${plain(FAILURE_TABLE[failure.class].advice)}${evidence}`;
}

function parameterLines(params: Point, order: readonly string[] = tellingNames(Object.keys(params))): string[] {
  const names = [...order.filter((name) => Object.hasOwn(params, name)), ...Object.keys(params).filter((name) => !order.includes(name))];
  const width = Math.max(0, ...names.map((name) => name.length));
  return names.length === 0 ? ['(none)'] : names.map((name) => `${name.padEnd(width)}  ${short(params[name])}`);
}

function attemptLine(attempt: TrialDetailsInput['attempts'][number], state: TrialState): string {
  const place =
    attempt.pilot === undefined
      ? ''
      : ` on ${attempt.pilot}${attempt.nativeId === undefined || attempt.nativeId === attempt.pilot ? '' : `, id ${attempt.nativeId}`}${attempt.slot === undefined ? '' : `, slot ${attempt.slot}`}`;
  // Instants, not ages: the text stands until the next event, and an age would go stale.
  const since =
    attempt.startedAt === undefined
      ? `offered ${instant(attempt.offeredAt)}`
      : `started ${instant(attempt.startedAt)} after ${age((attempt.startedAt - attempt.offeredAt) / 1000)} of waiting`;
  const end =
    attempt.failure === undefined
      ? (attempt.end ?? (attempt.startedAt === undefined ? 'waiting for a slot' : 'running'))
      : endWords(state, attempt.failure);
  return `**attempt ${attempt.attempt}**${place === '' ? '' : ` ${plain(place)}`}: ${plain(end.replace(/[.\s]+$/, ''))}; ${since}`;
}

function fence(lines: readonly string[]): string {
  return `\`\`\`\n${lines.join('\n').replaceAll('```', "'''")}\n\`\`\``;
}
