import type { RetryBudgets } from './campaign.ts';
import { type ErrorBudget, FAILURE_TABLE } from './failures.ts';
import type { DoneRecord } from './spool.ts';
import type { Failure, FinalState } from './trial.ts';

/** What a trial has been charged so far, per error budget; free returns are counted only to bound them. */
export interface Ledger {
  readonly infrastructure: number;
  readonly trial: number;
  readonly free: number;
}

export const EMPTY_LEDGER: Ledger = { infrastructure: 0, trial: 0, free: 0 };

/** A trial given back this often without ever ending is no longer free: something is wrong with the pilots. */
export const MOST_FREE_RETURNS = 200;

/**
 * When the last attempt started, in milliseconds: by its record, that is by the node's clock; where it left none, or never started, when it was first seen
 * running. Of a short training the end alone is seen.
 */
export function startOf(record: Pick<DoneRecord, 'started_at'> | undefined, seen: number | undefined): number | undefined {
  return record !== undefined && record.started_at > 0 ? Math.round(record.started_at * 1000) : seen;
}

/** What is known of an attempt's end. */
export type AttemptResult =
  | { readonly kind: 'record'; readonly record: DoneRecord }
  | { readonly kind: 'withdrawn' }
  | { readonly kind: 'lost'; readonly failure: Failure };

/** Why the trial is being ended from above, if it is. */
export type EndRequest = 'cancel' | 'prune';

export type Verdict =
  | { readonly kind: 'done'; readonly state: FinalState; readonly failure?: Failure }
  | {
      readonly kind: 'again';
      readonly ledger: Ledger;
      readonly delaySeconds: number;
      readonly failure?: Failure;
    };

/**
 * Decides what an attempt's end means for its trial. The failure table gives the budget that is charged; the budgets never mix.
 * A request from above turns every end but a complete result into the requested one; a training that was told to stop too late and had reached
 * `lastStep` with a value is complete.
 */
export function judge(result: AttemptResult, before: Ledger, budgets: RetryBudgets, request?: EndRequest, lastStep?: number): Verdict {
  const ledger = withSystemRetries(before, result);
  if (result.kind === 'record' && result.record.status === 'completed') return { kind: 'done', state: 'completed' };
  if (request === 'prune' && isWhole(result, lastStep)) return { kind: 'done', state: 'completed' };
  if (request !== undefined) return { kind: 'done', state: request === 'prune' ? 'pruned' : 'cancelled', ...failureOf(result) };
  if (result.kind === 'withdrawn') return { kind: 'again', ledger, delaySeconds: 0 };
  if (result.kind === 'record' && result.record.status === 'stopped') {
    return { kind: 'done', state: 'cancelled', failure: { class: 'cancelled', message: 'Stopped on the system by hand.' } };
  }
  const { failure } = failureOf(result);
  const known: Failure = failure ?? { class: 'returned', message: 'The pilot gave the trial back.' };
  return retry(known, ledger, budgets);
}

function isWhole(result: AttemptResult, lastStep = Number.POSITIVE_INFINITY): boolean {
  return (
    result.kind === 'record' && result.record.status === 'stopped' && result.record.values !== null && (result.record.step ?? 0) >= lastStep
  );
}

/** A system that runs an attempt again under the same name after a failure of the machine has spent part of the budget. */
function withSystemRetries(ledger: Ledger, result: AttemptResult): Ledger {
  const retried = result.kind === 'record' ? (result.record.retried ?? 0) : 0;
  return retried === 0 ? ledger : { ...ledger, infrastructure: ledger.infrastructure + retried };
}

function retry(failure: Failure, ledger: Ledger, budgets: RetryBudgets): Verdict {
  const budget: ErrorBudget = FAILURE_TABLE[failure.class].budget;
  switch (budget) {
    case 'none':
      return { kind: 'done', state: 'failed', failure };
    case 'infrastructure':
    case 'trial': {
      const used = ledger[budget];
      if (used >= budgets[budget]) return { kind: 'done', state: 'failed', failure };
      return {
        kind: 'again',
        ledger: { ...ledger, [budget]: used + 1 },
        delaySeconds: used === 0 ? 0 : Math.min(300, 5 * 2 ** used),
        failure,
      };
    }
    case 'free':
    case 'transport':
      if (ledger.free >= MOST_FREE_RETURNS) return { kind: 'done', state: 'failed', failure };
      return { kind: 'again', ledger: { ...ledger, free: ledger.free + 1 }, delaySeconds: 0, failure };
  }
}

function failureOf(result: AttemptResult): { failure?: Failure } {
  if (result.kind === 'lost') return { failure: result.failure };
  if (result.kind === 'withdrawn' || result.record.error === null) return {};
  const { error } = result.record;
  return {
    failure: {
      class: error.class,
      message: error.message.slice(0, 500),
      ...(error.stage === undefined ? {} : { stage: error.stage }),
      ...(error.evidence === undefined ? {} : { evidence: error.evidence.slice(-2000) }),
    },
  };
}
