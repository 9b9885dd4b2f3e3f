import type { Objective } from '../domain/campaign.ts';
import type { Point, Space } from '../domain/space.ts';
import { isFinal, type TrialRow, type TrialState } from '../domain/trial.ts';
import { samplerEntry } from './registry.ts';
import type { SamplerState } from './sampler.ts';
import { type CompiledSpace, codesOf, compileSpace, isActive, pointOf } from './space.ts';

/**
 * The optimiser alone, as lines of JSON: `{"ask": 2}` is answered by two lines `{"id": 1, "params": {…}}`, `{"tell": {"id": 1, "value": 0.9}}` by nothing.
 * A state machine without clock or I/O: the same lines give the same answers.
 */
export interface AskTell {
  readonly space: CompiledSpace;
  readonly objectives: readonly Objective[];
  readonly sampler: string;
  readonly seed: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly trials: readonly TrialRow[];
  readonly state?: SamplerState;
}

export interface AskTellOptions {
  readonly objectives?: readonly Objective[];
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

/**
 * A session without trials. Example: `openAskTell(space, { sampler: 'auto', seed: 7 })`.
 * @throws Error for an unknown sampler or a space that cannot be read.
 */
export function openAskTell(
  space: Space,
  { objectives = [MINIMIZE], sampler = 'auto', seed = 0, options = {} }: AskTellOptions = {},
): AskTell {
  samplerEntry(sampler);
  return { space: compileSpace(space), objectives, sampler, seed, options, trials: [] };
}

/** Reads one line. A line that cannot be used changes nothing and is answered by `{"error": "…"}`; an empty one by nothing. */
export function answer(session: AskTell, line: string): Answer {
  if (line.trim() === '') return { session, lines: [] };
  try {
    const message = parse(line);
    if ('ask' in message) return ask(session, message.ask);
    if ('tell' in message) return { session: tell(session, message.tell), lines: [] };
    if ('best' in message) return { session, lines: [JSON.stringify({ best: best(session) })] };
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
    // NaN and Infinity, which Python's json writes, are no JSON: a trial without a finite value has failed.
    value = JSON.parse(line);
  } catch {
    throw new Error(
      'The line is not JSON. Send one JSON object a line; for a result that is not a number send {"tell": {"id": …, "state": "failed"}}.',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('The line is not a JSON object.');
  return value as Record<string, unknown>;
}

function ask(session: AskTell, count: unknown): Answer {
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MOST_ASKED)
    throw new Error(`ask is ${JSON.stringify(count)}, but must be a whole number from 1 to ${MOST_ASKED}.`);
  const { space, objectives, trials, seed, options, state } = session;
  const { sampler } = samplerEntry(session.sampler);
  const request = { space: space.space, objectives, trials, count, seed, options };
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
  pruned: 'pruned',
  failed: 'failed',
  fail: 'failed',
  cancelled: 'cancelled',
};

function tell(session: AskTell, given: unknown): AskTell {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Error('tell must be an object like {"id": 1, "value": 0.9}.');
  const { id, params, value, values = value, state: word, step } = given as Record<string, unknown>;
  const old = id === undefined ? undefined : session.trials.find((t) => t.number === id);
  if (id !== undefined && !old) throw new Error(`tell.id ${JSON.stringify(id)} was not asked for.`);
  const losses = values === undefined ? undefined : numbers(values, session.objectives.length);
  if (word !== undefined && !Object.hasOwn(STATES, String(word)))
    throw new Error(`tell.state is ${JSON.stringify(word)}, but must be one of completed, pruned, failed, cancelled.`);
  if (step !== undefined && (typeof step !== 'number' || !Number.isFinite(step))) throw new Error('tell.step is no number.');
  if (losses === undefined && word === undefined) throw new Error('tell has neither value nor state.');
  const state = word === undefined ? 'completed' : (STATES[String(word)] as TrialState);
  if (state === 'completed' && losses === undefined && old?.values === undefined) throw new Error('tell says completed, but has no value.');
  const row = old ?? own(session, params);
  // Ended trials are told apart by when they were first told, in the order of the lines.
  const finishedAt = row.finishedAt ?? 1 + session.trials.filter((t) => isFinal(t.state)).length;
  const curve =
    step === undefined || losses === undefined
      ? row.curve
      : [...(row.curve ?? []).filter(([s]) => s !== step), [step as number, losses[0] as number] as const];
  const kept = state === 'failed' || state === 'cancelled' ? undefined : (losses ?? row.values);
  const { values: _, ...rest } = row;
  const told: TrialRow = {
    ...rest,
    state,
    finishedAt,
    ...(kept ? { values: kept } : {}),
    ...(step === undefined ? {} : { step: step as number }),
    ...(curve ? { curve: curve.slice(-64) } : {}),
  };
  return { ...session, trials: old ? session.trials.map((t) => (t === old ? told : t)) : [...session.trials, told] };
}

/** A point of the user's own: told without having been asked for. */
function own({ space, trials }: AskTell, params: unknown): TrialRow {
  if (typeof params !== 'object' || params === null) throw new Error('tell has neither id nor params.');
  const codes = codesOf(space, params as Point);
  space.dimensions.forEach(({ name }, i) => {
    if (Number.isNaN(codes[i] as number) && isActive(space, codes, i))
      throw new Error(`tell.params.${name} is missing or not a value of the space.`);
  });
  return {
    number: trials.length + 1,
    params: pointOf(space, codes),
    origin: 'user',
    state: 'running',
    attempts: 1,
    createdAt: trials.length + 1,
  };
}

function numbers(values: unknown, count: number): number[] {
  const list = Array.isArray(values) ? values : [values];
  if (list.length !== count || !list.every((v) => typeof v === 'number' && Number.isFinite(v)))
    throw new Error(
      `tell.value is ${JSON.stringify(values)}, but must be ${count === 1 ? 'a finite number' : `a list of ${count} finite numbers`}.`,
    );
  return list as number[];
}

/** The best completed trial of the first objective; null before there is one. */
function best({ trials, objectives }: AskTell): unknown {
  const sign = objectives[0]?.direction === 'maximize' ? -1 : 1;
  let found: TrialRow | undefined;
  for (const trial of trials) {
    if (trial.state !== 'completed' || !trial.values) continue;
    if (!found || sign * (trial.values[0] as number) < sign * (found.values?.[0] as number)) found = trial;
  }
  return found
    ? { id: found.number, params: found.params, ...(objectives.length === 1 ? { value: found.values?.[0] } : { values: found.values }) }
    : null;
}
