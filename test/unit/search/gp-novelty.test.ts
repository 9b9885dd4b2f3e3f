import { expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { isStuck, nearTo } from '../../../src/search/gp/novelty.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import type { SamplerState } from '../../../src/search/sampler.ts';
import { codesOf, compileSpace } from '../../../src/search/space.ts';
import { request, row, SPACES } from './spaces.ts';

const unit = (names: readonly string[]): Space => ({ parameters: names.map((name) => ({ name, type: 'float', min: 0, max: 1 })) });

/** A campaign of `count` trials, one after another. */
function search(space: Space, count: number, lossOf: (params: TrialRow['params']) => number, seed = 1): TrialRow[] {
  const trials: TrialRow[] = [];
  let state: SamplerState | undefined;
  while (trials.length < count) {
    const result = samplerEntry('auto').sampler({ ...request(space, { trials, seed }), ...(state ? { state } : {}) });
    state = result.state;
    for (const { params, origin } of result.suggestions) trials.push({ ...row(trials.length + 1, params, lossOf(params)), origin });
  }
  return trials;
}

const mixed = compileSpace(SPACES.conditional as Space);
const at = (params: TrialRow['params']) => codesOf(mixed, { seed: 7, ...params });
const tree = { booster: 'tree', eta: 0.1, depth: 6 };

test.each([
  ['the same point', tree, true],
  ['a step that no training tells', { ...tree, eta: 0.101 }, true],
  ['another learning rate', { ...tree, eta: 0.6 }, false],
  // 15 levels: each is a value of its own.
  ['one level of a short list away', { ...tree, depth: 7 }, false],
  ['another category', { ...tree, booster: 'dart', skip: false }, false],
  ['a branch without numbers of its own', { booster: 'linear' }, false],
])('near to an older point: %s', (_, params, expected) => {
  expect(nearTo(mixed, [at(tree)])(at(params))).toBe(expected);
});

test('the distance that is kept shrinks with the number of points, in few dimensions faster', () => {
  const line = compileSpace(unit(['x']));
  const wide = compileSpace(unit(['a', 'b', 'c', 'd', 'e', 'f']));
  const spread = (size: number, dimensions: number) => Array.from({ length: size }, (_, i) => new Float64Array(dimensions).fill(i / size));
  expect(nearTo(line, spread(10, 1))(new Float64Array([0.515]))).toBe(true);
  expect(nearTo(line, spread(10, 1))(new Float64Array([0.525]))).toBe(false);
  expect(nearTo(line, spread(100, 1))(new Float64Array([0.515]))).toBe(false);
  const beside = new Float64Array(6).fill(0.5);
  beside[0] = 0.58;
  expect(nearTo(wide, spread(100, 6))(beside)).toBe(true);
});

test('a search that is stuck breaks new ground with three points of four', () => {
  const space = unit(['a', 'b', 'c', 'd']);
  const compiled = compileSpace(space);
  // The floor of the valley is flat: nothing beside the best is better.
  const floor = 0.2;
  const trials = search(space, 80, (p) => Math.max(floor, Math.hypot(...['a', 'b', 'c', 'd'].map((name) => Number(p[name]) - 0.4))));
  const points = trials.map((t) => codesOf(compiled, t.params));
  const onFloor = trials.findIndex((t) => t.values?.[0] === floor);
  expect(onFloor).toBeGreaterThan(0);
  expect(onFloor).toBeLessThan(50);
  const keepsAway = points.map((point, i) => !nearTo(compiled, points.slice(0, i))(point)).slice(onFloor + 8);
  expect(keepsAway.filter(Boolean).length).toBeGreaterThanOrEqual(0.74 * keepsAway.length);
});

test.each([1, 2, 3])('one parameter is still refined (seed %i)', (seed) => {
  const trials = search(unit(['x']), 30, (p) => (Number(p.x) - 0.637) ** 2, seed);
  expect(Math.min(...trials.map((t) => Math.abs(Number(t.params.x) - 0.637)))).toBeLessThan(0.001);
});

test.each([
  ['too few results', [3, 1, 2, 2, 2, 2], false],
  ['no better than the design yet, which was no search', [3, 1, 2, 2, 2, 2, 2, 2], false, 4],
  ['six results without improvement', [3, 1, 2, 2, 2, 2, 2, 2], true],
  ['an improvement that does not count', [3, 1, 2, 2, 2, 0.99, 2, 2], true],
  ['one that does', [3, 1, 2, 2, 2, 0.9, 2, 2], false],
  ['one that is long past', [3, 0.9, 1, 2, 2, 2, 2, 2, 2], true],
])('stuck: %s', (_, losses, expected, designed = 2) => {
  expect(isStuck(losses, designed)).toBe(expected);
});

test('with many trials running a further point is bolder', () => {
  const space = unit(['x']);
  const ended = Array.from({ length: 10 }, (_, i) => row(i + 1, { x: 0.05 + i / 12 }, (0.05 + i / 12 - 0.41) ** 2));
  const farFromBest = (running: number, seed: number): number => {
    // All that run stand together where nothing is to be won.
    const pending: TrialRow[] = Array.from({ length: running }, (_, i) => ({
      ...row(11 + i, { x: 0.9 + i / 1000 }, 0),
      state: 'running',
      values: [],
    }));
    const { suggestions } = samplerEntry('gp').sampler(request(space, { trials: [...ended, ...pending], seed }));
    return Math.abs(Number(suggestions[0]?.params.x) - 0.41);
  };
  const far = (running: number) => [1, 2, 3].reduce((sum, seed) => sum + farFromBest(running, seed), 0) / 3;
  expect(far(15)).toBeLessThan(0.02);
  expect(far(16)).toBeGreaterThan(2 * far(15));
});
