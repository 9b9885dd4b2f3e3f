import type { Suggestion } from '../domain/trial.ts';
import { isFinal } from '../domain/trial.ts';
import { endedWithValue } from '../search/losses.ts';
import { compileSpace } from '../search/space.ts';
import { pointsToAskByBandit } from './bandit.ts';
import type { Meter } from './chat.ts';
import { type Answer, askInOrder, type Talk } from './conversation.ts';
import { type LlmOptions, llmOptions } from './options.ts';
import type { LlmDeps, LlmEvent, LlmState, LlmUsage, ProposeRequest, ProposeResult } from './proposal.ts';
import { explorationFactor, phaseOf, pointsToAsk } from './schedule.ts';

const NO_USAGE: LlmUsage = { calls: 0, promptTokens: 0, completionTokens: 0 };
const EMPTY: LlmState = { usage: NO_USAGE, notes: [], abilities: {} };

const MOST_NOTES = 5;
/** All models together are given up after so many times the timeout of one answer: slots are waiting. */
const PATIENCE_TIMEOUTS = 2;
/** After one, two, three, … misses in a row so many turns are passed over: 1, 3, 7, at most 15. */
const MOST_PASSED_OVER = 15;
/** Characters of a reason that are kept for the turns that are passed over. */
const MOST_OF_A_REASON = 200;
/** Room for one point in an answer. */
const TOKENS_PER_POINT = 100;

/**
 * Asks the model for its share of the next points. What comes back are candidates: the caller passes them to the sampler as `options.candidates`, where they
 * compete under the same acquisition, or takes them as they are. Never throws for what a service or a model does, and never takes longer than its timeouts:
 * with no usable answer the suggestions are empty and an event says why.
 */
export async function proposeWithLlm(request: ProposeRequest, deps: LlmDeps): Promise<ProposeResult> {
  const options = llmOptions(request.llm);
  const before = request.state ?? EMPTY;
  const { asked, factor } = shareOf(request, options);
  const events: LlmEvent[] = [];
  if (asked === 0) return { suggestions: [], asked, factor, usage: NO_USAGE, events, state: before };
  if ((before.passOver ?? 0) > 0) {
    const why = before.lastMiss === undefined ? '' : ` (${before.lastMiss})`;
    const message = `It was not asked, because no service answered the last time${why}.`;
    const state = { ...before, passOver: (before.passOver ?? 0) - 1 };
    return { suggestions: [], asked, factor, usage: NO_USAGE, events: [{ kind: 'fell_back', reason: 'service', message }], state };
  }
  const spent = { ...NO_USAGE };
  const patience = AbortSignal.timeout(PATIENCE_TIMEOUTS * options.timeout * 1000);
  const talk: Talk = {
    request,
    options,
    factor,
    asked: Math.min(asked, pointsPerAnswer(options)),
    compiled: compileSpace(request.space),
    events,
    meter: meterOf(before.usage, spent, options),
    deps,
  };
  const answer = await withinPatience(talk, before, patience);
  const usage = {
    calls: before.usage.calls + spent.calls,
    promptTokens: before.usage.promptTokens + spent.promptTokens,
    completionTokens: before.usage.completionTokens + spent.completionTokens,
  };
  const notes = answer.note === undefined ? before.notes : [...before.notes, answer.note].slice(-MOST_NOTES);
  return {
    suggestions: withCost(answer.suggestions, spent),
    asked,
    factor,
    usage: spent,
    events,
    state: { usage, notes, abilities: { ...before.abilities, ...answer.abilities }, ...missesAfter(before, events) },
  };
}

/** Each point's note tells its share of what this turn cost, repairs and failed models included. */
function withCost(suggestions: readonly Suggestion[], { calls, promptTokens, completionTokens }: LlmUsage): Suggestion[] {
  const tokens = Math.round((promptTokens + completionTokens) / Math.max(1, suggestions.length));
  const cost = `[${tokens} tokens${calls > 1 ? `, ${calls} calls` : ''}]`;
  return suggestions.map((suggestion) => ({ ...suggestion, note: suggestion.note === undefined ? cost : `${suggestion.note} ${cost}` }));
}

/** What no model answered in time is a miss like any other; an abort from outside is thrown on. */
async function withinPatience(talk: Talk, before: LlmState, patience: AbortSignal): Promise<Answer> {
  const { signal } = talk.deps;
  try {
    const deps = { ...talk.deps, signal: signal === undefined ? patience : AbortSignal.any([signal, patience]) };
    return await askInOrder({ ...talk, deps }, before);
  } catch (error) {
    if (!patience.aborted || signal?.aborted === true) throw error;
    const message = `No model answered within ${PATIENCE_TIMEOUTS * talk.options.timeout} s.`;
    talk.events.push({ kind: 'fell_back', reason: 'service', message });
    return { suggestions: [], abilities: {} };
  }
}

/** Asks a service that is down ever less often. */
function missesAfter(before: LlmState, events: readonly LlmEvent[]): Pick<LlmState, 'misses' | 'passOver' | 'lastMiss'> {
  const miss = events.find((event) => event.kind === 'fell_back' && event.reason === 'service');
  if (miss?.kind !== 'fell_back') return {};
  const misses = (before.misses ?? 0) + 1;
  return {
    misses,
    passOver: Math.min(MOST_PASSED_OVER, 2 ** misses - 1),
    lastMiss: miss.message.replace(/\.$/, '').slice(0, MOST_OF_A_REASON),
  };
}

/** How many of the next points are the model's, and the exploration factor. Pure; also for showing what would be asked. */
export function shareOf(
  request: Pick<ProposeRequest, 'objectives' | 'trials' | 'count'>,
  options: LlmOptions,
): { readonly asked: number; readonly factor: number } {
  const { objectives, trials, count } = request;
  const schedule = {
    initialSamples: options.initialSamples,
    base: options.explorationFactor,
    ramp: options.exploitationRamp,
    least: options.minExploration,
  };
  const results = endedWithValue(objectives, trials).map(({ losses }) => -(losses[0] as number));
  const finished = trials.filter((trial) => isFinal(trial.state) && trial.state !== 'cancelled').length;
  const factor = explorationFactor(schedule, finished, results);
  if (options.share === 'schedule') return { asked: pointsToAsk(schedule, trials.length, count, factor), factor };
  const initial = Array.from({ length: count }, (_, i) => phaseOf(schedule, trials.length + i, factor)).filter(
    (phase) => phase === 'initial',
  ).length;
  return { asked: pointsToAskByBandit(objectives, trials, count - initial), factor };
}

/** More would be cut off by max_tokens; the sampler gives the rest. */
function pointsPerAnswer(options: LlmOptions): number {
  return Math.max(1, Math.floor(options.maxTokens / TOKENS_PER_POINT));
}

function meterOf(
  before: LlmUsage,
  spent: { calls: number; promptTokens: number; completionTokens: number },
  { budget }: LlmOptions,
): Meter {
  return {
    take: () => {
      const tokens = before.promptTokens + before.completionTokens + spent.promptTokens + spent.completionTokens;
      if (before.calls + spent.calls >= budget.calls || tokens >= budget.tokens) return false;
      spent.calls += 1;
      return true;
    },
    add: (promptTokens, completionTokens) => {
      spent.promptTokens += promptTokens;
      spent.completionTokens += completionTokens;
    },
  };
}
