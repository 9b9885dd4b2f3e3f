import { describe, expect, it } from 'vitest';
import { paretoFront, topRows } from '../../../src/view/ranking.ts';
import { ACCURACY, completed, failed } from './rows.ts';

describe('ranking', () => {
  it('the best rows come first in either direction, ties by number', () => {
    const rows = [completed(1, 0.2), completed(2, 0.9), completed(3, 0.9), completed(4, 0.5)];
    expect(topRows(rows, [ACCURACY], 3).map((row) => row.number)).toEqual([2, 3, 4]);
    expect(topRows(rows, [{ ...ACCURACY, direction: 'minimize' }], 2).map((row) => row.number)).toEqual([1, 4]);
  });

  it('failed, unfinished, NaN and infeasible trials are never among the best', () => {
    const rows = [
      failed(1),
      completed(2, Number.NaN),
      completed(3, 0.9, { state: 'running' }),
      completed(4, 0.8, { constraintValues: [50] }),
      completed(5, 0.1, { constraintValues: [30] }),
      completed(6, 0.7),
    ];
    const constraint = { metric: 'peak_memory_gb', op: '<=', bound: 40 } as const;
    expect(topRows(rows, [ACCURACY], 5, [constraint]).map((row) => row.number)).toEqual([5]);
  });

  it.each([Number.NaN, null])('a trial that did not report a constrained metric (%s) is not feasible, as the sampler has it', (unknown) => {
    const rows = [completed(1, 0.9, { constraintValues: [unknown] }), completed(2, 0.1, { constraintValues: [30] })];
    for (const [op, bound] of [
      ['<=', 40],
      ['>=', -1],
    ] as const)
      expect(topRows(rows, [ACCURACY], 5, [{ metric: 'peak_memory_gb', op, bound }]).map((row) => row.number)).toEqual([2]);
  });

  it('the Pareto front holds what nothing beats in all objectives', () => {
    const objectives = [ACCURACY, { metric: 'seconds', direction: 'minimize', reduce: 'result' } as const];
    const rows = [
      completed(1, 0, { values: [0.9, 100] }),
      completed(2, 0, { values: [0.8, 10] }),
      completed(3, 0, { values: [0.8, 20] }),
      completed(4, 0, { values: [0.95, 100] }),
      completed(5, 0, { values: [0.95, 100] }),
    ];
    expect(paretoFront(rows, objectives).map((row) => row.number)).toEqual([2, 4, 5]);
  });
});
