import type { z } from 'zod';
import { DriverError } from '../driver.ts';
import type { GlobusClient } from './client.ts';
import { sendInParts } from './payload-parts.ts';
import { FUNCTION_NAME } from './remote-function.ts';
import { sleep } from './request-budget.ts';
import { deserializeResult, packPayload, SerializationError } from './serialize.ts';
import { judgeTaskFailure } from './task-errors.ts';
import type { GlobusTask } from './wire.ts';

/** Where tasks of one campaign (or of a diagnosis) go. */
export interface TaskTarget {
  readonly client: GlobusClient;
  readonly endpointId: string;
  readonly userEndpointConfig?: Readonly<Record<string, unknown>>;
  /** Small tasks overtake queued trials, unless the endpoint's engine has said that it knows no priorities. */
  readonly priority: { isKnown: boolean };
  /** Id of our registered function; `renew` registers it again when the service has forgotten it. */
  functionId(renew?: string): Promise<string>;
}

export interface ControlOptions {
  readonly signal?: AbortSignal;
  /** Seconds until all must have answered. */
  readonly timeoutSeconds: number;
  /** Seconds between polls, at most; the first come sooner. */
  readonly pollSeconds: number;
  readonly progress?: (note: string) => void;
}

/** An operation of remote/globus_task.py with its arguments. */
export interface ControlRequest {
  readonly op: string;
  readonly [argument: string]: unknown;
}

/** Times a control task is sent anew when the machine failed it. */
const TRIES = 6;

/** Lower goes first (parsl's high-throughput executor); trials carry none and go last. */
const CONTROL_PRIORITY = 1;

/** What a finished task says: its value, or the failure. Undefined while it is pending. */
export type TaskEnd =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly text: string }
  /** The service has no result any more, or it cannot be read. */
  | { readonly kind: 'lost'; readonly message: string };

/** Reads the end of a task; a task that the service does not know is lost. */
export function taskEnd(task: GlobusTask | undefined): TaskEnd | undefined {
  if (task === undefined) return { kind: 'lost', message: 'the service does not know the task any more' };
  if (task.status === 'failed') return { kind: 'failed', text: task.exception ?? task.reason ?? 'no text' };
  if (task.status === 'abandoned') return { kind: 'lost', message: 'the service has dropped the result' };
  if (task.status !== 'success') return undefined;
  if (typeof task.result !== 'string') return { kind: 'lost', message: 'the service has dropped the result' };
  try {
    return { kind: 'value', value: deserializeResult(task.result) };
  } catch (error) {
    if (error instanceof SerializationError) return { kind: 'lost', message: error.message };
    throw error;
  }
}

/** Submits with the id of our function; one that the service has forgotten, or that is another identity's, is registered again. */
export async function withFunction<T>(target: TaskTarget, submit: (functionId: string) => Promise<T>): Promise<T> {
  let functionId = await target.functionId();
  for (let attempt = 1; ; attempt++) {
    try {
      return await submit(functionId);
    } catch (error) {
      if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-FUNCTION-NOT-FOUND' || attempt > 2) throw error;
      functionId = await target.functionId(functionId);
    }
  }
}

/** Submits tasks whose doubles do no harm. Ids in order. */
export async function submitControl(target: TaskTarget, requests: readonly unknown[], signal?: AbortSignal): Promise<string[]> {
  const payloads = requests.map((request) => packPayload([request]));
  const ids: string[] = [];
  const send = async (part: readonly number[]): Promise<void> => {
    const answer = await withFunction(target, (functionId) =>
      target.client.submit(
        {
          endpointId: target.endpointId,
          functionId,
          payloads: part.map((index) => payloads[index] as string),
          ...(target.priority.isKnown ? { priority: CONTROL_PRIORITY } : {}),
          ...(target.userEndpointConfig === undefined ? {} : { userEndpointConfig: target.userEndpointConfig }),
        },
        { repeatable: true, ...(signal ? { signal } : {}) },
      ),
    );
    ids.push(...answer.taskIds);
  };
  await sendInParts(payloads, send, (_, error) => Promise.reject(error));
  return ids;
}

/**
 * Runs operations as tasks and waits for their answers, in order. What the machine failed or the service dropped is sent again; an exception of the
 * operation itself is DriverError refused, silence beyond the time is DriverError transport.
 */
export async function control<T>(
  target: TaskTarget,
  requests: readonly ControlRequest[],
  answer: z.ZodType<T>,
  options: ControlOptions,
): Promise<T[]> {
  const results = new Map<number, T>();
  const sent = new Map<number, { id: string; tries: number }>();
  const deadline = performance.now() + options.timeoutSeconds * 1000;
  let wait = Math.min(0.25, options.pollSeconds);
  for (;;) {
    const sending = requests.map((_, index) => index).filter((index) => !results.has(index) && !sent.get(index)?.id);
    if (sending.length > 0) {
      const ids = await submitControl(
        target,
        sending.map((index) => requests[index]),
        options.signal,
      );
      for (const [position, index] of sending.entries())
        sent.set(index, { id: ids[position] ?? '', tries: (sent.get(index)?.tries ?? 0) + 1 });
    }
    const pending = [...sent].filter(([index]) => !results.has(index));
    const states = await target.client.tasks(
      pending.map(([, task]) => task.id),
      options.signal,
    );
    for (const [index, task] of pending) {
      const end = taskEnd(states.get(task.id));
      if (end === undefined) continue;
      const op = requests[index]?.op ?? FUNCTION_NAME;
      if (end.kind === 'value') {
        const parsed = answer.safeParse(end.value);
        if (!parsed.success)
          throw new DriverError(
            'refused',
            'HF-GLOBUS-ANSWER',
            `task ${op} answered something unexpected (${target.endpointId}). Check that the endpoint runs our function.`,
            { cause: parsed.error },
          );
        results.set(index, parsed.data);
        continue;
      }
      if (end.kind === 'failed' && target.priority.isKnown && /InvalidResourceSpecification/.test(end.text)) {
        target.priority.isKnown = false;
        task.id = '';
        continue;
      }
      const verdict = end.kind === 'failed' ? judgeTaskFailure(end.text) : { infrastructure: true, message: end.message };
      if (!verdict.infrastructure || task.tries >= TRIES) {
        throw new DriverError(
          'refused',
          'HF-GLOBUS-TASK-FAILED',
          `task ${op} failed on endpoint ${target.endpointId}: ${verdict.message}. See \`holdfast endpoint logs\`.`,
          { cause: end },
        );
      }
      task.id = '';
    }
    if (results.size === requests.length) return requests.map((_, index) => results.get(index) as T);
    if (performance.now() > deadline) {
      throw new DriverError(
        'transport',
        'HF-GLOBUS-TASK-PENDING',
        `${requests.length - results.size} of ${requests.length} tasks (${requests[0]?.op}) have not run on endpoint ${target.endpointId} within ${options.timeoutSeconds} s. See whether it is online and its batch jobs start (\`holdfast endpoint status\`).`,
      );
    }
    options.progress?.(`waiting for ${requests.length - results.size} tasks (${requests[0]?.op})`);
    await sleep(wait * 1000, options.signal);
    wait = Math.min(wait * 1.5, options.pollSeconds);
  }
}
