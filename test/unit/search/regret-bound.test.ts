import { describe, expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { confidence, regretBound } from '../../../src/search/gp/regret-bound.ts';
import { shouldStop } from '../../../src/search/stop-rules.ts';
import { MAXIMIZE, MINIMIZE, row } from './spaces.ts';

const space: Space = {
  parameters: [
    { name: 'x', type: 'float', min: 0, max: 1 },
    { name: 'y', type: 'float', min: 0, max: 1 },
  ],
};

/** Points of a lattice that fills the square evenly (golden ratio), so that more trials know it better. */
const spread = (count: number, f: (x: number, y: number) => number): TrialRow[] =>
  Array.from({ length: count }, (_, i) => {
    const params = { x: (0.5 + i * 0.7548776662) % 1, y: (0.5 + i * 0.569840291) % 1 };
    return row(i + 1, params, f(params.x, params.y));
  });

const bound = (trials: readonly TrialRow[], objectives: typeof MINIMIZE | typeof MAXIMIZE = MINIMIZE) =>
  regretBound({ space, objectives, trials, seed: 1 })?.bound as number;

describe('the regret bound', () => {
  test('has the confidence of Srinivas divided by five, as Optuna computes it', () => {
    // optuna.terminator.improvement.evaluator._get_beta(n_params, n_trials), Optuna 5.0.0.
    expect(confidence(2, 20)).toBeCloseTo(3.7939588492530874, 9);
    expect(confidence(7, 100)).toBeCloseTo(5.582614366598515, 9);
  });

  test('lies above the true regret, and falls as the space is known', () => {
    for (const [name, f] of Object.entries(FUNCTIONS)) {
      const best = Math.min(...grid(f));
      const bounds = [24, 60, 150].map((count) => {
        const trials = spread(count, f);
        const regret = Math.min(...trials.map(({ values }) => values?.[0] as number)) - best;
        const found = bound(trials);
        expect([name, count, found >= regret]).toEqual([name, count, true]);
        return found;
      });
      expect([name, (bounds[2] as number) < 0.5 * (bounds[0] as number)]).toEqual([name, true]);
    }
  });

  test('is in the unit of the objective, whatever its scale and direction', () => {
    const f = FUNCTIONS.bowl as (x: number, y: number) => number;
    const plain = bound(spread(60, f));
    expect(bound(spread(60, (x, y) => 1000 * f(x, y) + 7)) / plain).toBeCloseTo(1000, 3);
    expect(
      bound(
        spread(60, (x, y) => -f(x, y)),
        MAXIMIZE,
      ),
    ).toBeCloseTo(plain, 9);
  });

  test('stays above the noise of repeated trainings, and tells that noise', () => {
    let state = 7;
    const noise = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return 0.3 * (state / 2 ** 32 - 0.5);
    };
    const noisy = regretBound({
      space,
      objectives: MINIMIZE,
      trials: spread(150, (x, y) => (FUNCTIONS.bowl?.(x, y) ?? 0) + noise()),
      seed: 1,
    });
    const clean = regretBound({ space, objectives: MINIMIZE, trials: spread(150, FUNCTIONS.bowl as never), seed: 1 });
    expect(noisy?.bound).toBeGreaterThan(5 * (clean?.bound as number));
    // Uniform of width 0.3 has the deviation 0.087.
    expect(noisy?.noise).toBeGreaterThan(0.06);
    expect(noisy?.noise).toBeLessThan(0.11);
    expect(noisy?.bound).toBeGreaterThan(noisy?.noise as number);
  });

  test('says nothing on fewer than twenty results; failures and infeasible trials are none', () => {
    const f = FUNCTIONS.bowl as (x: number, y: number) => number;
    expect(bound(spread(19, f))).toBeUndefined();
    const failed = [
      ...spread(19, f),
      row(20, { x: 0.1, y: 0.1 }, undefined, 'failed'),
      row(21, { x: 0.2, y: 0.1 }, undefined, 'cancelled'),
    ];
    expect(bound(failed)).toBeUndefined();
    const heavy = spread(30, f).map((trial) => ({ ...trial, constraintValues: [trial.number % 2 ? 50 : 30] }));
    const metricConstraints = [{ metric: 'gb', op: '<=', bound: 40 }] as const;
    expect(regretBound({ space, objectives: MINIMIZE, trials: heavy, metricConstraints, seed: 1 })).toBeUndefined();
  });

  test('stops a campaign when it is below the tolerance, and only then', () => {
    const ask = (found: number | undefined, tolerance: number) =>
      shouldStop({
        objectives: MINIMIZE,
        budget: {},
        stop: { minDelta: 0, options: { regret_bound: tolerance } },
        trials: [],
        now: 0,
        startedAt: 0,
        ...(found === undefined ? {} : { regretBound: found }),
      });
    expect(ask(0.02, 0.01)).toBeUndefined();
    expect(ask(undefined, 0.01)).toBeUndefined();
    expect(ask(0.009, 0)).toBeUndefined();
    expect(ask(0.009, 0.01)).toEqual({
      rule: 'regret_bound',
      sentence: 'By the model no point is more than 0.009000 better than the best, within the 0.01 that stop.regret_bound allows.',
    });
  });
});

const FUNCTIONS: Readonly<Record<string, (x: number, y: number) => number>> = {
  bowl: (x, y) => (x - 0.3) ** 2 + (y - 0.6) ** 2,
  valley: (x, y) => (x - y) ** 2 + 0.2 * x,
  waves: (x, y) => Math.sin(5 * x) + Math.cos(4 * y),
  narrow: (x, y) => -Math.exp(-((x - 0.7) ** 2 + (y - 0.2) ** 2) / 0.05),
};

function grid(f: (x: number, y: number) => number): number[] {
  return Array.from({ length: 101 * 101 }, (_, i) => f((i % 101) / 100, Math.floor(i / 101) / 100));
}
