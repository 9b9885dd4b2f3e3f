import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Parameter, ParameterValue, Point, Space } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import { marginsOf } from '../search/losses.ts';
import type { Statistics } from './statistics.ts';

/** How the model is told about spaces, trials and statistics; short, stable, four significant digits. */

const MOST_VALUES = 20;
const LONGEST_TEXT = 160;

/** A number of four significant digits: what a model needs, in few tokens. */
export function shortNumber(value: number): number {
  return Number(value.toPrecision(4));
}

/** One line without control characters and without the marks that end our data or a chat's turn: what a training wrote must not look like anything but data. */
export function oneLine(text: string, longest = LONGEST_TEXT): string {
  const flat = text
    .replace(/<(?=\s*\/?\s*data\b|\|)/gi, '‹')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  // Halves of a pair of surrogates, which a cut leaves too, are no text to those who read it as UTF-8.
  return (flat.length > longest ? `${flat.slice(0, longest - 1)}…` : flat).replace(/\p{Surrogate}/gu, '�');
}

function shortValue(value: ParameterValue): ParameterValue {
  return typeof value === 'number' ? shortNumber(value) : typeof value === 'string' ? oneLine(value, 60) : value;
}

/** Parameters of one point that are shown. */
const MOST_PARAMETERS = 40;

/** A point with short values and at most so many parameters; of more, how many were left out. */
export function shortPoint(point: Point): Record<string, ParameterValue> {
  const entries = Object.entries(point).map(([name, value]): [string, ParameterValue] => [name, shortValue(value)]);
  const more = entries.length - MOST_PARAMETERS;
  return Object.fromEntries(more > 0 ? [...entries.slice(0, MOST_PARAMETERS), ['…', `${more} more`]] : entries);
}

function parameterWords(parameter: Parameter): Record<string, unknown> {
  const when = parameter.when === undefined ? {} : { only_when: parameter.when };
  const byDefault = parameter.default === undefined ? {} : { default: parameter.default };
  switch (parameter.type) {
    case 'constant':
      return { always: parameter.value };
    case 'categorical':
    case 'ordinal': {
      const more = parameter.values.length - MOST_VALUES;
      return {
        type: parameter.type,
        values: parameter.values.slice(0, MOST_VALUES),
        ...(more > 0 ? { more_values: more } : {}),
        ...byDefault,
        ...when,
      };
    }
    default: {
      const { min, max, step } = parameter;
      return {
        type: parameter.type,
        min,
        max,
        ...(parameter.log ? { scale: 'log' } : {}),
        ...(step === undefined ? {} : { step }),
        ...byDefault,
        ...when,
      };
    }
  }
}

/** One line of JSON per parameter, then the constraints. */
export function spaceLines(space: Space): string[] {
  const parameters = space.parameters.map((parameter) => `${parameter.name}: ${JSON.stringify(parameterWords(parameter))}`);
  const constraints = (space.constraints ?? []).map((text) => `every point keeps: ${oneLine(text)}`);
  return [...parameters, ...constraints];
}

/** A condition on a metric: `gb <= 40`. */
export function constraintWords({ metric, op, bound }: MetricConstraint): string {
  return `${oneLine(metric, 60)} ${op} ${bound}`;
}

/** One trial as one line of JSON. A trial without a value says why, one that breaks conditions on metrics which. */
export function trialLine(trial: TrialRow, objectives: readonly Objective[], constraints: readonly MetricConstraint[] = []): string {
  const values = objectives.map((objective, i) => [
    objective.metric,
    trial.values?.[i] === undefined ? 'n/a' : shortNumber(trial.values[i]),
  ]);
  const ended = trial.state === 'completed' ? {} : { state: trial.state };
  const failure = trial.failure === undefined ? {} : { failure: trial.failure.class, message: oneLine(trial.failure.message, 100) };
  const broken = trial.state === 'completed' ? brokenBy(trial, constraints) : [];
  const breaks = broken.length === 0 ? {} : { breaks: broken };
  return JSON.stringify({
    trial: trial.number,
    params: shortPoint(trial.params),
    ...Object.fromEntries(values),
    ...ended,
    ...breaks,
    ...failure,
  });
}

/** `gb <= 40 (is 61.5)`; of a metric that was not reported only the condition. */
function brokenBy(trial: TrialRow, constraints: readonly MetricConstraint[]): string[] {
  const margins = marginsOf(constraints, trial);
  return constraints.flatMap((constraint, i) => {
    const margin = margins[i] as number;
    if (margin <= 0) return [];
    const value = trial.constraintValues?.[i];
    return [`${constraintWords(constraint)}${Number.isNaN(margin) || value == null ? '' : ` (is ${shortNumber(value)})`}`];
  });
}

/** What the results say so far, as lines for a prompt: counts, best, trend, and each parameter's importance and good region. */
export function statisticsLines(statistics: Statistics): string[] {
  const { finished, failed, pending, best, recent, trend } = statistics;
  const insights = [...statistics.parameters]
    .sort((a, b) => b.importance - a.importance || (a.name < b.name ? -1 : 1))
    .map(({ name, importance, better, region }) => {
      const side =
        typeof better === 'string'
          ? better === 'unclear'
            ? 'no clear side'
            : `${better} is better`
          : `best ones mostly ${JSON.stringify(better.value)}`;
      return `${name}: importance ${shortNumber(importance).toFixed(2)}, ${side}, best fifth ${JSON.stringify(region.map(shortValue))}`;
    });
  return [
    `finished ${finished}, failed ${failed}, running or waiting ${pending}`,
    `best: ${best === undefined ? 'n/a' : `${shortNumber(best.value)} (trial ${best.trial}) with ${JSON.stringify(shortPoint(best.params))}`}`,
    `last ${recent?.count ?? 0}: ${recent === undefined ? 'n/a' : `mean ${shortNumber(recent.mean)}, sd ${shortNumber(recent.sd)}`}`,
    `trend: ${trend}`,
    ...insights,
  ];
}
