import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import { importances } from '../../../src/search/importance.ts';
import { MAXIMIZE, MINIMIZE, row } from './spaces.ts';

const space: Space = {
  parameters: [
    { name: 'lr', type: 'float', min: 1e-4, max: 1, log: true },
    { name: 'width', type: 'int', min: 1, max: 9 },
    { name: 'kind', type: 'categorical', values: ['a', 'b', 'c'] },
    { name: 'idle', type: 'float', min: 0, max: 1 },
  ],
};

test("shares of variance are those of Optuna's fANOVA within five hundredths, and in the order of the true ones", () => {
  const fixture = JSON.parse(readFileSync('test/fixtures/search/importance.json', 'utf8'));
  const trials = fixture.trials.map((t: { params: Record<string, never>; value: number }, i: number) => row(i + 1, t.params, t.value));
  const found = importances({ space, objectives: MINIMIZE, trials, seed: 1 });
  for (const { name, share } of found) expect([name, Math.abs(share - fixture.shares[name]) < 0.05]).toEqual([name, true]);
  // The function of make.py has the variances 1.42 (lr), 0.26 (kind), 0.15 (width) and 0 (idle); Optuna's one-hot columns see half of kind's.
  expect(found.map((f) => f.name)).toEqual(['lr', 'kind', 'width', 'idle']);
  const kind = found.find((f) => f.name === 'kind')?.share as number;
  expect(Math.abs(kind - 0.26 / 1.83)).toBeLessThan(Math.abs(fixture.shares.kind - 0.26 / 1.83));
  expect(found.reduce((sum, f) => sum + f.share, 0)).toBeCloseTo(1, 12);
});

test('the direction of the objective makes no difference, failures are left out, and the same seed gives the same shares', () => {
  const trials = Array.from({ length: 40 }, (_, i) =>
    row(i + 1, { lr: 10 ** (-4 + i / 10), width: 1 + (i % 9), kind: 'abc'[i % 3] as string, idle: (i * 7) % 1 }, i % 9),
  );
  const failed = row(41, { lr: 1, width: 1, kind: 'a', idle: 0 }, undefined, 'failed');
  const ask = (objectives: typeof MINIMIZE | typeof MAXIMIZE) => importances({ space, objectives, trials: [...trials, failed], seed: 4 });
  expect(ask(MINIMIZE)).toEqual(ask(MINIMIZE));
  expect(ask(MAXIMIZE)[0]).toEqual(ask(MINIMIZE)[0]);
  expect(ask(MINIMIZE)[0]?.name).toBe('width');
});

test('a conditional parameter can be the important one', () => {
  const conditional: Space = {
    parameters: [
      { name: 'booster', type: 'categorical', values: ['linear', 'tree'] },
      { name: 'depth', type: 'int', min: 1, max: 9, when: { booster: ['tree'] } },
    ],
  };
  const trials = Array.from({ length: 60 }, (_, i) =>
    i % 2 ? row(i + 1, { booster: 'linear' }, 5) : row(i + 1, { booster: 'tree', depth: 1 + (i % 9) }, 1 + (i % 9)),
  );
  expect(importances({ space: conditional, objectives: MINIMIZE, trials, seed: 1 })[0]?.name).toBe('depth');
});

test('nothing is said of too few or equal results', () => {
  const trials = [1, 2, 3].map((n) => row(n, { lr: 0.1, width: n, kind: 'a', idle: 0 }, n));
  expect(importances({ space, objectives: MINIMIZE, trials, seed: 1 })).toEqual([]);
  const equal = [1, 2, 3, 4, 5].map((n) => row(n, { lr: 0.1, width: n, kind: 'a', idle: 0 }, 1));
  expect(importances({ space, objectives: MINIMIZE, trials: equal, seed: 1 })).toEqual([]);
});
