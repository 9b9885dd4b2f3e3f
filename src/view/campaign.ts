import type { MetricConstraint } from '../domain/campaign.ts';
import { FAILURE_TABLE, type FailureClass } from '../domain/failures.ts';
import type { LlmTotals } from '../domain/status.ts';
import type { TrialRow } from '../domain/trial.ts';
import { convergenceChart } from './chart.ts';
import { columns, instant, measured, percent, plain, plural, short } from './format.ts';
import { initials } from './parameters.ts';
import { budgetLine, instantOf, llmLine, type ProgressInput, progressHeadline, savingLine } from './progress.ts';
import { rankedValue, topRows } from './ranking.ts';
import { syntheticNote } from './synthetic.ts';
import { clip, displayWidth } from './width.ts';

/** What a campaign's current details are made from: a `CampaignStatus`. */
export interface CampaignDetailsInput extends ProgressInput {
  readonly name: string;
  readonly campaign: string;
  readonly system: string;
  /** One sentence: what it waits for, or why it ended. */
  readonly headline: string;
  readonly concurrency: number;
  readonly sinceImprovement: number;
  readonly successRate?: number;
  readonly trainingHours: number;
  readonly savedHours?: number;
  readonly savedNodeHours?: number;
  readonly problems: readonly string[];
  readonly stopReason?: string;
  readonly resultsDirectory?: string;
  readonly llm?: LlmTotals;
}

/**
 * A campaign's current details in Markdown for the Web UI: headline, what it waits for, chart, best five, problems, budget.
 * `order` sorts the parameters (`tellingOrder(spec.space)`). O(rows); at most about 12 kB.
 */
export function campaignDetails(
  input: CampaignDetailsInput,
  rows: readonly TrialRow[],
  options: { readonly order?: readonly string[]; readonly constraints?: readonly MetricConstraint[] } = {},
): string {
  const objective = input.objectives[0];
  const chart =
    objective &&
    convergenceChart(
      rows.filter((row) => row.state === 'completed' || row.state === 'failed').map((row) => chartTrial(row, options.constraints)),
      objective,
    );
  const top = topRows(rows, input.objectives, 5, options.constraints);
  const problems = [...input.problems, ...failureProblems(rows)];
  const synthetic = syntheticNote(rows.filter((row) => row.values !== undefined));
  return [
    // In words: the Web UI's font draws 12/40 as a fraction.
    `## ${progressHeadline(input, rows).replace(/^(\d+)\/(\d+)/, '$1 of $2')}`,
    `**${plain(input.phase)}** — ${plain(input.headline)}`,
    ...(synthetic === undefined ? [] : [synthetic]),
    ...(problems.length === 0
      ? []
      : [
          `### Needs attention\n\n${problems
            .slice(0, 8)
            .map((problem) => `- ${plain(clip(problem, 400))}`)
            .join('\n')}`,
        ]),
    ...(chart === undefined ? [] : [chart]),
    ...(top.length === 0
      ? []
      : [`### Best ${top.length === 1 ? 'trial' : `${top.length} trials`}\n\n${leaderboard(top, input, options.order)}`]),
    facts(input),
  ].join('\n\n');
}

function chartTrial(row: TrialRow, constraints?: readonly MetricConstraint[]): { number: number; value?: number } {
  const value = rankedValue(row, constraints);
  return value === undefined ? { number: row.number } : { number: row.number, value };
}

/** Widest line of a fenced table that the Web UI's half page shows without scrolling. */
const WIDEST_LINE = 76;

/**
 * The best trials as a fenced table: Markdown tables come out unstyled in the Web UI. Long parameter names shrink to their initials, explained below,
 * before any are left out.
 */
export function leaderboard(top: readonly TrialRow[], input: Pick<ProgressInput, 'objectives'>, order?: readonly string[]): string {
  const names = (order ?? [...new Set(top.flatMap((row) => Object.keys(row.params)))]).filter((name) =>
    top.some((row) => Object.hasOwn(row.params, name)),
  );
  const metrics = input.objectives.map((objective) => objective.metric);
  const table = (shown: readonly string[], label: (name: string) => string) =>
    columns([
      ['trial', ...metrics, ...shown.map(label)],
      ...top.map((row) => [
        String(row.number),
        ...metrics.map((_, index) => measured(row.values?.[index] ?? Number.NaN)),
        ...shown.map((name) => (Object.hasOwn(row.params, name) ? clip(short(row.params[name]), 18) : '–')),
      ]),
    ]);
  const isWide = (lines: readonly string[]) => Math.max(...lines.map(displayWidth)) > WIDEST_LINE;
  const unique = new Set(names.map(initials)).size === names.length;
  const label = isWide(table(names, String)) && unique ? initials : String;
  let shown = names;
  while (shown.length > 1 && isWide(table(shown, label))) shown = shown.slice(0, -1);
  const shortened = shown.filter((name) => label(name) !== name).map((name) => `${label(name)} = ${plain(name)}`);
  const left = names.length - shown.length;
  const notes = [
    ...(shortened.length === 0 ? [] : [shortened.join(', ')]),
    ...(left === 0 ? [] : [`${plural(left, 'more parameter')}: see the trial`]),
  ];
  return `\`\`\`\n${table(shown, label).join('\n').replaceAll('```', "'''")}\n\`\`\`${notes.length === 0 ? '' : `\n\n${notes.join('; ')}`}`;
}

/** Failures in words a person can act on: one line per class, the most frequent first. */
export function failureProblems(rows: readonly TrialRow[]): string[] {
  const classes = new Map<FailureClass, { count: number; last: TrialRow }>();
  for (const row of rows) {
    if (row.state !== 'failed' || row.failure === undefined) continue;
    const known = classes.get(row.failure.class);
    classes.set(row.failure.class, { count: (known?.count ?? 0) + 1, last: row });
  }
  return [...classes.entries()]
    .sort((a, b) => b[1].count - a[1].count)
    .slice(0, 4)
    .map(([name, { count, last }]) => {
      const message = last.failure?.message.replace(/[.\s]+$/, '') ?? '';
      return `${plural(count, 'trial')} failed with ${name}, last trial ${last.number}: ${message}. ${FAILURE_TABLE[name].advice}`;
    });
}

function facts(input: CampaignDetailsInput): string {
  const goal = input.objectives
    .map(({ metric, direction, target }) => `${direction} ${plain(metric)}${target === undefined ? '' : ` (stops at ${short(target)})`}`)
    .join(', ');
  const lines = [
    `**Goal:** ${goal}`,
    `**Budget:** ${budgetLine(input)}`,
    `**System:** ${plain(input.system)}, at most ${input.concurrency} at once`,
    input.successRate === undefined
      ? undefined
      : `**Success rate:** ${percent(input.successRate)}; ${plural(input.sinceImprovement, 'trial')} since the last improvement`,
    input.savedHours === undefined ? undefined : `**Saved by early stopping:** ${savingLine({ ...input, savedHours: input.savedHours })}`,
    input.llm === undefined ? undefined : `**Language model:** ${llmLine(input.llm)}`,
    input.stopReason === undefined ? undefined : `**Stopped because:** ${plain(input.stopReason)}`,
    input.resultsDirectory === undefined ? undefined : `**Results:** ${code(input.resultsDirectory)}`,
    `**As of:** ${instant(instantOf(input))}, started ${instant(input.startedAt)}`,
    `**Steer:** ${code(`holdfast watch ${input.campaign}`)}, or signal ${code('pause')}, ${code('resume')}, ${code('drain')}, ${code('stop')}`,
  ];
  return lines
    .filter((line) => line !== undefined)
    .map((line) => `- ${line}`)
    .join('\n');
}

function code(text: string): string {
  return `\`${text.replaceAll('`', "'")}\``;
}
