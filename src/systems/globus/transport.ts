import { z } from 'zod';
import { DriverError } from '../driver.ts';
import { userAgent } from './environment.ts';
import { AmbiguousAnswerError, GlobusHttpError, httpError } from './http-errors.ts';
import { fetchThrough, proxyRefusal, type ServiceAnswer } from './proxy.ts';
import { type RequestBudget, sleep } from './request-budget.ts';

/** Gives access tokens. Never prompts; throws DriverError needs_login where a person must act. */
export interface Authorizer {
  token(signal?: AbortSignal): Promise<string>;
  /** A token the service has just refused is given up; the next one is another or there is none. */
  renew(rejected: string, signal?: AbortSignal): Promise<string>;
}

export interface TransportOptions {
  readonly baseUrl: string;
  readonly authorizer: Authorizer;
  readonly budget: RequestBudget;
  readonly timeoutSeconds: number;
  /** For the answer to a submission; the client's SUBMIT_SECONDS when absent. */
  readonly submitSeconds?: number;
  /** A proxy on the way to baseUrl. */
  readonly proxy?: string;
  /** Tries of a repeatable call on transport errors before it is given up; 5 when absent. */
  readonly tries?: number;
  /** First pause between tries, milliseconds (doubles up to 10 s); 500 when absent. */
  readonly backoffMs?: number;
  /** Counts requests, for the bench. */
  readonly onRequest?: (method: string, path: string) => void;
}

export interface Call<T> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly answer: z.ZodType<T>;
  /** false: the call has an effect that a second one would double; only a refusal that is certain is tried again. */
  readonly repeatable: boolean;
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/** 10 MB per request (functions and arguments of a submission together): checked before anything is sent. */
export const MAX_BODY_BYTES = 10_000_000;

/** A service that asks for a longer pause is not waited for within a call: the caller says so and asks again later (activities back off by themselves). */
const LONGEST_PAUSE_SECONDS = 60;
/** An answer has 128 results at most, each with an end and its small files; more would only fill the worker's memory. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;

/** One call to the service: budget, token, TLS, time limit, and the retries that are safe for it. Throws DriverError kinds. */
export async function request<T>(options: TransportOptions, call: Call<T>): Promise<T> {
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const what = `${call.method} ${call.path.replace(/\?.*/, '')}`;
  const size = body === undefined ? 0 : Buffer.byteLength(body);
  if (size > MAX_BODY_BYTES) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-TOO-LARGE',
      `${what} would carry ${size} bytes, the service takes ${MAX_BODY_BYTES}. Send it in parts.`,
    );
  }
  let token = await options.authorizer.token(call.signal);
  let renewed = false;
  const tries = options.tries ?? 5;
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(options, call, what, body, token);
    } catch (error) {
      if (error instanceof GlobusHttpError && error.status === 401 && !renewed) {
        // A 401 comes before any effect, so even a submission may be sent again with a fresh token; once.
        renewed = true;
        attempt--;
        token = await options.authorizer.renew(token, call.signal);
        continue;
      }
      const wait = retryWait(options, call, error, attempt);
      if (wait === undefined || attempt >= tries) throw error;
      await sleep(wait, call.signal);
    }
  }
}

/** Milliseconds to wait before the next try; undefined: no further try. */
function retryWait(options: TransportOptions, call: Call<unknown>, error: unknown, attempt: number): number | undefined {
  if (!(error instanceof DriverError) || error.class !== 'transport' || error.code === 'HF-GLOBUS-PAUSE') return undefined;
  const pause = Math.min((options.backoffMs ?? 500) * 2 ** (attempt - 1), 10_000);
  const jittered = pause * (0.75 + Math.random() / 2);
  if (error instanceof GlobusHttpError) {
    const asked = error.retryAfterSeconds ?? 0;
    if (error.status === 429) options.budget.pause(Math.max(asked, jittered / 1000));
    else if (!call.repeatable) return undefined;
    else if (asked > 0) options.budget.pause(asked);
    return asked > LONGEST_PAUSE_SECONDS ? undefined : Math.max(asked * 1000, jittered);
  }
  return call.repeatable || UNSENT.has(error.code) ? jittered : undefined;
}

async function once<T>(options: TransportOptions, call: Call<T>, what: string, body: string | undefined, token: string): Promise<T> {
  const pause = options.budget.pauseSeconds();
  if (pause > LONGEST_PAUSE_SECONDS) {
    throw new DriverError(
      'transport',
      'HF-GLOBUS-PAUSE',
      `${what} was not sent: the service has asked to be left alone for another ${Math.ceil(pause)} s. It is asked again then.`,
    );
  }
  await options.budget.acquire(call.signal);
  options.onRequest?.(call.method, call.path);
  const timeout = AbortSignal.timeout((call.timeoutSeconds ?? options.timeoutSeconds) * 1000);
  let status: number;
  let text: string;
  let retryAfter: string | null;
  let askedAt = Date.now();
  try {
    const response = await fetchThrough(options.proxy, options.baseUrl + call.path, {
      method: call.method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        'user-agent': userAgent(),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      // A redirect would carry the token to wherever it points.
      redirect: 'manual',
      signal: call.signal ? AbortSignal.any([call.signal, timeout]) : timeout,
      ...(body === undefined ? {} : { body }),
    });
    status = response.status;
    retryAfter = response.headers.get('retry-after');
    // A date in Retry-After is one of the service's clock, not of ours.
    askedAt = Date.parse(response.headers.get('date') ?? '') || askedAt;
    text = await textOf(response);
  } catch (error) {
    call.signal?.throwIfAborted();
    throw networkError(error, what, options.proxy);
  }
  if (status < 200 || status > 299) {
    const failure = httpError(status, text, retryAfter, what, askedAt);
    // 5xx of a gateway does not say whether the service behind it acted.
    throw !call.repeatable && !NOT_ACTED.has(status) && failure.class === 'transport' ? new AmbiguousAnswerError(what, failure) : failure;
  }
  try {
    return call.answer.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof z.ZodError) {
      throw new AmbiguousAnswerError(what, new Error(`unexpected shape: ${z.prettifyError(error).slice(0, 500)}`));
    }
    throw new AmbiguousAnswerError(what, error);
  }
}

async function textOf({ body }: ServiceAnswer): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) throw new Error(`it is longer than ${MAX_ANSWER_BYTES / 1024 / 1024} MiB`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Answers that come before any effect: a locked endpoint, too many requests. */
const NOT_ACTED = new Set([423, 429]);
/** Codes of ours for a request that never went out: even a submission may be tried again. */
const UNSENT = new Set(['HF-GLOBUS-UNREACHABLE', 'HF-GLOBUS-PROXY']);
/** Errors that show that no byte of the request went out. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

function networkError(error: unknown, what: string, proxy: string | undefined): DriverError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const refusal = proxyRefusal(error, proxy);
  if (refusal !== undefined) {
    return new DriverError(
      'transport',
      'HF-GLOBUS-PROXY',
      `${what} could not be sent: ${refusal}. Check HTTPS_PROXY and NO_PROXY of the worker; it is tried again.`,
      { cause: error },
    );
  }
  const code = (cause as { code?: unknown }).code;
  if (typeof code === 'string' && NEVER_SENT.has(code)) {
    return new DriverError(
      'transport',
      'HF-GLOBUS-UNREACHABLE',
      `${what} could not be sent (${code}). Check the network; it is tried again.`,
      { cause: error },
    );
  }
  return new AmbiguousAnswerError(what, cause);
}
