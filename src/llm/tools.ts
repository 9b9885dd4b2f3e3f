import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Space } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import { endedWithValue, feasibleOrAll } from '../search/losses.ts';
import { statisticsOf } from './statistics.ts';
import { spaceLines, statisticsLines, trialLine } from './words.ts';

/** What the model may look up while it thinks (row L11). Nothing here has an effect. */

export interface ToolSubject {
  readonly space: Space;
  readonly objectives: readonly Objective[];
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly trials: readonly TrialRow[];
}

/** Longest answer of one tool, characters. */
const LONGEST_ANSWER = 4000;
const MOST_TRIALS = 30;

const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false } as const;
const ORDERS = ['best', 'worst', 'recent', 'failed'] as const;

interface Tool {
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly answer: (subject: ToolSubject, given: Readonly<Record<string, unknown>>) => readonly string[];
}

const TOOLS: Readonly<Record<string, Tool>> = {
  search_space: {
    description: 'Every parameter of the search space with its range, and the constraints.',
    parameters: NO_ARGUMENTS,
    answer: ({ space }) => spaceLines(space),
  },
  trials: {
    description: 'Trials with parameters and values: the best, the worst, the most recent, or the failed ones with the reason.',
    parameters: {
      type: 'object',
      properties: { order: { enum: ORDERS }, limit: { type: 'integer', minimum: 1, maximum: MOST_TRIALS } },
      required: ['order'],
      additionalProperties: false,
    },
    answer: (subject, given) => {
      const limit = Math.min(MOST_TRIALS, Math.max(1, Math.floor(Number(given.limit) || 10)));
      return inOrder(subject, String(given.order))
        .slice(0, limit)
        .map((trial) => trialLine(trial, subject.objectives, subject.metricConstraints));
    },
  },
  statistics: {
    description:
      'Counts, the best trial, mean and spread of recent values, trend, and for each parameter its importance and where the best trials lie.',
    parameters: NO_ARGUMENTS,
    answer: ({ space, objectives, trials, metricConstraints }) =>
      statisticsLines(statisticsOf(space, objectives, trials, metricConstraints)),
  },
};

function inOrder({ objectives, metricConstraints, trials }: ToolSubject, order: string): readonly TrialRow[] {
  if (order === 'failed') return trials.filter((trial) => trial.state === 'failed').reverse();
  const ended = endedWithValue(objectives, trials);
  if (order === 'recent') return ended.map(({ trial }) => trial).reverse();
  const asked = order === 'worst' ? ended : feasibleOrAll(metricConstraints, ended);
  const byLoss = [...asked].sort((a, b) => (a.losses[0] as number) - (b.losses[0] as number)).map(({ trial }) => trial);
  return order === 'worst' ? byLoss.reverse() : byLoss;
}

/** The tools in the form of OpenAI's chat completions. */
export function toolDefinitions() {
  return Object.entries(TOOLS).map(([name, { description, parameters }]) => ({
    type: 'function' as const,
    function: { name, description, parameters: { ...parameters } },
  }));
}

/** The answer to one call; an unknown tool or unreadable arguments are told to the model, never thrown. */
export function answerTool(name: string, argumentsText: string, subject: ToolSubject): string {
  const tool = Object.hasOwn(TOOLS, name) ? TOOLS[name] : undefined;
  if (tool === undefined) return `There is no tool ${JSON.stringify(name.slice(0, 40))}. There are ${Object.keys(TOOLS).join(', ')}.`;
  let given: unknown = {};
  try {
    given = argumentsText.trim() === '' ? {} : JSON.parse(argumentsText);
  } catch {
    return 'The arguments are no JSON.';
  }
  const lines = tool.answer(subject, typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : {});
  const text = lines.length === 0 ? 'none' : lines.join('\n');
  return text.length > LONGEST_ANSWER ? `${text.slice(0, text.lastIndexOf('\n', LONGEST_ANSWER))}\n(more left out)` : text;
}
