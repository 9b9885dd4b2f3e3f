import { describe, expect, it } from 'vitest';
import { budgetProblem } from '../../../src/domain/budget-change.ts';

describe('a change of a running campaign’s budget', () => {
  it.each([
    [{ trials: 80 }, 'local', undefined],
    [{ deadline: '2030-01-01T00:00:00Z', wallSeconds: 60 }, 'globus_compute', undefined],
    [{ nodeHours: 5 }, 'pbs', undefined],
    [{ nodeHours: 5 }, 'globus_compute', /does not tell what its blocks cost. Set wallSeconds or trials/],
    [{ trails: 6 }, 'local', /budget\.trails: 6 is no limit \(trials, nodeHours, wallSeconds, deadline/],
    [{ trials: 0 }, 'local', /budget\.trials: 0 is no limit/],
    [{ wallSeconds: 50 }, 'local', /budget\.wallSeconds: 50 has passed already\. To end the campaign now: stop, or drain\./],
    [{ deadline: '2025-12-31T00:00:00Z' }, 'local', /budget\.deadline: "2025-12-31T00:00:00Z" has passed already/],
    [{ deadline: 'soon' }, 'local', /budget\.deadline: "soon" is no limit/],
  ] as const)('%j on %s', (change, kind, expected) => {
    const startedAt = Date.parse('2026-01-01T00:00:00Z');
    const problem = budgetProblem(change, kind, { startedAt, now: startedAt + 50_000 });
    if (expected === undefined) expect(problem).toBeUndefined();
    else expect(problem).toMatch(expected);
  });
});
