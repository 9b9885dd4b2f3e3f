import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import { quantileImportances } from '../../../src/search/ped-anova.ts';
import { MAXIMIZE, MINIMIZE, row } from './spaces.ts';

const space: Space = {
  parameters: [
    { name: 'lr', type: 'float', min: 1e-4, max: 1, log: true },
    { name: 'width', type: 'int', min: 1, max: 9 },
    { name: 'units', type: 'int', min: 8, max: 512, log: true },
    { name: 'kind', type: 'categorical', values: ['a', 'b', 'c'] },
    { name: 'rate', type: 'float', min: 0, max: 0.6, step: 0.1, when: { kind: ['a'] } },
    { name: 'solver', type: 'constant', value: 'adam' },
  ],
};

interface Fixture {
  readonly trials: readonly { readonly params: Record<string, number | string>; readonly value: number }[];
  readonly cases: readonly { readonly quantile: number; readonly region: number; readonly shares: Readonly<Record<string, number>> }[];
}
const fixture = JSON.parse(readFileSync('test/fixtures/search/ped_anova.json', 'utf8')) as Fixture;
const trials = fixture.trials.map(({ params, value }, i) => row(i + 1, params, value));

test.each(fixture.cases)(
  "shares are those of Optuna's PED-ANOVA for the best $quantile of the best $region",
  ({ quantile, region, shares }) => {
    const found = quantileImportances({ space, objectives: MINIMIZE, trials, seed: 1, quantile, region });
    expect(found.map(({ name }) => name).sort()).toEqual(Object.keys(shares).sort());
    for (const { name, share } of found) expect([name, share]).toEqual([name, expect.closeTo(shares[name] as number, 9)]);
  },
);

test('the direction counts: what leads to the best is not what leads to the worst', () => {
  // Below 0.5 only x matters, above only y.
  const own: Space = { parameters: ['x', 'y'].map((name) => ({ name, type: 'float', min: 0, max: 1 })) };
  const rows = Array.from({ length: 400 }, (_, i) => {
    const [x, y] = [(i * 0.7548776662) % 1, (i * 0.569840291) % 1];
    return row(i + 1, { x, y }, x < 0.5 ? x : 0.5 + y);
  });
  expect(quantileImportances({ space: own, objectives: MINIMIZE, trials: rows, seed: 1 })[0]).toMatchObject({ name: 'x' });
  expect(quantileImportances({ space: own, objectives: MAXIMIZE, trials: rows, seed: 1 })[0]).toMatchObject({ name: 'y' });
});

test('a trial that breaks a condition on metrics is none of the good ones, and all the same one of those that were tried', () => {
  // Small x is good and takes too much memory; among those that keep the condition only y decides.
  const own: Space = { parameters: ['x', 'y'].map((name) => ({ name, type: 'float', min: 0, max: 1 })) };
  const metricConstraints = [{ metric: 'gb', op: '<=', bound: 40 }] as const;
  const rowsWith = (gbOf: (x: number) => number) =>
    Array.from({ length: 400 }, (_, i) => {
      const [x, y] = [(i * 0.7548776662) % 1, (i * 0.569840291) % 1];
      return { ...row(i + 1, { x, y }, x < 0.2 ? x : 0.2 + y), constraintValues: [gbOf(x)] };
    });
  const asked = { space: own, objectives: MINIMIZE, seed: 1, quantile: 0.05 };
  const some = rowsWith((x) => (x < 0.2 ? 60 : 30));
  expect(quantileImportances({ ...asked, trials: some })[0]).toMatchObject({ name: 'x' });
  expect(quantileImportances({ ...asked, trials: some, metricConstraints })[0]).toMatchObject({ name: 'y' });
  // Fewer keep it than the share asks for: those alone are good. Leaving out the others would leave nothing to tell apart.
  const few = rowsWith((x) => (x > 0.98 ? 30 : 60));
  expect(quantileImportances({ ...asked, trials: few, metricConstraints })[0]).toMatchObject({ name: 'x' });
  // Nobody keeps it: as if there were no condition.
  const none = rowsWith(() => 60);
  expect(quantileImportances({ ...asked, trials: none, metricConstraints })).toEqual(quantileImportances({ ...asked, trials: none }));
});

test('10,000 trials take no longer than a second, and nothing is said of too few or equal results', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => ({ ...(trials[i % trials.length] as (typeof trials)[number]), number: i + 1 }));
  const started = performance.now();
  expect(quantileImportances({ space, objectives: MINIMIZE, trials: many, seed: 1 })[0]?.name).toBe('lr');
  expect(performance.now() - started).toBeLessThan(5000);
  expect(quantileImportances({ space, objectives: MINIMIZE, trials: trials.slice(0, 3), seed: 1 })).toEqual([]);
  const equal = trials.map((trial) => ({ ...trial, values: [1] }));
  expect(quantileImportances({ space, objectives: MINIMIZE, trials: equal, seed: 1 })).toEqual([]);
});
