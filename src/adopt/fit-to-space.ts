import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Parameter, ParameterValue, Space } from '../domain/space.ts';
import { compileConstraint } from '../search/constraints.ts';
import { cannotBe } from '../spec/point-checks.ts';
import type { WarmStartEntry } from '../spec/warm-start.ts';
import type { ForeignTrial } from './foreign-trial.ts';

/** What the results are to be used for, and what the user says about names and values that the source lacks. */
export interface FitTarget {
  readonly space: Space;
  readonly objectives: readonly Objective[];
  readonly metricConstraints?: readonly MetricConstraint[];
  /** Their name → ours, for parameters and metrics. */
  readonly rename: ReadonlyMap<string, string>;
  /** Our parameter → the value that it had in every trial of the source. */
  readonly fixed: ReadonlyMap<string, ParameterValue>;
}

export interface Fitted {
  readonly entries: readonly WarmStartEntry[];
  /** Why trials were left out, the commonest reason first. */
  readonly skipped: readonly { readonly reason: string; readonly count: number }[];
}

type Fit = { readonly entry: WarmStartEntry } | { readonly reason: string };

/**
 * The trials that are points of the space and have a value for every objective. Nothing is bent: a trial outside the space is left out and counted, since a
 * moved point would be a result that nobody measured. The same result is taken once, from wherever it comes.
 */
export function fitToSpace(trials: readonly ForeignTrial[], target: FitTarget): Fitted {
  const entries = new Map<string, WarmStartEntry>();
  const reasons = new Map<string, number>();
  const skip = (reason: string) => reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const trial of trials) {
    const fit = fitOf(trial, target);
    if ('reason' in fit) {
      skip(fit.reason);
      continue;
    }
    const key = JSON.stringify([fit.entry.params, fit.entry.values]);
    if (entries.has(key)) skip('the same result stands there twice');
    else entries.set(key, fit.entry);
  }
  return {
    entries: [...entries.values()],
    skipped: [...reasons].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count),
  };
}

function fitOf(trial: ForeignTrial, target: FitTarget): Fit {
  if (!trial.isComplete) return { reason: 'did not run to its end' };
  const { space, objectives, metricConstraints = [], rename, fixed } = target;
  const given = renamed(trial.params, rename);
  const params: Record<string, ParameterValue> = {};
  for (const parameter of space.parameters) {
    const { name } = parameter;
    const isActive = Object.entries(parameter.when ?? {}).every(
      ([parent, values]) => params[parent] !== undefined && values.includes(params[parent]),
    );
    if (!isActive) continue;
    const said = given.get(name) ?? fixed.get(name) ?? (parameter.type === 'constant' ? parameter.value : undefined);
    const raw = said ?? (given.get(name) === null ? textOfNull(parameter) : undefined);
    if (raw === undefined) {
      const lack = given.get(name) === null ? `${name} is null there` : `has no ${name}`;
      return { reason: `${lack} (say what it was: --fixed ${name}=VALUE)` };
    }
    const value = valueFor(parameter, raw);
    const wrong = value === undefined ? 'is no value of it' : cannotBe(parameter, value);
    if (value === undefined || wrong !== undefined) return { reason: `${name} is outside the search space` };
    params[name] = value;
  }
  for (const text of space.constraints ?? [])
    if (!compileConstraint(text).holds(params)) return { reason: `breaks the constraint "${text}"` };
  const values = valuesOf(trial, target);
  if ('reason' in values) return values;
  const known = renamed(trial.metrics ?? {}, rename);
  const metrics = metricConstraints.flatMap(({ metric }): [string, number][] => {
    const value = Number(known.get(metric) ?? Number.NaN);
    return Number.isFinite(value) ? [[metric, value]] : [];
  });
  return {
    entry: {
      params,
      values: Object.fromEntries(objectives.map(({ metric }, at) => [metric, values.values[at] as number])),
      ...(metrics.length === 0 ? {} : { metrics: Object.fromEntries(metrics) }),
      from: trial.from,
    },
  };
}

function renamed(record: Readonly<Record<string, unknown>>, rename: ReadonlyMap<string, string>): Map<string, unknown> {
  return new Map(Object.entries(record).map(([name, value]) => [rename.get(name) ?? name, value]));
}

function valuesOf(
  { values }: ForeignTrial,
  { objectives, rename }: FitTarget,
): { readonly values: readonly number[] } | { readonly reason: string } {
  const isList = Array.isArray(values);
  if (isList && values.length !== objectives.length) return { reason: `has ${values.length} values for ${objectives.length} objectives` };
  const known = isList ? undefined : renamed(values as Readonly<Record<string, unknown>>, rename);
  const found: number[] = [];
  for (const [at, { metric }] of objectives.entries()) {
    const raw = known === undefined ? (values as readonly unknown[])[at] : known.get(metric);
    if (raw === undefined) return { reason: `has no ${metric} (if it has another name there: --rename THEIRS=${metric})` };
    const value = raw === null || raw === '' ? Number.NaN : Number(raw);
    if (!Number.isFinite(value)) return { reason: `its ${metric} is no finite number` };
    found.push(value);
  }
  return { values: found };
}

/** A value as the parameter writes it: `"64"` of a table may be the number or the text, 3.0 the whole number, `True` the truth. */
function valueFor(parameter: Parameter, raw: unknown): ParameterValue | undefined {
  switch (parameter.type) {
    case 'float':
    case 'int': {
      const value = numberOf(raw);
      return Number.isFinite(value) ? onItsStep(parameter, value) : undefined;
    }
    case 'constant':
      return amongValues([parameter.value], raw);
    default:
      return amongValues(parameter.values, raw);
  }
}

/** The very value, else the one that is written so, else the only one that means the same: 64 for `64.0`, true for `True`. */
function amongValues(values: readonly ParameterValue[], raw: unknown): ParameterValue | undefined {
  const text = String(raw);
  const same = values.find((value) => value === raw) ?? values.find((value) => String(value) === text);
  if (same !== undefined) return same;
  const number = numberOf(raw);
  const alike = values.filter((value) =>
    Number.isNaN(number) ? String(value).toLowerCase() === text.toLowerCase() : numberOf(value) === number,
  );
  return alike.length === 1 ? alike[0] : undefined;
}

/** Python's None, which is no value of a space here: the text that stands for it, where there is one. */
function textOfNull(parameter: Parameter): ParameterValue | undefined {
  if (parameter.type !== 'categorical' && parameter.type !== 'ordinal') return undefined;
  const alike = parameter.values.filter((value) => typeof value === 'string' && /^(none|null)$/i.test(value));
  return alike.length === 1 ? alike[0] : undefined;
}

/** 0.30000000000000004 as other programs come to it is our 0.3: the same point must have the same text, or it would be tried again. */
function onItsStep({ min, step }: Extract<Parameter, { type: 'float' | 'int' }>, value: number): number {
  if (step === undefined) return value;
  const near = Number((min + Math.round((value - min) / step) * step).toPrecision(12));
  return Math.abs(near - value) < 1e-6 * step ? near : value;
}

function numberOf(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
}

/**
 * At most `limit` results: the best half by the first objective, and of the rest every so-manieth in order of value, so that the model also learns where it is bad.
 * In their old order.
 */
export function chooseEntries(entries: readonly WarmStartEntry[], objectives: readonly Objective[], limit: number): WarmStartEntry[] {
  if (entries.length <= limit) return [...entries];
  const [first] = objectives;
  if (first === undefined) return entries.slice(0, limit);
  const sign = first.direction === 'maximize' ? -1 : 1;
  const order = entries
    .map((entry, at) => ({ at, loss: sign * (entry.values[first.metric] as number) }))
    .sort((a, b) => a.loss - b.loss || a.at - b.at)
    .map(({ at }) => at);
  const best = order.slice(0, Math.ceil(limit / 2));
  const rest = order.slice(best.length);
  const wanted = limit - best.length;
  const spread = Array.from({ length: wanted }, (_, k) => rest[Math.floor(((k + 0.5) * rest.length) / wanted)] as number);
  return [...best, ...spread].sort((a, b) => a - b).map((at) => entries[at] as WarmStartEntry);
}
