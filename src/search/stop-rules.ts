import type { Budget, MetricConstraint, Objective, StopRules } from '../domain/campaign.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';
import { endedWithValue, violationOf } from './losses.ts';
import { readOptions } from './options.ts';
import { dominates } from './pareto.ts';

export type StopRule = 'trials' | 'wall_time' | 'deadline' | 'node_hours' | 'target' | 'patience' | 'windowed' | 'plateau' | 'regret_bound';

export interface StopVerdict {
  readonly rule: StopRule;
  /** One sentence for the user. */
  readonly sentence: string;
}

export interface StopQuestion {
  readonly objectives: readonly Objective[];
  readonly budget: Budget;
  readonly stop: StopRules;
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly trials: readonly TrialRow[];
  /** Milliseconds since the epoch, by the workflow's clock. */
  readonly now: number;
  /** When the campaign began, the same clock. */
  readonly startedAt: number;
  readonly nodeHoursUsed?: number;
  /** What the model leaves to gain, in the objective's unit (src/search/gp/regret-bound.ts), where it was asked. */
  readonly regretBound?: number;
}

/** Keys of `stop.options` in a campaign file. */
export const STOP_OPTIONS = {
  rule: {
    kind: 'choice',
    default: 'best',
    choices: ['best', 'windowed', 'plateau'],
    summary: 'What counts as no improvement: no new best; the best of a window against the window before; the last values being equal.',
  },
  window: {
    kind: 'integer',
    default: 10,
    min: 1,
    max: 10_000,
    summary: 'windowed: trials in each of the two windows.',
  },
  plateau_trials: {
    kind: 'integer',
    default: 3,
    min: 2,
    max: 10_000,
    summary: 'plateau: last values that must lie within min_delta of each other.',
  },
  regret_bound: {
    kind: 'number',
    default: 0,
    min: 0,
    max: Number.MAX_VALUE,
    summary: 'Stop when the model leaves no more than this to gain, in the unit of the objective; 0: never. Needs no patience.',
  },
} as const;

/**
 * The first rule that says stop, or undefined. Budgets come before results, in the order of the table below. Pure, so the workflow asks whenever a trial
 * ends or a timer fires. Trials that failed or were cancelled count against `budget.trials`, never as "no improvement".
 * @throws Error for an unknown or wrong key of `stop.options`.
 */
export function shouldStop(question: StopQuestion): StopVerdict | undefined {
  for (const rule of RULES) {
    const verdict = rule(question);
    if (verdict) return verdict;
  }
  return undefined;
}

const RULES: readonly ((question: StopQuestion) => StopVerdict | undefined)[] = [
  target,
  trials,
  nodeHours,
  wallTime,
  deadline,
  patience,
  regretLeft,
];

/** Trials that may still be begun under `budget.trials`; Infinity without that budget. Cancelled trials give their place back. */
export function trialsLeft(budget: Budget, table: readonly TrialRow[]): number {
  if (budget.trials === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(0, budget.trials - table.filter((t) => t.state !== 'cancelled').length);
}

function trials({ budget, trials: table }: StopQuestion): StopVerdict | undefined {
  if (budget.trials === undefined) return undefined;
  const ended = table.filter((t) => isFinal(t.state) && t.state !== 'cancelled').length;
  if (ended < budget.trials) return undefined;
  const sentence = budget.trials === 1 ? 'The one trial of the budget has ended.' : `All ${budget.trials} trials of the budget have ended.`;
  return { rule: 'trials', sentence };
}

function nodeHours({ budget, nodeHoursUsed }: StopQuestion): StopVerdict | undefined {
  if (budget.nodeHours === undefined || nodeHoursUsed === undefined || nodeHoursUsed < budget.nodeHours) return undefined;
  return { rule: 'node_hours', sentence: `${nodeHoursUsed.toFixed(2)} of ${budget.nodeHours} node-hours are used.` };
}

type TimeQuestion = Pick<StopQuestion, 'budget' | 'now' | 'startedAt'>;

/** The rule of the budget's time that says stop, whatever the results are. */
export function timeIsUp(question: TimeQuestion): StopVerdict | undefined {
  return wallTime(question) ?? deadline(question);
}

function wallTime({ budget, now, startedAt }: TimeQuestion): StopVerdict | undefined {
  if (budget.wallSeconds === undefined || now - startedAt < budget.wallSeconds * 1000) return undefined;
  return { rule: 'wall_time', sentence: `The campaign has run for its ${budget.wallSeconds} seconds of wall time.` };
}

function deadline({ budget, now }: TimeQuestion): StopVerdict | undefined {
  if (budget.deadline === undefined || now < Date.parse(budget.deadline)) return undefined;
  return { rule: 'deadline', sentence: `The deadline ${budget.deadline} has passed.` };
}

/** All targets that the objectives name are reached by one feasible trial that ran to its end. */
function target({ objectives, metricConstraints, trials: table }: StopQuestion): StopVerdict | undefined {
  if (objectives.every((o) => o.target === undefined)) return undefined;
  for (const { trial } of endedWithValue(objectives, table)) {
    const isReached = objectives.every((o, i) => {
      const value = trial.values?.[i] as number;
      return o.target === undefined || (o.direction === 'maximize' ? value >= o.target : value <= o.target);
    });
    if (!isReached || trial.state !== 'completed' || violationOf(metricConstraints, trial) > 0) continue;
    const said = objectives.flatMap((o, i) => (o.target === undefined ? [] : [`${o.metric} ${trial.values?.[i]} (target ${o.target})`]));
    return { rule: 'target', sentence: `Trial ${trial.number} reached ${said.join(' and ')}.` };
  }
  return undefined;
}

function patience(question: StopQuestion): StopVerdict | undefined {
  const { objectives, stop, metricConstraints, trials: table } = question;
  if (stop.patience === undefined) return undefined;
  const options = readOptions(STOP_OPTIONS, stop.options ?? {}, 'stop');
  const ended = endedWithValue(objectives, table).filter(({ trial }) => violationOf(metricConstraints, trial) === 0);
  if (options.rule === 'windowed') return windowed(ended, options.window, stop);
  if (options.rule === 'plateau') return plateau(ended, options.plateau_trials, stop);
  const idle = trialsWithoutImprovement(
    ended.map((e) => e.losses),
    stop.minDelta,
  );
  if (idle < stop.patience) return undefined;
  return {
    rule: 'patience',
    sentence: `The last ${idle} finished trials brought no improvement${stop.minDelta > 0 ? ` of at least ${stop.minDelta}` : ''}.`,
  };
}

/** The tolerance of `stop.regret_bound`; undefined when the rule is off. */
export function regretTolerance(stop: StopRules): number | undefined {
  const tolerance = stop.options?.regret_bound;
  return typeof tolerance === 'number' && tolerance > 0 ? tolerance : undefined;
}

function regretLeft({ stop, regretBound }: StopQuestion): StopVerdict | undefined {
  const tolerance = regretTolerance(stop);
  if (tolerance === undefined || regretBound === undefined || regretBound > tolerance) return undefined;
  return {
    rule: 'regret_bound',
    sentence: `By the model no point is more than ${regretBound.toPrecision(4)} better than the best, within the ${tolerance} that stop.regret_bound allows.`,
  };
}

/**
 * How many losses at the end of the list came after the last improvement. With one objective an improvement lowers the best by at least minDelta (by
 * anything, where minDelta is 0); small steps add up, because they are measured from the last improvement. With several, it is a point that no earlier one
 * dominates or equals.
 */
export function trialsWithoutImprovement(losses: readonly (readonly number[])[], minDelta: number): number {
  const [first] = losses;
  if (!first) return 0;
  let last = 0;
  if (first.length === 1) {
    let best = first[0] as number;
    losses.forEach(([loss = best], i) => {
      const gain = best - loss;
      if (i > 0 && gain > 0 && gain >= minDelta) {
        best = loss;
        last = i;
      }
    });
  } else {
    let front: (readonly number[])[] = [];
    losses.forEach((mine, i) => {
      // What a point off the front dominates or equals, one of the front does too.
      if (front.some((other) => dominates(other, mine) || other.every((x, k) => x === mine[k]))) return;
      front = [...front.filter((other) => !dominates(mine, other)), mine];
      last = i;
    });
  }
  return losses.length - 1 - last;
}

type Ended = ReturnType<typeof endedWithValue>;

/**
 * Row O8: after every finished trial, once there are two windows, the best of the last window is compared with the best of the window before it. A gain
 * below minDelta raises a counter, a larger one sets it to zero; at `patience` the campaign stops.
 */
function windowed(ended: Ended, window: number, stop: StopRules): StopVerdict | undefined {
  const losses = ended.map((e) => e.losses[0] as number);
  let counter = 0;
  for (let end = 2 * window; end <= losses.length; end++) {
    const gain = Math.min(...losses.slice(end - 2 * window, end - window)) - Math.min(...losses.slice(end - window, end));
    counter = gain < stop.minDelta || (gain === 0 && stop.equalIsNoGain) ? counter + 1 : 0;
    if (counter < (stop.patience as number)) continue;
    return {
      rule: 'windowed',
      sentence: `${counter} times in a row the best of the last ${window} trials was not ${stop.minDelta > 0 ? `${stop.minDelta} ` : ''}better than the best of the ${window} before.`,
    };
  }
  return undefined;
}

/** Row O9: the last values lie within minDelta of each other, `patience` times in a row. */
function plateau(ended: Ended, width: number, stop: StopRules): StopVerdict | undefined {
  const losses = ended.map((e) => e.losses[0] as number);
  let counter = 0;
  for (let end = width; end <= losses.length; end++) {
    const last = losses.slice(end - width, end);
    counter = Math.max(...last) - Math.min(...last) <= stop.minDelta ? counter + 1 : 0;
    if (counter < (stop.patience as number)) continue;
    return { rule: 'plateau', sentence: `The last ${width} results lay within ${stop.minDelta} of each other, ${counter} times in a row.` };
  }
  return undefined;
}
