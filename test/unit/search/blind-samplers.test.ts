import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import type { SamplerState } from '../../../src/search/sampler.ts';
import { sobolInteger, sobolUnit } from '../../../src/search/sobol-sequence.ts';
import { compileSpace, keyOf } from '../../../src/search/space.ts';
import { request, row, SPACES } from './spaces.ts';

/** Points of a campaign that asks in batches of the given sizes; between batches the state goes through JSON, or is lost. */
function table(name: string, space: Space, batches: readonly number[], seed: number, keepsState = true): TrialRow['params'][] {
  const trials: TrialRow[] = [];
  let state: SamplerState | undefined;
  for (const count of batches) {
    const result = samplerEntry(name).sampler(request(space, { trials: [...trials].reverse(), count, seed, ...(state ? { state } : {}) }));
    for (const { params } of result.suggestions) trials.push(row(trials.length + 1, params, trials.length % 3 ? 1 : undefined));
    state = keepsState && result.state ? (JSON.parse(JSON.stringify(result.state)) as SamplerState) : undefined;
  }
  return trials.map((t) => t.params);
}

describe.each(['random', 'sobol'])('%s', (name) => {
  test('gives the same table however it is asked, and when its state is lost', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(SPACES)),
        fc.nat(),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
        (key, seed, cuts) => {
          const space = SPACES[key] as Space;
          const total = 15;
          const batches = [...cuts.slice(0, 3)];
          batches.push(total - batches.reduce((a, b) => a + b, 0));
          const whole = table(name, space, [total], seed);
          expect(
            table(
              name,
              space,
              batches.filter((n) => n > 0),
              seed,
            ),
          ).toEqual(whole.slice(0, total));
          expect(
            table(
              name,
              space,
              batches.filter((n) => n > 0),
              seed,
              false,
            ),
          ).toEqual(whole.slice(0, total));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('takes every point of a finite space once and then says that it is exhausted', () => {
    const first = samplerEntry(name).sampler(request(SPACES.tiny as Space, { count: 19 }));
    expect(first.exhausted).toBe(false);
    const trials = first.suggestions.map((s, i) => row(i + 1, s.params, 1));
    const last = samplerEntry(name).sampler(request(SPACES.tiny as Space, { count: 5, trials }));
    expect(last.suggestions.length).toBe(1);
    expect(last.exhausted).toBe(true);
    const compiled = compileSpace(SPACES.tiny as Space);
    expect(new Set([...trials.map((t) => t.params), last.suggestions[0]?.params].map((p) => keyOf(compiled, p ?? {}))).size).toBe(20);
  });

  test('repeats points only when asked to', () => {
    const result = samplerEntry(name).sampler(request(SPACES.tiny as Space, { count: 100, allowDuplicates: true }));
    expect(result.suggestions.length).toBe(100);
    expect(result.exhausted).toBe(false);
  });

  test('10⁵ draws have the weights of the space (χ²)', () => {
    const parameters = [
      { name: 'model', type: 'categorical', values: ['a', 'b', 'c', 'd', 'e'], weights: [0.3, 0.25, 0.2, 0.15, 0.1] },
      { name: 'batch', type: 'ordinal', values: [32, 64, 128, 256], weights: [1, 3, 4, 2] },
      { name: 'never', type: 'categorical', values: ['x', 'y'], weights: [1, 0] },
    ] as const;
    const draws = 100_000;
    const { suggestions } = samplerEntry(name).sampler(request({ parameters }, { count: draws, allowDuplicates: true, seed: 11 }));
    for (const { name: key, values, weights } of parameters) {
      const total = weights.reduce((a: number, b) => a + b, 0);
      let chi2 = 0;
      values.forEach((value, i) => {
        const seen = suggestions.filter((s) => s.params[key] === value).length;
        const expected = (draws * (weights[i] ?? 0)) / total;
        if (expected === 0) expect(seen).toBe(0);
        else chi2 += (seen - expected) ** 2 / expected;
      });
      expect(chi2).toBeLessThan(20);
    }
  });

  test('takes a suggested value half of the time', () => {
    const { suggestions } = samplerEntry(name).sampler(request(SPACES.weighted as Space, { count: 4000, seed: 5, allowDuplicates: true }));
    const suggested = suggestions.filter((s) => [1e-4, 1e-3, 1e-2].includes(s.params.lr as number)).length;
    expect(suggested / 4000).toBeGreaterThan(0.46);
    expect(suggested / 4000).toBeLessThan(0.54);
  });

  test('says what to do when constraints refuse everything', () => {
    const space: Space = { ...(SPACES.constrained as Space), constraints: ['batch > 1000'] };
    expect(() => samplerEntry(name).sampler(request(space))).toThrow(/constraints "batch > 1000" refused every point/);
  });

  test('finds the one point in thousands that constraints leave, again and again', () => {
    const space: Space = {
      parameters: ['x', 'y'].map((parameter) => ({ name: parameter, type: 'float', min: 0, max: 1 })),
      constraints: ['x + y <= 0.03'],
    };
    const { suggestions } = samplerEntry(name).sampler(request(space, { count: 10 }));
    expect(suggestions.length).toBe(10);
    for (const { params } of suggestions) expect((params.x as number) + (params.y as number)).toBeLessThanOrEqual(0.03);
  });

  test('ends a range whose values are used up as an exhausted space, not with an error', () => {
    const space: Space = { parameters: [{ name: 'x', type: 'float', min: 1, max: 1.002 }] };
    const { suggestions, exhausted } = samplerEntry(name).sampler(request(space, { count: 400 }));
    expect(exhausted).toBe(true);
    expect(suggestions.length).toBeGreaterThan(100);
    expect(new Set(suggestions.map(({ params }) => params.x)).size).toBe(suggestions.length);
  });

  test('begins with the default point when told to', () => {
    const options = { default_first: true };
    const first = samplerEntry(name).sampler(request(SPACES.conditional as Space, { count: 2, options }));
    expect(first.suggestions[0]).toEqual({ params: { booster: 'tree', eta: 0.1, depth: 6, seed: 7 }, origin: 'default' });
    expect(first.suggestions[1]?.origin).toBe(name);
    expect(() => samplerEntry(name).sampler(request(SPACES.tiny as Space, { options: { defaults_first: true } }))).toThrow(
      /defaults_first is not an option/,
    );
  });
});

test('grid takes every combination in order, thins out continuous parameters, and ends', () => {
  const space: Space = {
    parameters: [
      { name: 'a', type: 'categorical', values: ['x', 'y'] },
      { name: 'lr', type: 'float', min: 0.001, max: 0.1, log: true, when: { a: ['y'] } },
      { name: 'n', type: 'int', min: 1, max: 2 },
    ],
  };
  const { sampler } = samplerEntry('grid');
  const all = sampler(request(space, { count: 100, options: { points: 3 } }));
  expect(all.exhausted).toBe(true);
  expect(all.suggestions.map((s) => s.params)).toEqual([
    { a: 'x', n: 1 },
    { a: 'x', n: 2 },
    ...[0.001, 0.01, 0.1].flatMap((lr) => [1, 2].map((n) => ({ a: 'y', lr, n }))),
  ]);
  const head = sampler(request(space, { count: 3, options: { points: 3 } }));
  const trials = head.suggestions.map((s, i) => row(i + 1, s.params));
  const tail = sampler(request(space, { count: 5, options: { points: 3 }, trials, ...(head.state ? { state: head.state } : {}) }));
  expect([...head.suggestions, ...tail.suggestions]).toEqual(all.suggestions);
  expect(head.exhausted).toBe(false);
});

test('the Sobol sequence is the one of SciPy in 160 dimensions', () => {
  const fixture = JSON.parse(readFileSync('test/fixtures/search/sobol.json', 'utf8')) as { points: number[][] };
  expect(fixture.points.map((point, i) => point.map((_, d) => sobolInteger(i, d)))).toEqual(fixture.points);
});

test('scrambled Sobol points lie one in each of 64 slices of every axis, whatever the seed', () => {
  for (const seed of [0, 1, 99]) {
    const points = Array.from({ length: 64 }, (_, i) => sobolUnit(seed, i, 8));
    for (let d = 0; d < 8; d++) expect(new Set(points.map((p) => Math.floor((p[d] ?? 0) * 64))).size).toBe(64);
  }
  expect([...sobolUnit(1, 5, 3)]).not.toEqual([...sobolUnit(2, 5, 3)]);
  expect(sobolUnit(1, 5, 200).every((x) => x >= 0 && x < 1)).toBe(true);
});
