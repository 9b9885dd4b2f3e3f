import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Objective } from '../../../src/domain/campaign.ts';
import type { Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { dominates, frontRanks, hypervolume, paretoFront, referencePoint } from '../../../src/search/pareto.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import type { SamplerState } from '../../../src/search/sampler.ts';
import { crowdingDistances } from '../../../src/search/several-objectives.ts';
import { request, row } from './spaces.ts';

test('a point dominates when it is nowhere worse and somewhere better', () => {
  expect(dominates([1, 2], [1, 3])).toBe(true);
  expect(dominates([1, 2], [1, 2])).toBe(false);
  expect(dominates([1, 4], [2, 3])).toBe(false);
});

test('the front keeps equal points, and ranks peel it off', () => {
  const points = [
    [3, 1],
    [1, 3],
    [2, 2],
    [2, 2],
    [3, 3],
    [4, 4],
  ];
  expect(paretoFront(points)).toEqual([0, 1, 2, 3]);
  expect(frontRanks(points)).toEqual([0, 0, 0, 0, 1, 2]);
  expect(paretoFront([])).toEqual([]);
});

test('hypervolume in 2, 3 and 4 dimensions is that of Optuna', () => {
  const { cases } = JSON.parse(readFileSync('test/fixtures/search/hypervolume.json', 'utf8'));
  for (const { points, reference, volume } of cases) expect(hypervolume(points, reference)).toBeCloseTo(volume, 10);
});

test('points beyond the reference point add nothing', () => {
  expect(
    hypervolume(
      [
        [1, 2],
        [2, 1],
        [0, 9],
      ],
      [3, 3],
    ),
  ).toBe(3);
  expect(hypervolume([], [1, 1])).toBe(0);
  expect(
    referencePoint([
      [0, 10],
      [10, 0],
    ]),
  ).toEqual([11, 11]);
});

test('crowding prefers the ends of a front and the lonely', () => {
  const points = [
    [0, 10],
    [1, 9],
    [2, 8],
    [10, 0],
  ];
  const crowding = crowdingDistances(points, [0, 0, 0, 0]);
  expect(crowding[0]).toBe(Number.POSITIVE_INFINITY);
  expect(crowding[3]).toBe(Number.POSITIVE_INFINITY);
  expect(crowding[2]).toBeGreaterThan(crowding[1] as number);
});

const space: Space = {
  parameters: [
    { name: 'x', type: 'float', min: 0, max: 1 },
    { name: 'y', type: 'float', min: 0, max: 1 },
    { name: 'z', type: 'float', min: 0, max: 1 },
  ],
};
const objectives: Objective[] = [
  { metric: 'accuracy', direction: 'maximize', reduce: 'result' },
  { metric: 'seconds', direction: 'minimize', reduce: 'result' },
];

/** ZDT1 in three parameters, the first objective turned round. */
function evaluate(p: TrialRow['params']): [number, number] {
  const [x, y, z] = [p.x, p.y, p.z] as [number, number, number];
  const g = 1 + 4.5 * (y + z);
  return [-x, g * (1 - Math.sqrt(x / g))];
}

function front(name: string, seed: number, total: number): { volume: number; keys: number } {
  const trials: TrialRow[] = [];
  let state: SamplerState | undefined;
  while (trials.length < total) {
    const result = samplerEntry(name).sampler(request(space, { objectives, trials, count: 4, seed, ...(state ? { state } : {}) }));
    state = result.state;
    for (const { params } of result.suggestions) trials.push({ ...row(trials.length + 1, params, 0), values: evaluate(params) });
  }
  const volume = hypervolume(
    trials.map((t) => [-(t.values?.[0] as number), t.values?.[1] as number]),
    [1.1, 2],
  );
  return { volume, keys: new Set(trials.map((t) => JSON.stringify(t.params))).size };
}

describe.each([
  ['auto', 60],
  ['gp', 60],
  ['tpe', 100],
  ['nsga2', 240],
])('%s with two objectives', (name, total) => {
  test('finds a larger front than random search with as many trials', () => {
    for (const seed of [1, 2]) {
      const ours = front(name, seed, total);
      expect(ours.volume).toBeGreaterThan(front('random', seed, total).volume + 0.1);
      expect(ours.keys).toBe(total);
    }
  });
});

test('a condition on a metric keeps the search out of what breaks it', () => {
  const one: Objective[] = [{ metric: 'loss', direction: 'minimize', reduce: 'result' }];
  const metricConstraints = [{ metric: 'memory_gb', op: '<=', bound: 0.5 }] as const;
  for (const name of ['gp', 'tpe', 'nsga2']) {
    const trials: TrialRow[] = [];
    let state: SamplerState | undefined;
    // The objective falls towards x = 1, memory grows with x: the best feasible point lies at x = 0.5.
    while (trials.length < 60) {
      const options = name === 'nsga2' ? { population: 10 } : {};
      const result = samplerEntry(name).sampler(
        request(space, { objectives: one, metricConstraints, trials, seed: 2, options, ...(state ? { state } : {}) }),
      );
      state = result.state;
      for (const { params } of result.suggestions) {
        const x = params.x as number;
        trials.push({ ...row(trials.length + 1, params, (1 - x) ** 2 + 0.1 * (params.y as number)), constraintValues: [x] });
      }
    }
    const late = trials.slice(40);
    expect([name, late.filter((t) => (t.params.x as number) <= 0.5).length >= 10]).toEqual([name, true]);
    const best = Math.max(...trials.map((t) => t.params.x as number).filter((x) => x <= 0.5));
    expect(best).toBeGreaterThan(0.4);
  }
});
