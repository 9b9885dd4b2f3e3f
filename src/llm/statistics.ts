import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { ParameterValue, Point, Space } from '../domain/space.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';
import { endedWithValue, feasibleOrAll } from '../search/losses.ts';
import { codesOf, compileSpace } from '../search/space.ts';

/** What the model is told about the trials so far; plain numbers, small. */
export interface Statistics {
  readonly finished: number;
  readonly failed: number;
  readonly pending: number;
  readonly best?: { readonly trial: number; readonly value: number; readonly params: Point };
  /** Of the last results, at most {@link RECENT}. */
  readonly recent?: { readonly count: number; readonly mean: number; readonly sd: number };
  readonly trend: 'too early' | 'improving' | 'flat' | 'worsening';
  readonly parameters: readonly ParameterInsight[];
}

export interface ParameterInsight {
  readonly name: string;
  /** Share of the values' variation that goes with this parameter, 0 to 1: squared rank correlation, or between-group share for lists. */
  readonly importance: number;
  /** Numbers: which side is better. Lists: the commonest value of the best fifth. */
  readonly better: 'higher' | 'lower' | 'unclear' | { readonly value: ParameterValue };
  /** Values in the best fifth of the results: [least, most] or the list of values. */
  readonly region: readonly ParameterValue[];
}

const RECENT = 10;
/** Results without which nothing is said about single parameters. */
const LEAST_RESULTS = 5;
const CLEAR_CORRELATION = 0.2;

/** Of several objectives the first counts. The best are looked for among the trials that keep the conditions on metrics, where there are any. */
export function statisticsOf(
  space: Space,
  objectives: readonly Objective[],
  trials: readonly TrialRow[],
  constraints?: readonly MetricConstraint[],
): Statistics {
  const ended = endedWithValue(objectives, trials);
  const sign = objectives[0]?.direction === 'minimize' ? -1 : 1;
  const scores = ended.map(({ losses }) => -(losses[0] as number));
  const sample = sampleOf(ended.length);
  const kept = new Set(feasibleOrAll(constraints, ended));
  const standings = ended.map((each, i) => (kept.has(each) ? (scores[i] as number) : Number.NEGATIVE_INFINITY));
  const top = standings.indexOf(Math.max(...standings));
  const best = ended[top];
  const last = scores.slice(-RECENT);
  const mean = meanOf(last);
  return {
    finished: ended.length,
    failed: trials.filter((trial) => trial.state === 'failed').length,
    pending: trials.filter((trial) => !isFinal(trial.state)).length,
    ...(best === undefined ? {} : { best: { trial: best.trial.number, value: sign * (scores[top] as number), params: best.trial.params } }),
    ...(last.length === 0
      ? {}
      : { recent: { count: last.length, mean: sign * mean, sd: Math.sqrt(meanOf(last.map((x) => (x - mean) ** 2))) } }),
    trend: trendOf(scores),
    parameters:
      ended.length < LEAST_RESULTS
        ? []
        : insights(
            space,
            sample.map((i) => (ended[i] as (typeof ended)[number]).trial.params),
            sample.map((i) => scores[i] as number),
            sample.map((i) => standings[i] as number),
          ),
  };
}

/** Results that single parameters are judged by: all, or so many spread over the campaign (sorting 10,000 for each parameter would hold the worker up). */
const MOST_RESULTS = 1000;

function sampleOf(count: number): number[] {
  if (count <= MOST_RESULTS) return Array.from({ length: count }, (_, i) => i);
  // The newest is always among them.
  return Array.from({ length: MOST_RESULTS }, (_, k) => Math.ceil(((k + 1) * count) / MOST_RESULTS) - 1);
}

/** Mean of the last ten against the ten before, in units of their spread. */
function trendOf(scores: readonly number[]): Statistics['trend'] {
  if (scores.length < 2 * RECENT) return 'too early';
  const [before, after] = [scores.slice(-2 * RECENT, -RECENT), scores.slice(-RECENT)];
  const middle = meanOf([...before, ...after]);
  const spread = Math.sqrt(meanOf([...before, ...after].map((x) => (x - middle) ** 2)));
  const gain = meanOf(after) - meanOf(before);
  if (spread === 0 || Math.abs(gain) < 0.25 * spread) return 'flat';
  return gain > 0 ? 'improving' : 'worsening';
}

/** `standings`: the scores, with minus infinity for trials that are never among the best. */
function insights(space: Space, points: readonly Point[], scores: readonly number[], standings: readonly number[]): ParameterInsight[] {
  const compiled = compileSpace(space);
  const codes = points.map((point) => codesOf(compiled, point));
  const ranked = scores.map((_, i) => i).filter((i) => standings[i] !== Number.NEGATIVE_INFINITY);
  const topCount = Math.max(2, Math.ceil(ranked.length / 5));
  const top = ranked.sort((a, b) => (standings[b] as number) - (standings[a] as number)).slice(0, topCount);
  return compiled.dimensions.flatMap((dimension, d): ParameterInsight[] => {
    if (dimension.kind === 'constant') return [];
    const rows = codes.flatMap((row, i) => (Number.isNaN(row[d]) ? [] : [i]));
    if (rows.length < LEAST_RESULTS) return [];
    const xs = rows.map((i) => codes[i]?.[d] as number);
    const ys = rows.map((i) => scores[i] as number);
    const values = top.flatMap((i) => points[i]?.[dimension.name] ?? []);
    const common = modeOf(values);
    if (dimension.kind === 'categorical') {
      const better = common === undefined ? 'unclear' : { value: common };
      return [{ name: dimension.name, importance: betweenGroups(xs, ys), better, region: [...new Set(values)] }];
    }
    const rho = correlation(ranks(xs), ranks(ys));
    const better = Math.abs(rho) < CLEAR_CORRELATION ? 'unclear' : rho > 0 ? 'higher' : 'lower';
    const sorted = [...values].sort((a, b) => dimension.codeOf(a) - dimension.codeOf(b));
    const region = sorted.length === 0 ? [] : [sorted[0] as ParameterValue, sorted.at(-1) as ParameterValue];
    return [{ name: dimension.name, importance: rho * rho, better, region }];
  });
}

function modeOf(values: readonly ParameterValue[]): ParameterValue | undefined {
  const counts = new Map<ParameterValue, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}

function meanOf(xs: readonly number[]): number {
  return xs.length === 0 ? 0 : xs.reduce((sum, x) => sum + x, 0) / xs.length;
}

/** Share of the variance of y that lies between the groups of x (correlation ratio). */
function betweenGroups(xs: readonly number[], ys: readonly number[]): number {
  const mean = meanOf(ys);
  const total = ys.reduce((sum, y) => sum + (y - mean) ** 2, 0);
  if (total === 0) return 0;
  const groups = new Map<number, number[]>();
  xs.forEach((x, i) => {
    const group = groups.get(x);
    if (group === undefined) groups.set(x, [ys[i] as number]);
    else group.push(ys[i] as number);
  });
  return [...groups.values()].reduce((sum, group) => sum + group.length * (meanOf(group) - mean) ** 2, 0) / total;
}

/** Ranks from 0, ties at their mean. */
function ranks(xs: readonly number[]): number[] {
  const order = xs.map((_, i) => i).sort((a, b) => (xs[a] as number) - (xs[b] as number));
  const result = new Array<number>(xs.length).fill(0);
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j + 1 < order.length && xs[order[j + 1] as number] === xs[order[i] as number]) j++;
    for (let k = i; k <= j; k++) result[order[k] as number] = (i + j) / 2;
    i = j + 1;
  }
  return result;
}

function correlation(xs: readonly number[], ys: readonly number[]): number {
  const [mx, my] = [meanOf(xs), meanOf(ys)];
  const covariance = xs.reduce((sum, x, i) => sum + (x - mx) * ((ys[i] as number) - my), 0);
  const spread = Math.sqrt(xs.reduce((sum, x) => sum + (x - mx) ** 2, 0) * ys.reduce((sum, y) => sum + (y - my) ** 2, 0));
  return spread === 0 ? 0 : covariance / spread;
}
