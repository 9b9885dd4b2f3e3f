import { describe, expect, it } from 'vitest';
import { FAILURE_TABLE, type FailureClass } from '../../../src/domain/failures.ts';
import type { DoneRecord } from '../../../src/domain/spool.ts';
import { EMPTY_LEDGER, judge, MOST_FREE_RETURNS, startOf } from '../../../src/domain/trial-policy.ts';
import { doneRecord } from '../../support/records.ts';

const budgets = { infrastructure: 5, trial: 1 };
const ended = (change: Partial<DoneRecord>) => ({ kind: 'record', record: doneRecord(change) }) as const;
const failed = (failureClass: FailureClass) => ended({ status: 'failed', values: null, error: { class: failureClass, message: 'why' } });

describe('the start of a trial', () => {
  it('is the node’s own, since a look comes later; without a record it is the moment in which it was seen running', () => {
    expect(startOf(doneRecord({ started_at: 1000.5 }), 1_002_000)).toBe(1_000_500);
    expect(startOf(doneRecord({ started_at: 1000.5 }), undefined)).toBe(1_000_500);
    expect(startOf(doneRecord({ started_at: 0 }), 7)).toBe(7);
    expect(startOf(undefined, 7)).toBe(7);
    expect(startOf(undefined, undefined)).toBeUndefined();
  });
});

describe('judge', () => {
  it('a completed record ends the trial as completed, even when an end was asked for meanwhile', () => {
    expect(judge(ended({}), EMPTY_LEDGER, budgets)).toEqual({ kind: 'done', state: 'completed' });
    expect(judge(ended({}), EMPTY_LEDGER, budgets, 'cancel')).toEqual({ kind: 'done', state: 'completed' });
  });

  it.each(Object.entries(FAILURE_TABLE))('class %s is charged to its own budget and no other', (name, row) => {
    const failureClass = name as FailureClass;
    const verdict = judge(failed(failureClass), EMPTY_LEDGER, budgets);
    if (row.budget === 'none') {
      expect(verdict).toMatchObject({ kind: 'done', state: 'failed', failure: { class: failureClass } });
      return;
    }
    const charged = row.budget === 'transport' ? 'free' : row.budget;
    expect(verdict).toMatchObject({ kind: 'again', ledger: { ...EMPTY_LEDGER, [charged]: 1 } });
  });

  it('the budgets run out separately: five lost nodes and one own failure are still no end, a second own failure is', () => {
    let ledger = EMPTY_LEDGER;
    for (const failureClass of ['node_failure', 'exit_code', 'node_failure', 'lost', 'node_failure', 'storage'] as const) {
      const verdict = judge(failed(failureClass), ledger, budgets);
      expect(verdict.kind).toBe('again');
      if (verdict.kind === 'again') ledger = verdict.ledger;
    }
    expect(ledger).toEqual({ infrastructure: 5, trial: 1, free: 0 });
    expect(judge(failed('exit_code'), ledger, budgets)).toMatchObject({ kind: 'done', state: 'failed' });
    expect(judge(failed('lost'), ledger, budgets)).toMatchObject({ kind: 'done', state: 'failed' });
  });

  it('what the system itself ran again after failures of the machine is charged too, whatever the end', () => {
    const lost = (retried: number) => ended({ status: 'failed', values: null, error: { class: 'node_failure', message: 'why' }, retried });
    expect(judge(lost(2), EMPTY_LEDGER, { infrastructure: 2, trial: 1 })).toMatchObject({ kind: 'done', state: 'failed' });
    expect(judge(lost(1), EMPTY_LEDGER, { infrastructure: 2, trial: 1 })).toMatchObject({ kind: 'again', ledger: { infrastructure: 2 } });
    const own = ended({ status: 'failed', values: null, error: { class: 'exit_code', message: 'why' }, retried: 2 });
    expect(judge(own, EMPTY_LEDGER, budgets)).toMatchObject({ kind: 'again', ledger: { infrastructure: 2, trial: 1 } });
    expect(judge(ended({ retried: 2 }), EMPTY_LEDGER, budgets)).toEqual({ kind: 'done', state: 'completed' });
  });

  it('a returned attempt is free of charge, but not for ever', () => {
    const returned = ended({ status: 'returned', values: null });
    expect(judge(returned, EMPTY_LEDGER, budgets)).toMatchObject({ kind: 'again', ledger: { infrastructure: 0, trial: 0, free: 1 } });
    expect(judge(returned, { ...EMPTY_LEDGER, free: MOST_FREE_RETURNS }, budgets)).toMatchObject({ kind: 'done', state: 'failed' });
  });

  it('a training that was told to stop too late, at its last step, is complete and may be the best', () => {
    const stopped = (step: number, change: Partial<DoneRecord> = {}) => ended({ status: 'stopped', step, ...change });
    expect(judge(stopped(9), EMPTY_LEDGER, budgets, 'prune', 9)).toEqual({ kind: 'done', state: 'completed' });
    expect(judge(stopped(8), EMPTY_LEDGER, budgets, 'prune', 9)).toMatchObject({ kind: 'done', state: 'pruned' });
    expect(judge(stopped(9, { values: null }), EMPTY_LEDGER, budgets, 'prune', 9)).toMatchObject({ kind: 'done', state: 'pruned' });
    expect(judge(stopped(9), EMPTY_LEDGER, budgets, 'cancel', 9)).toMatchObject({ kind: 'done', state: 'cancelled' });
    expect(judge(stopped(9), EMPTY_LEDGER, budgets, 'prune')).toMatchObject({ kind: 'done', state: 'pruned' });
  });

  it('a request from above turns a stop, a failure or a withdrawal into what was asked', () => {
    expect(judge(ended({ status: 'stopped' }), EMPTY_LEDGER, budgets, 'prune')).toMatchObject({ kind: 'done', state: 'pruned' });
    expect(judge(failed('lost'), EMPTY_LEDGER, budgets, 'cancel')).toMatchObject({
      kind: 'done',
      state: 'cancelled',
      failure: { class: 'lost' },
    });
    expect(judge({ kind: 'withdrawn' }, EMPTY_LEDGER, budgets, 'cancel')).toEqual({ kind: 'done', state: 'cancelled' });
  });

  it('a withdrawn offer that nobody asked for is offered again without a charge', () => {
    expect(judge({ kind: 'withdrawn' }, EMPTY_LEDGER, budgets)).toMatchObject({ kind: 'again', ledger: EMPTY_LEDGER });
  });

  it('a trial stopped by hand on the system is cancelled, not failed', () => {
    expect(judge(ended({ status: 'stopped' }), EMPTY_LEDGER, budgets)).toMatchObject({ kind: 'done', state: 'cancelled' });
  });
});
