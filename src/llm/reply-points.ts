import type { Parameter, ParameterValue, Point } from '../domain/space.ts';
import type { Suggestion } from '../domain/trial.ts';
import type { Dimension } from '../search/dimension.ts';
import { type Codes, type CompiledSpace, codesOf, isActive, pointOf } from '../search/space.ts';
import { samePoint } from './distance.ts';
import { plain, type RawPoint } from './reply-json.ts';
import { oneLine } from './words.ts';

export type Reading =
  | { readonly kind: 'point'; readonly params: Point; readonly repairs: readonly string[] }
  | { readonly kind: 'refused'; readonly why: string };

/** Numbers out of texts like `1e-3`, `"64"`, `1_000`; NaN for the rest. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return Number.NaN;
  const text = value.trim().replace(/[_,](?=\d{3}\b)/g, '');
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

/**
 * One proposed point as a point of the space (row L14). Numbers are clamped, rounded and put on their step; a value that is in no list and a missing or
 * unreadable one become the default, else the middle or the first value. Everything that was changed is told in `repairs`. Refused: a point that breaks a
 * constraint.
 */
export function readPoint(compiled: CompiledSpace, raw: RawPoint): Reading {
  const given = new Map(Object.entries(raw.params).map(([key, value]) => [plain(key), value]));
  const repairs: string[] = [];
  const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
  compiled.dimensions.forEach((dimension, i) => {
    if (!isActive(compiled, codes, i)) return;
    codes[i] = dimension.codeOf(mendedValue(dimension, given.get(plain(dimension.name)), repairs));
  });
  const params = pointOf(compiled, codes);
  const broken = compiled.constraints.findIndex(({ holds }) => !holds(params));
  if (broken !== -1) return { kind: 'refused', why: `breaks the constraint ${compiled.space.constraints?.[broken]}` };
  return { kind: 'point', params, repairs };
}

function mendedValue(dimension: Dimension, given: unknown, repairs: string[]): ParameterValue {
  const { parameter } = dimension;
  if (parameter.type === 'constant') return parameter.value;
  const value = parameter.type === 'int' || parameter.type === 'float' ? numeric(dimension, parameter, given) : listed(parameter, given);
  if (value !== given) repairs.push(`${parameter.name} ${shown(given)} → ${value}`);
  return value;
}

function numeric(dimension: Dimension, parameter: Extract<Parameter, { min: number }>, given: unknown): ParameterValue {
  const x = numberOf(given);
  if (Number.isNaN(x)) return fallback(parameter, dimension);
  if (x === Number.POSITIVE_INFINITY) return dimension.valueOf(1);
  const value = dimension.valueOf(dimension.codeOf(x));
  // Six digits are kept of a float; that is no repair.
  return typeof given === 'number' && Math.abs(Number(value) - given) <= 1e-5 * Math.abs(given)
    ? parameter.type === 'int'
      ? value
      : given
    : value;
}

/** How else a model says true and false. */
const TRUTHS: Readonly<Record<string, boolean>> = {
  1: true,
  yes: true,
  on: true,
  enabled: true,
  0: false,
  no: false,
  off: false,
  disabled: false,
};

function listed(parameter: Extract<Parameter, { values: readonly ParameterValue[] }>, given: unknown): ParameterValue {
  const { values } = parameter;
  const same =
    values.find((value) => value === given) ?? values.find((value) => given !== null && plain(String(value)) === plain(String(given)));
  if (same !== undefined) return same;
  const truth = values.some((value) => typeof value === 'boolean') ? TRUTHS[plain(String(given))] : undefined;
  if (truth !== undefined && values.includes(truth)) return truth;
  const x = numberOf(given);
  if (!Number.isNaN(x)) {
    const equal = values.find((value) => typeof value !== 'boolean' && numberOf(value) === x);
    if (equal !== undefined) return equal;
    if (parameter.type === 'ordinal' && values.every((value) => typeof value === 'number')) return nearest(values as readonly number[], x);
  }
  return fallback(parameter);
}

function nearest(values: readonly number[], given: number): number {
  // Beyond the largest, where differences are all the same to a double.
  const x = Math.min(Math.max(given, Math.min(...values)), Math.max(...values));
  return values.reduce((best, value) => (Math.abs(value - x) < Math.abs(best - x) ? value : best));
}

function fallback(parameter: Exclude<Parameter, { type: 'constant' }>, dimension?: Dimension): ParameterValue {
  if (parameter.default !== undefined) return parameter.default;
  return dimension === undefined
    ? ((parameter as { values: readonly ParameterValue[] }).values[0] as ParameterValue)
    : dimension.valueOf(0.5);
}

function shown(given: unknown): string {
  if (given === undefined) return 'missing';
  // JSON has no word for Infinity, which 1e400 is read as.
  return oneLine(typeof given === 'number' ? String(given) : (JSON.stringify(given) ?? String(given)), 30);
}

/** Longest reasoning and repairs kept with a trial; the table keeps 200 characters in all, the cost comes behind them. */
const LONGEST_REASONING = 100;
const LONGEST_REPAIRS = 45;

export interface Admitted {
  readonly suggestions: readonly Suggestion[];
  /** Why the others were not taken, one line each, to be told to the model. */
  readonly refused: readonly string[];
  /** All repairs of the points that were taken. */
  readonly repairs: readonly string[];
}

/** Points of a reply that are looked at beyond those asked for: each is compared with every trial, and each refusal is told to the model. */
const MOST_SPARE = 20;

/** Points of a reply that are new: not tried, not pending, not each other's double (`taken` has their codes and grows). At most `count`. */
export function admitPoints(
  compiled: CompiledSpace,
  raw: readonly RawPoint[],
  count: number,
  taken: Codes[],
  allowsDuplicates: boolean,
): Admitted {
  const suggestions: Suggestion[] = [];
  const refused: string[] = [];
  const repairs: string[] = [];
  for (const [index, each] of raw.slice(0, count + MOST_SPARE).entries()) {
    if (suggestions.length === count) break;
    const reading = readPoint(compiled, each);
    if (reading.kind === 'refused') {
      refused.push(`point ${index + 1} ${reading.why}`);
      continue;
    }
    if (!allowsDuplicates && samePoint(compiled, reading.params, taken) !== undefined) {
      refused.push(`point ${index + 1} is as good as the same as one that was tried, runs, or stands before it`);
      continue;
    }
    taken.push(codesOf(compiled, reading.params));
    repairs.push(...reading.repairs);
    suggestions.push({ params: reading.params, origin: 'llm', ...noteOf(each.reasoning, reading.repairs) });
  }
  return { suggestions, refused, repairs };
}

/** The model's words, then what was mended: `deeper nets do better (repaired: lr 5 → 0.1)`. */
function noteOf(reasoning: string | undefined, repairs: readonly string[]): { note?: string } {
  const words = oneLine(reasoning ?? '', LONGEST_REASONING);
  const mended = repairs.length === 0 ? '' : `(repaired: ${oneLine(repairs.join('; '), LONGEST_REPAIRS)})`;
  const note = [words, mended].filter((part) => part !== '').join(' ');
  return note === '' ? {} : { note };
}
