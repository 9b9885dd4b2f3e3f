import { describe, expect, it } from 'vitest';
import { budgetWords } from '../../../src/view/budget.ts';

describe('a budget in words', () => {
  it('names every limit that is set, with its unit, and nothing where none is', () => {
    expect(budgetWords({ trials: 1, nodeHours: 2.5, wallSeconds: 5400, deadline: '2026-12-20T18:00:00.000Z' })).toEqual([
      '1 trial',
      '2.5 node-hours',
      '1 h 30 min of wall time',
      'until 2026-12-20 18:00 UTC',
    ]);
    expect(budgetWords({ trials: 80 })).toEqual(['80 trials']);
    expect(budgetWords({})).toEqual([]);
  });
});
