import type { CampaignState } from './campaign-state.ts';
import { type ErrorBudget, FAILURE_TABLE, type FailureClass, isFailureClass } from './failures.ts';
import { changeRow, reopenRow } from './table.ts';
import type { TrialRow } from './trial.ts';

/** Which failed trials are to run again; without both, all of them. */
export interface RetryRequest {
  readonly numbers?: readonly number[];
  /** Failure classes, or the budgets that they are charged to: `infrastructure`, `trial`, `transport`, `none`. */
  readonly classes?: readonly string[];
}

/** What is wrong with a request, in words; undefined when it can be done. */
export function retryProblem(rows: readonly TrialRow[], request: RetryRequest = {}): string | undefined {
  const strange = (request.classes ?? []).find((name) => !isFailureClass(name) && !isBudget(name));
  if (strange !== undefined) return `${strange} is no class of failures. Classes: ${Object.keys(FAILURE_TABLE).join(', ')}.`;
  for (const number of request.numbers ?? []) {
    const row = rows[number - 1];
    if (row === undefined) return `There is no trial ${number}.`;
    if (!canRunAgain(row)) return `Trial ${number} is ${row.state}; only failed trials run again.`;
  }
  if (chosen(rows, request).length > 0) return undefined;
  return request.classes === undefined ? 'No trial has failed.' : 'No trial has failed in this way.';
}

/** Opens the chosen trials again; the campaign starts them when there is room. Returns their numbers. */
export function askAgain(state: CampaignState, request: RetryRequest = {}): number[] {
  const rows = chosen(state.table.rows, request);
  for (const { number, state: end, failure, finishedAt } of rows) {
    const before = {
      number,
      state: end,
      ...(failure === undefined ? {} : { failure }),
      ...(finishedAt === undefined ? {} : { finishedAt }),
    };
    state.again = [...(state.again ?? []), before];
    // A pruner judges it from its first rung on.
    delete state.decided[number];
    reopenRow(state.table, number, `again by the user, after ${failure?.class ?? end}`);
  }
  return rows.map((row) => row.number);
}

/** The next trial to run again. */
export function takeAgain(state: CampaignState): number | undefined {
  const [first, ...rest] = state.again ?? [];
  if (first === undefined) return undefined;
  state.again = rest;
  return first.number;
}

/** What was asked for again and never started has the end that it had. */
export function giveUpAgain(state: CampaignState): void {
  for (const { number, ...end } of state.again ?? []) changeRow(state.table, number, end);
  state.again = [];
}

function chosen(rows: readonly TrialRow[], { numbers, classes }: RetryRequest): TrialRow[] {
  return rows.filter(
    (row) =>
      canRunAgain(row) &&
      (numbers === undefined || numbers.includes(row.number)) &&
      (classes === undefined || (row.failure !== undefined && classes.some((name) => isOf(row.failure?.class as FailureClass, name)))),
  );
}

/** Failed, or cancelled under the campaign's feet. */
function canRunAgain(row: TrialRow): boolean {
  return row.state === 'failed' || (row.state === 'cancelled' && row.failure !== undefined);
}

function isOf(name: FailureClass, wanted: string): boolean {
  return name === wanted || FAILURE_TABLE[name].budget === wanted;
}

function isBudget(name: string): name is ErrorBudget {
  return Object.values(FAILURE_TABLE).some(({ budget }) => budget === name);
}
