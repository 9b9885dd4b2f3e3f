import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import { parsePythonJson } from '../domain/python-json.ts';
import type { Space } from '../domain/space.ts';
import type { TrialRow, TrialState } from '../domain/trial.ts';
import { lossesOf, violationOf } from './losses.ts';
import { readOptions } from './options.ts';
import { paretoFront } from './pareto.ts';
import { samplerEntry } from './registry.ts';
import type { SamplerState } from './sampler.ts';
import { type CompiledSpace, compileSpace } from './space.ts';
import { toldPoint } from './told-point.ts';

/**
 * The optimiser alone, as lines of JSON: `{"ask": 2}` is answered by two lines `{"id": 1, "params": {…}}`, `{"tell": {"id": 1, "value": 0.9}}` by nothing.
 * A state machine without clock or I/O: the same lines give the same answers.
 */
export interface AskTell {
  readonly space: CompiledSpace;
  readonly objectives: readonly Objective[];
  readonly metricConstraints: readonly MetricConstraint[];
  readonly sampler: string;
  readonly seed: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly trials: readonly TrialRow[];
  /** Trials that were told to have ended: they are told apart by when they first were, in the order of the lines. */
  readonly ended: number;
  readonly state?: SamplerState;
}

export interface AskTellOptions {
  readonly objectives?: readonly Objective[];
  /** Conditions on metrics, which tells bring; a trial that breaks one is never the best. */
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly sampler?: string;
  readonly seed?: number;
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly session: AskTell;
  /** Lines to print, without line breaks. */
  readonly lines: readonly string[];
}

const MINIMIZE: Objective = { metric: 'value', direction: 'minimize', reduce: 'result' };
const MOST_ASKED = 100_000;
const WISHES = ['ask', 'tell', 'best'] as const;

/**
 * A session without trials. Example: `openAskTell(space, { sampler: 'auto', seed: 7 })`.
 * @throws Error for an unknown sampler, an option it does not have, or a space that cannot be read.
 */
export function openAskTell(
  space: Space,
  { objectives = [MINIMIZE], metricConstraints = [], sampler = 'auto', seed = 0, options = {} }: AskTellOptions = {},
): AskTell {
  readOptions(samplerEntry(sampler).options ?? {}, options);
  return { space: compileSpace(space), objectives, metricConstraints, sampler, seed, options, trials: [], ended: 0 };
}

/** Reads one line. A line that cannot be used changes nothing and is answered by `{"error": "…"}`; an empty one by nothing. */
export function answer(session: AskTell, line: string): Answer {
  if (line.trim() === '') return { session, lines: [] };
  try {
    // A byte order mark too, which some shells put before their first line.
    const message = parse(line.trim());
    const wishes = WISHES.filter((wish) => wish in message);
    if (wishes.length > 1) throw new Error(`The message has ${wishes.join(' and ')}, of which only one can be answered. Send two lines.`);
    if ('ask' in message) return ask(session, message.ask);
    if ('tell' in message) return { session: tell(session, message.tell), lines: [] };
    if ('best' in message) return { session, lines: [JSON.stringify(best(session))] };
    throw new Error(
      `The message has the keys ${Object.keys(message).join(', ') || '(none)'}. Send {"ask": n}, {"tell": {…}} or {"best": true}.`,
    );
  } catch (error) {
    return { session, lines: [JSON.stringify({ error: error instanceof Error ? error.message : String(error) })] };
  }
}

function parse(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parsePythonJson(line);
  } catch {
    throw new Error('The line is not JSON. Send one JSON object a line, like {"ask": 1}.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('The line is not a JSON object.');
  return value as Record<string, unknown>;
}

function ask(session: AskTell, count: unknown): Answer {
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MOST_ASKED)
    throw new Error(`ask is ${JSON.stringify(count)}, but must be a whole number from 1 to ${MOST_ASKED}.`);
  const { space, objectives, metricConstraints, trials, seed, options, state } = session;
  const { sampler } = samplerEntry(session.sampler);
  const request = { space: space.space, objectives, metricConstraints, trials, count, seed, options };
  const result = sampler(state === undefined ? request : { ...request, state });
  const first = trials.length + 1;
  const added = result.suggestions.map(
    ({ params, origin }, i): TrialRow => ({ number: first + i, params, origin, state: 'running', attempts: 1, createdAt: first + i }),
  );
  const lines = added.map(({ number, params, origin }) => JSON.stringify({ id: number, params, origin }));
  if (added.length < count) lines.push(JSON.stringify({ exhausted: true }));
  return { session: { ...session, trials: [...trials, ...added], ...(result.state === undefined ? {} : { state: result.state }) }, lines };
}

const STATES: Readonly<Record<string, TrialState>> = {
  completed: 'completed',
  complete: 'completed',
  running: 'running',
  pruned: 'pruned',
  failed: 'failed',
  fail: 'failed',
  error: 'failed',
  cancelled: 'cancelled',
  canceled: 'cancelled',
};

function tell(session: AskTell, given: unknown): AskTell {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Error('tell must be an object like {"id": 1, "value": 0.9}.');
  const { id, params, value, values = value, state: word, step, metrics, status } = given as Record<string, unknown>;
  // Read over, it would make a failed trial a completed one.
  if (status !== undefined && word === undefined) throw new Error('tell.status is not read here. Write it as tell.state.');
  const old = id === undefined ? undefined : session.trials[numberOf(id) - 1];
  if (id !== undefined && !old) throw new Error(`tell.id ${JSON.stringify(id)} was not asked for.`);
  const measured = values === undefined ? undefined : valuesOf(values, session.objectives);
  const named = word === undefined || word === null ? 'completed' : STATES[String(word).toLowerCase()];
  if (named === undefined)
    throw new Error(`tell.state is ${JSON.stringify(word)}, but must be one of completed, running, pruned, failed, cancelled.`);
  if (step !== undefined && step !== null && !Number.isFinite(step)) throw new Error('tell.step is no number.');
  if (measured === undefined && (word === undefined || word === null)) throw new Error('tell has neither value nor state.');
  // A training that diverged has failed, whatever it says of itself; one that was cancelled says nothing.
  const state = measured === 'not finite' && named !== 'cancelled' ? 'failed' : named;
  const told = measured === 'not finite' ? undefined : measured;
  if (state === 'completed' && told === undefined && old?.values === undefined) throw new Error('tell says completed, but has no value.');
  const constraintValues = metricsOf(session, metrics, told, old?.constraintValues);
  const row = old ?? own(session, params);
  const { values: before, finishedAt, ...rest } = row;
  const ended = state === 'running' ? undefined : (finishedAt ?? session.ended + 1);
  const kept = state === 'failed' || state === 'cancelled' ? undefined : (told ?? before);
  const curve = typeof step === 'number' && told ? reportedAt(step, told[0] as number, row.curve) : row.curve;
  const changed: TrialRow = {
    ...rest,
    state,
    ...(ended === undefined ? {} : { finishedAt: ended }),
    ...(kept ? { values: kept } : {}),
    ...(typeof step === 'number' ? { step } : {}),
    ...(curve ? { curve } : {}),
    ...(constraintValues.length > 0 ? { constraintValues } : {}),
  };
  const trials = [...session.trials];
  trials[row.number - 1] = changed;
  return { ...session, trials, ended: Math.max(session.ended, ended ?? 0) };
}

/**
 * Values of the metrics that conditions name: told under `metrics`, or as the value of the objective of that name, or in an earlier tell; NaN where nobody has told
 * one.
 */
function metricsOf(
  { metricConstraints, objectives }: AskTell,
  given: unknown,
  told: readonly number[] | undefined,
  earlier: TrialRow['constraintValues'],
): (number | null)[] {
  if (given !== undefined && given !== null && (typeof given !== 'object' || Array.isArray(given)))
    throw new Error('tell.metrics must be an object like {"peak_memory_gb": 31.5}.');
  const metrics = new Map<string, unknown>(Object.entries(given ?? {}));
  return metricConstraints.map(({ metric }, at) => {
    if (!metrics.has(metric)) return told?.[objectives.findIndex((o) => o.metric === metric)] ?? earlier?.[at] ?? Number.NaN;
    const value = metrics.get(metric);
    if (isNotFinite(value)) return Number.NaN;
    if (typeof value !== 'number') throw new Error(`tell.metrics.${metric} is ${JSON.stringify(value)}, but must be a number.`);
    return value;
  });
}

/** Ids are numbers; a language that keeps them as text gives them back as text. */
function numberOf(id: unknown): number {
  return typeof id === 'string' && /^\d+$/.test(id) ? Number(id) : typeof id === 'number' ? id : Number.NaN;
}

const MOST_REPORTS = 64;

/** The curve with one more report; of two for the same step the later one counts. */
function reportedAt(step: number, value: number, curve: TrialRow['curve'] = []): TrialRow['curve'] {
  const others = curve.filter(([s]) => s !== step);
  return [...others, [step, value] as const].sort((a, b) => a[0] - b[0]).slice(-MOST_REPORTS);
}

/** A point of the user's own: told without having been asked for. */
function own({ space, trials }: AskTell, params: unknown): TrialRow {
  if (typeof params !== 'object' || params === null) throw new Error('tell has neither id nor params.');
  const number = trials.length + 1;
  const point = toldPoint(space, params as Readonly<Record<string, unknown>>);
  return { number, params: point, origin: 'user', state: 'running', attempts: 1, createdAt: number };
}

/** The values of a tell (one number, a list, or by the objectives' names), or that one of them is NaN, infinite or null. */
function valuesOf(values: unknown, objectives: readonly Objective[]): number[] | 'not finite' {
  const count = objectives.length;
  const named =
    typeof values === 'object' && values !== null && !Array.isArray(values) ? new Map<string, unknown>(Object.entries(values)) : undefined;
  const list = named ? objectives.map(({ metric }) => named.get(metric)) : Array.isArray(values) ? values : [values];
  // One null stands for all objectives of a trial that has failed.
  if (list.length === 1 && isNotFinite(list[0])) return 'not finite';
  if (list.length !== count || !list.every((v) => typeof v === 'number' || isNotFinite(v)))
    throw new Error(`tell.value is ${JSON.stringify(values)}, but must be ${count === 1 ? 'a number' : `a list of ${count} numbers`}.`);
  return list.some(isNotFinite) ? 'not finite' : (list as number[]);
}

/** Also as text, which some languages make of it. */
function isNotFinite(value: unknown): boolean {
  if (typeof value === 'string') return /^[-+]?(nan|inf|infinity)$/i.test(value.trim());
  return value === null || (typeof value === 'number' && !Number.isFinite(value));
}

/**
 * The best completed trial that keeps the conditions on metrics, null before there is one; of several objectives the best of the first, and `front`, the trials
 * that no other dominates.
 */
function best({ trials, objectives, metricConstraints }: AskTell): Record<string, unknown> {
  const ended = trials.flatMap((trial) => {
    const isCandidate = trial.state === 'completed' && violationOf(metricConstraints, trial) === 0;
    const losses = isCandidate ? lossesOf(objectives, trial) : undefined;
    return losses === undefined ? [] : [{ trial, losses }];
  });
  const told = ({ number, params, values = [] }: TrialRow) => ({
    id: number,
    params,
    ...(objectives.length === 1 ? { value: values[0] } : { values }),
  });
  const [first, ...others] = ended;
  const found = others.reduce((least, each) => ((each.losses[0] as number) < (least?.losses[0] as number) ? each : least), first);
  const front =
    objectives.length === 1
      ? {}
      : { front: paretoFront(ended.map(({ losses }) => losses)).map((at) => told((ended[at] as { trial: TrialRow }).trial)) };
  return { best: found === undefined ? null : told(found.trial), ...front };
}
