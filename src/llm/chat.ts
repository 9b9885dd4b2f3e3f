import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import type { ChatCompletion, ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import { DriverError } from '../systems/driver.ts';
import { type Environment, userAgent } from '../systems/globus/environment.ts';
import { unlessAborted } from '../unless-aborted.ts';
import type { KeySource } from './credentials.ts';
import type { LlmOptions, ResponseFormat, Target } from './options.ts';
import { AnswerTooLong, fetchFor } from './proxied-fetch.ts';
import { judgeStatus, type ServiceFailure } from './service-failures.ts';
import { readToolCalls, type ToolCall } from './tool-calls.ts';
import { toolDefinitions } from './tools.ts';

/** What one model has shown that it can do; kept between calls so that a refusal is met only once. */
export interface Abilities {
  readonly format: ResponseFormat;
  readonly tools: boolean;
  /** True: it counts its thoughts as well and knows only `max_completion_tokens`. */
  readonly limitsAll?: boolean;
  /** False: it takes no temperature but its own. */
  readonly temperature?: boolean;
}

export type ChatEnd =
  | {
      readonly kind: 'answer';
      readonly text: string;
      readonly toolCalls: readonly ToolCall[];
      readonly message: ChatCompletionMessageParam;
      readonly abilities: Abilities;
    }
  | {
      readonly kind: 'failed';
      readonly class: 'needs_login' | 'service' | 'budget';
      readonly message: string;
      readonly abilities: Abilities;
    };

/** Counts calls and tokens, and says when the campaign's limit is reached. */
export interface Meter {
  /** Before each request; false: the limit is reached. */
  readonly take: () => boolean;
  readonly add: (promptTokens: number, completionTokens: number) => void;
}

export interface ChatQuestion {
  readonly target: Target;
  readonly messages: readonly ChatCompletionMessageParam[];
  readonly schema: Readonly<Record<string, unknown>>;
  readonly abilities: Abilities;
  readonly options: LlmOptions;
}

export interface ChatDeps {
  readonly keys: KeySource;
  readonly meter: Meter;
  readonly tell: (message: string) => void;
  readonly signal?: AbortSignal;
  /** For HTTPS_PROXY and NO_PROXY; absent: straight. */
  readonly env?: Environment;
  /** Seconds of the first pause after a refusal that may pass; doubled each time. Default 1. */
  readonly pauseSeconds?: number;
}

/** Requests for the same question that a service may refuse for a while before the next model is asked. */
const MOST_REPEATS = 2;
/** A service that asks for a longer pause is given up for this time. */
const LONGEST_PAUSE_SECONDS = 20;

const SIMPLER: Readonly<Record<ResponseFormat, ResponseFormat>> = { json_schema: 'json_object', json_object: 'text', text: 'text' };

/**
 * Puts one question to one model, through refusals that a renewed login, a pause, a simpler format or the lack of tools can mend. Never throws for what a
 * service does; an abort by `signal` is thrown on.
 */
export async function ask(question: ChatQuestion, deps: ChatDeps): Promise<ChatEnd> {
  let { abilities } = question;
  let rejected: string | undefined;
  let repeats = 0;
  const failed = (failureClass: 'needs_login' | 'service' | 'budget', message: string): ChatEnd => ({
    kind: 'failed',
    class: failureClass,
    message,
    abilities,
  });
  for (;;) {
    let key: string;
    try {
      key = await unlessAborted(deps.keys.key(rejected), deps.signal);
    } catch (error) {
      deps.signal?.throwIfAborted();
      if (error instanceof DriverError) return failed(error.class === 'needs_login' ? 'needs_login' : 'service', error.message);
      // A home that cannot be read, whatever the reason, must not end the turn, or the search with it.
      return failed('service', `The key cannot be had: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (!deps.meter.take()) return failed('budget', 'The budget of calls or tokens is spent.');
    const end = await once(question, abilities, key, deps);
    if ('text' in end) return { kind: 'answer', ...end, abilities };
    switch (end.remedy) {
      case 'next':
        return failed('service', end.message);
      case 'login':
        if (!deps.keys.isRenewable) return failed('needs_login', `${end.message}. ${deps.keys.advice}`);
        if (rejected !== undefined) {
          await deps.keys.refused?.();
          return failed('needs_login', `${end.message}. ${deps.keys.advice}`);
        }
        rejected = key;
        break;
      case 'simpler format':
        if (abilities.format === 'text') return failed('service', end.message);
        abilities = { ...abilities, format: SIMPLER[abilities.format] };
        break;
      case 'without tools':
        if (!abilities.tools) return failed('service', end.message);
        abilities = { ...abilities, tools: false };
        break;
      case 'other limit':
        if (abilities.limitsAll) return failed('service', end.message);
        abilities = { ...abilities, limitsAll: true };
        break;
      case 'own temperature':
        if (abilities.temperature === false) return failed('service', end.message);
        abilities = { ...abilities, temperature: false };
        break;
      case 'again': {
        const pause = end.retrySeconds ?? (deps.pauseSeconds ?? 1) * 2 ** repeats;
        if (repeats === MOST_REPEATS || pause > LONGEST_PAUSE_SECONDS) return failed('service', end.message);
        repeats += 1;
        await sleep(pause * 1000, undefined, { signal: deps.signal });
        break;
      }
    }
    deps.tell(`${question.target.model}: ${end.message}; asked again (${end.remedy}).`);
  }
}

type Once = Pick<Extract<ChatEnd, { kind: 'answer' }>, 'text' | 'toolCalls' | 'message'> | ServiceFailure;

async function once({ target, messages, schema, options }: ChatQuestion, abilities: Abilities, key: string, deps: ChatDeps): Promise<Once> {
  let reach: typeof fetch;
  try {
    reach = fetchFor(target.baseUrl, deps.env ?? {});
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    return { remedy: 'next', message: error.message };
  }
  const client = new OpenAI({
    fetch: reach,
    baseURL: target.baseUrl,
    apiKey: key,
    maxRetries: 0,
    timeout: options.timeout * 1000,
    // Some gateways turn the library's own away.
    defaultHeaders: { 'User-Agent': userAgent() },
    organization: null,
    project: null,
  });
  // The library's own time ends with the headers: a service that then sends a byte now and then would use up the time of all others.
  const time = AbortSignal.timeout(options.timeout * 1000);
  let completion: ChatCompletion;
  try {
    completion = await client.chat.completions.create(
      {
        model: target.model,
        messages: [...messages],
        ...(abilities.temperature === false ? {} : { temperature: options.temperature }),
        ...(abilities.limitsAll ? { max_completion_tokens: options.maxTokens } : { max_tokens: options.maxTokens }),
        ...formatOf(abilities.format, schema),
        ...(abilities.tools ? { tools: toolDefinitions() } : {}),
      },
      { signal: deps.signal === undefined ? time : AbortSignal.any([deps.signal, time]) },
    );
  } catch (error) {
    deps.signal?.throwIfAborted();
    return time.aborted ? { remedy: 'next', message: `no answer within ${options.timeout} s` } : failureOf(error, options);
  }
  return answerOf(completion, messages, deps.meter, key, options);
}

function formatOf(format: ResponseFormat, schema: Readonly<Record<string, unknown>>) {
  if (format === 'json_schema')
    return { response_format: { type: 'json_schema' as const, json_schema: { name: 'points', strict: true, schema } } };
  return format === 'json_object' ? { response_format: { type: 'json_object' as const } } : {};
}

function failureOf(error: unknown, options: LlmOptions): ServiceFailure {
  if (error instanceof OpenAI.APIConnectionTimeoutError) return { remedy: 'next', message: `no answer within ${options.timeout} s` };
  if (error instanceof OpenAI.APIConnectionError) return { remedy: 'again', message: 'cannot be reached' };
  if (error instanceof OpenAI.APIError && typeof error.status === 'number') {
    return judgeStatus(error.status, `${error.message} ${JSON.stringify(error.error) ?? ''}`, error.headers?.get('retry-after') ?? null);
  }
  if (error instanceof AnswerTooLong) return { remedy: 'next', message: error.message };
  // Headers came, then the connection ended (undici: "terminated").
  if (error instanceof TypeError) return { remedy: 'again', message: 'the answer broke off' };
  // An answer of HTTP 200 that is no JSON.
  return {
    remedy: 'next',
    message: `answered something that is no chat completion (${error instanceof Error ? error.name : typeof error})`,
  };
}

/** What the assistant's message of the next request keeps of its own words. */
const LONGEST_ECHO = 8_000;

/** Everything is looked at with suspicion: gateways answer 200 or 202 with bodies of their own, and nothing of a body is of the type that it should have. */
function answerOf(
  completion: ChatCompletion,
  messages: readonly ChatCompletionMessageParam[],
  meter: Meter,
  key: string,
  { maxTokens }: LlmOptions,
): Once {
  const message: unknown = completion?.choices?.[0]?.message;
  const isThere = typeof message === 'object' && message !== null;
  const { content, tool_calls: called, refusal } = (isThere ? message : {}) as Readonly<Record<string, unknown>>;
  const text = withoutKey(textOf(content), key);
  meter.add(...tokensOf(completion?.usage, messages, text));
  if (!isThere) return { remedy: 'next', message: 'answered without a choice (a model that is still loading?)' };
  const toolCalls = readToolCalls(called);
  if (text.trim() === '' && toolCalls.length === 0) {
    // Asked again in other words it would do the same.
    const reason: unknown = completion.choices[0]?.finish_reason;
    if (reason === 'content_filter' || (typeof refusal === 'string' && refusal !== ''))
      return { remedy: 'next', message: 'refuses to answer' };
    if (reason === 'length')
      return {
        remedy: 'next',
        message: `used up max_tokens (${maxTokens}) before it had answered; raise llm.max_tokens for models that think aloud`,
      };
  }
  const kept = toolCalls.length === 0 ? {} : { tool_calls: toolCalls.map(({ given }) => given) };
  const echo = { ...message, role: 'assistant', content: text.slice(0, LONGEST_ECHO) || null, ...kept } as ChatCompletionMessageParam;
  return { text, toolCalls, message: echo };
}

/** Shorter ones are no secrets: `none` stands for a service without a key. */
const SHORTEST_KEY = 8;

/** The model's words stay with the trial, in the history: a service that repeats the key must not put it there. */
function withoutKey(text: string, key: string): string {
  return key.length < SHORTEST_KEY ? text : text.replaceAll(key, '(key)');
}

/** Some gateways answer with a list of parts, as a question may have them. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: unknown) => (part as { text?: unknown } | null)?.text)
    .filter((text) => typeof text === 'string')
    .join('');
}

const CHARACTERS_PER_TOKEN = 4;

/** Prompt and completion tokens; of a service that does not count them a guess, since a limit that nothing counts against is none. */
function tokensOf(usage: unknown, messages: readonly ChatCompletionMessageParam[], text: string): [number, number] {
  const { prompt_tokens: prompt, completion_tokens: completion } = (usage ?? {}) as Record<string, unknown>;
  const guess = (characters: number) => Math.ceil(characters / CHARACTERS_PER_TOKEN);
  return isCount(prompt)
    ? [prompt, isCount(completion) ? completion : guess(text.length)]
    : [guess(messages.reduce((sum, { content }) => sum + (typeof content === 'string' ? content.length : 0), 0)), guess(text.length)];
}

function isCount(tokens: unknown): tokens is number {
  return typeof tokens === 'number' && Number.isFinite(tokens) && tokens >= 0;
}
