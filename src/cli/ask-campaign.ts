import {
  type Client,
  QueryNotRegisteredError,
  QueryRejectedError,
  ServiceError,
  WorkflowFailedError,
  type WorkflowHandle,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, type QueryDefinition, TerminatedFailure } from '@temporalio/common';
import {
  type CampaignDescription,
  type CampaignResult,
  type CampaignStatus,
  describeQuery,
  type LiveTrial,
  liveQuery,
  type SystemStatus,
  statusQuery,
  systemQuery,
  trialsQuery,
} from '../../workflows/messages.ts';
import { systemWorkflowId } from '../domain/ids.ts';
import type { TrialRow } from '../domain/trial.ts';
import { CliError } from './exit-codes.ts';
import { isUnreachable } from './told-errors.ts';

/** A worker that has to replay a long history first answers within seconds; without a worker the server itself waits longer. */
const ANSWER_MILLISECONDS = 10_000;

/** A question about a workflow that a worker has to answer. Says so when none does. */
export function ask<T, Args extends unknown[]>(handle: WorkflowHandle, query: QueryDefinition<T, Args>, ...args: Args): Promise<T> {
  return askWithin(ANSWER_MILLISECONDS, handle, query, ...args);
}

async function askWithin<T, Args extends unknown[]>(
  milliseconds: number,
  handle: WorkflowHandle,
  query: QueryDefinition<T, Args>,
  ...args: Args
): Promise<T> {
  const end = Date.now() + milliseconds;
  try {
    return await handle.client.withDeadline(end, () => handle.query(query, ...args));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw error;
    // At our own deadline gRPC reports one of several codes, whichever side noticed it first.
    if (isNobody(error) || (error instanceof ServiceError && Date.now() >= end - 100)) {
      throw new CliError(
        'unreachable',
        'HF-NO-WORKER',
        `No worker answers for ${handle.workflowId}. Start one with \`holdfast worker\`, or ask again if one is there and busy; the campaign itself is safe and waits.`,
        { cause: error },
      );
    }
    if (error instanceof QueryNotRegisteredError || error instanceof QueryRejectedError) {
      throw new CliError('failed', 'HF-NO-ANSWER', `${handle.workflowId} does not answer "${query.name}" (${firstLine(error)}).`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** FAILED_PRECONDITION of gRPC: "Workflow task is not scheduled yet", "Cannot query workflow before first workflow task completes". */
const NOT_READY = 9;

/** The server's answers when no worker has polled lately, when none replied in time, and when none has begun the workflow. */
function isNobody(error: unknown): boolean {
  if (isUnreachable(error)) return true;
  if (!(error instanceof ServiceError)) return false;
  const cause = error.cause as { code?: unknown; details?: unknown } | undefined;
  const text = String(cause?.details ?? '');
  if (hasFailedTask(error)) return false;
  return cause?.code === NOT_READY || /no poller|no worker|deadline/i.test(text);
}

/**
 * Whether the server refuses a question because the worker has failed at the workflow's last task. It is tried again: on a machine that is too busy the next try may
 * do, with a worker of another version it never does.
 */
export function hasFailedTask(error: unknown): boolean {
  const cause = error instanceof ServiceError ? (error.cause as { details?: unknown } | undefined) : undefined;
  return /failed state/i.test(String(cause?.details ?? ''));
}

function firstLine(error: Error): string {
  return error.message.split('\n')[0] ?? '';
}

/** What a campaign says of itself now. Throws when nobody answers within so many milliseconds. */
export function askStatus(client: Client, campaign: string, milliseconds = ANSWER_MILLISECONDS): Promise<CampaignStatus> {
  return askWithin(milliseconds, client.workflow.getHandle(campaign), statusQuery);
}

/** A campaign's admitted specification, its launch and provenance. */
export function askDescription(client: Client, campaign: string): Promise<CampaignDescription> {
  return ask(client.workflow.getHandle(campaign), describeQuery);
}

/** Rows changed after a version, page by page, and the version to ask with next. */
export async function askTrials(client: Client, campaign: string, since = 0): Promise<{ rows: TrialRow[]; version: number }> {
  const rows: TrialRow[] = [];
  let version = since;
  for (let more = true; more; ) {
    const page = await ask(client.workflow.getHandle(campaign), trialsQuery, { since: version, limit: 2000 });
    rows.push(...page.rows);
    version = page.version;
    more = page.more;
  }
  return { rows, version };
}

/** All rows by number. */
export async function askTable(client: Client, campaign: string): Promise<TrialRow[]> {
  const { rows } = await askTrials(client, campaign);
  const table: TrialRow[] = [];
  for (const row of rows) table[row.number - 1] = row;
  return table;
}

/** What runs now; nothing when the system's workflow is not there (it ends with its last campaign). */
export async function askLive(client: Client, system: string, campaign: string): Promise<readonly LiveTrial[]> {
  try {
    return await ask(client.workflow.getHandle(systemWorkflowId(system)), liveQuery, { campaign });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return [];
    throw error;
  }
}

/** How a system stands; undefined when its workflow is not there. */
export async function askSystem(client: Client, system: string): Promise<SystemStatus | undefined> {
  try {
    return await ask(client.workflow.getHandle(systemWorkflowId(system)), systemQuery);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

export type CampaignEnd =
  | { readonly kind: 'result'; readonly result: CampaignResult }
  | {
      readonly kind: 'failed';
      readonly status: 'cancelled' | 'terminated' | 'failed';
      readonly message: string;
      readonly result?: CampaignResult;
    };

/** How a campaign ended; waits for the end. A failed campaign carries its result in the failure's details; a cancelled one has none there (the SDK keeps no details of a cancellation). */
export async function askEnd(client: Client, campaign: string): Promise<CampaignEnd> {
  try {
    return { kind: 'result', result: (await client.workflow.getHandle(campaign).result()) as CampaignResult };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    const details = cause instanceof ApplicationFailure || cause instanceof CancelledFailure ? cause.details : undefined;
    const result = details?.[0] as CampaignResult | undefined;
    const status = cause instanceof CancelledFailure ? 'cancelled' : cause instanceof TerminatedFailure ? 'terminated' : 'failed';
    return { kind: 'failed', status, message: cause?.message ?? error.message, ...(isResult(result) ? { result } : {}) };
  }
}

function isResult(value: CampaignResult | undefined): value is CampaignResult {
  return typeof value === 'object' && value !== null && 'counts' in value && 'stopReason' in value;
}
