import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import type { Suggestion } from '../domain/trial.ts';
import { type Codes, type CompiledSpace, codesOf, satisfies } from '../search/space.ts';
import { type Abilities, ask, type ChatEnd, type Meter } from './chat.ts';
import { keySource } from './credentials.ts';
import { samePoint } from './distance.ts';
import { hotFirst } from './hot-models.ts';
import { changedParameters, withNoise } from './noise.ts';
import { type LlmOptions, type Target, targetsOf } from './options.ts';
import { buildPrompt } from './prompt.ts';
import type { LlmDeps, LlmEvent, LlmState, ProposeRequest } from './proposal.ts';
import { readReply } from './reply-json.ts';
import { admitPoints } from './reply-points.ts';
import { replySchema } from './reply-schema.ts';
import { answerTool } from './tools.ts';
import { oneLine } from './words.ts';

const MOST_REPAIR_ROUNDS = 2;
const MOST_TOOL_ROUNDS = 3;

/** What one turn of the model works with. */
export interface Talk {
  readonly request: ProposeRequest;
  readonly options: LlmOptions;
  readonly factor: number;
  readonly asked: number;
  readonly compiled: CompiledSpace;
  readonly events: LlmEvent[];
  readonly meter: Meter;
  readonly deps: LlmDeps;
}

export interface Answer {
  readonly suggestions: readonly Suggestion[];
  readonly note?: string;
  readonly abilities: Readonly<Record<string, Abilities>>;
}

/**
 * One model after the other until one brings points. A spent budget ends it at once; a login that is needed spares only the models that ask for another key.
 * What a person must do is told last, whatever the others say.
 */
export async function askInOrder(talk: Talk, before: LlmState): Promise<Answer> {
  const { request, options, events } = talk;
  const abilities: Record<string, Abilities> = {};
  let last: Extract<LlmEvent, { kind: 'fell_back' }> = { kind: 'fell_back', reason: 'service', message: 'No model is named.' };
  const { targets, message } = await hotFirst(targetsOf(request.llm), {
    globus: options.globus,
    env: talk.deps.env,
    signal: talk.deps.signal,
  });
  if (message !== undefined) events.push({ kind: 'reordered', message });
  const closed = new Set<string | undefined>();
  for (const [at, target] of targets.entries()) {
    if (closed.has(target.apiKey)) continue;
    const name = `${target.baseUrl} ${target.model}`;
    const known = before.abilities[name] ?? {
      format: options.responseFormat === 'auto' ? 'json_schema' : options.responseFormat,
      tools: options.tools && target.tools !== false,
    };
    const end = await converse(talk, target, known, before.notes);
    if (JSON.stringify(end.abilities) !== JSON.stringify(known)) abilities[name] = end.abilities;
    if (end.kind === 'points') return { suggestions: end.suggestions, ...(end.note === undefined ? {} : { note: end.note }), abilities };
    if (closed.size === 0 || end.reason === 'budget') last = { kind: 'fell_back', reason: end.reason, message: end.message };
    if (end.reason === 'budget') break;
    if (end.reason === 'needs_login') closed.add(target.apiKey);
    const isAnotherAsked = targets.slice(at + 1).some(({ apiKey }) => !closed.has(apiKey));
    if (end.reason === 'service' || isAnotherAsked) events.push({ kind: 'model_failed', model: target.model, message: end.message });
  }
  events.push(last);
  return { suggestions: [], abilities };
}

type Conversation =
  | { readonly kind: 'points'; readonly suggestions: readonly Suggestion[]; readonly note?: string; readonly abilities: Abilities }
  | {
      readonly kind: 'none';
      readonly reason: 'needs_login' | 'service' | 'budget' | 'no_usable_answer';
      readonly message: string;
      readonly abilities: Abilities;
    };

/** One conversation: the question, look-ups by tools, at most two rounds of repair. */
async function converse(talk: Talk, target: Target, known: Abilities, notes: readonly string[]): Promise<Conversation> {
  const { request, options, factor, asked, events, deps } = talk;
  const { system, user } = buildPrompt({ ...request, count: asked, factor, notes });
  const messages: ChatCompletionMessageParam[] = [
    { role: 'system', content: system },
    { role: 'user', content: user },
  ];
  const keys = keySource(target.apiKey, options.globus, deps.env);
  const schema = replySchema(request.space, asked);
  let abilities = known;
  let repairRounds = 0;
  for (let toolRounds = 0; ; ) {
    const offered = { ...abilities, tools: abilities.tools && toolRounds < MOST_TOOL_ROUNDS };
    const end: ChatEnd = await ask(
      { target, messages, schema, abilities: offered, options },
      {
        keys,
        meter: talk.meter,
        env: deps.env,
        tell: (message) => events.push({ kind: 'asked_again', message }),
        ...(deps.signal ? { signal: deps.signal } : {}),
        ...(deps.pauseSeconds === undefined ? {} : { pauseSeconds: deps.pauseSeconds }),
      },
    );
    abilities = { ...end.abilities, tools: offered.tools ? end.abilities.tools : abilities.tools };
    if (end.kind === 'failed') return { kind: 'none', reason: end.class, message: end.message, abilities };
    if (end.toolCalls.length > 0 && offered.tools) {
      toolRounds += 1;
      messages.push(
        end.message,
        ...end.toolCalls.map((call) => ({
          role: 'tool' as const,
          tool_call_id: call.id,
          content: answerTool(call.name, call.arguments, request),
        })),
      );
      continue;
    }
    const reading = readAnswer(talk, target, end.text);
    if (reading.suggestions.length > 0) return { kind: 'points', ...reading, abilities };
    if (repairRounds === MOST_REPAIR_ROUNDS)
      return { kind: 'none', reason: 'no_usable_answer', message: `${target.model}: ${reading.why}`, abilities };
    repairRounds += 1;
    messages.push(
      { role: 'assistant', content: oneLine(end.text, 2000) || '(empty)' },
      {
        role: 'user',
        content: `That cannot be used: ${reading.why}. Answer with ONLY the JSON object, ${asked} new point${asked === 1 ? '' : 's'}.`,
      },
    );
  }
}

/** Points of one answer, or why there are none. */
function readAnswer(
  talk: Talk,
  target: Target,
  text: string,
): { readonly suggestions: readonly Suggestion[]; readonly note?: string; readonly why: string } {
  const { request, compiled, asked, events } = talk;
  const names = request.space.parameters.filter((parameter) => parameter.type !== 'constant').map((parameter) => parameter.name);
  const reply = readReply(text, names);
  if (reply === undefined)
    return { suggestions: [], why: text.trim() === '' ? 'it is empty' : 'no JSON object with points over the search space was found' };
  const taken: Codes[] = request.trials.map((trial) => codesOf(compiled, trial.params));
  const { suggestions, refused, repairs } = admitPoints(compiled, reply.points, asked, taken, request.allowDuplicates === true);
  const model = target.model;
  if (repairs.length > 0) events.push({ kind: 'repaired', model, repairs });
  if (refused.length > 0) events.push({ kind: 'refused', model, why: refused });
  if (suggestions.length > 0) events.push({ kind: 'proposed', model, points: suggestions.length });
  const note = reply.note?.trim() ? { note: oneLine(reply.note, 200) } : {};
  return { suggestions: suggestions.map((suggestion, index) => varied(talk, suggestion, index, taken)), ...note, why: refused.join('; ') };
}

/** Row L6, where the campaign asks for it; a variation that would be a double or break a constraint is not made. */
function varied({ request, options, factor, compiled }: Talk, suggestion: Suggestion, index: number, taken: readonly Codes[]): Suggestion {
  if (!options.noise) return suggestion;
  const params = withNoise(compiled, suggestion.params, factor, request.seed, request.trials.length + index);
  const changed = changedParameters(suggestion.params, params);
  if (changed.length === 0 || !satisfies(compiled, params) || samePoint(compiled, params, taken) !== undefined) return suggestion;
  return { ...suggestion, params, note: `${suggestion.note ?? ''} (varied: ${oneLine(changed.join(', '), 40)})`.trim() };
}
