import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Parameter, Point, Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { streamAt } from '../../../src/search/random-stream.ts';
import { SAMPLERS, samplerEntry } from '../../../src/search/registry.ts';
import type { SamplerState, SuggestRequest } from '../../../src/search/sampler.ts';
import { codesFromUnit, compileSpace, isActive, keyOf, pointOf, satisfies } from '../../../src/search/space.ts';
import { request, row, SPACES } from './spaces.ts';

const NAMES = Object.keys(SAMPLERS).filter((name) => name !== 'grid');

function isInside(parameter: Parameter, value: unknown): boolean {
  switch (parameter.type) {
    case 'constant':
      return value === parameter.value;
    case 'categorical':
    case 'ordinal': {
      const i = parameter.values.indexOf(value as never);
      return i >= 0 && (parameter.weights?.[i] ?? 1) > 0;
    }
    case 'int':
      return Number.isInteger(value) && (value as number) >= parameter.min && (value as number) <= parameter.max;
    case 'float': {
      const x = value as number;
      const isOnGrid =
        parameter.step === undefined ||
        Math.abs((x - parameter.min) / parameter.step - Math.round((x - parameter.min) / parameter.step)) < 1e-6;
      return typeof value === 'number' && x >= parameter.min && x <= parameter.max && isOnGrid;
    }
  }
}

function expectInside(space: Space, point: Point): void {
  const compiled = compileSpace(space);
  const present = new Set(Object.keys(point));
  const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
  compiled.dimensions.forEach(({ name, parameter, codeOf }, i) => {
    const value = point[name];
    expect([name, value !== undefined]).toEqual([name, isActive(compiled, codes, i)]);
    if (value === undefined) return;
    expect([name, value, isInside(parameter, value)]).toEqual([name, value, true]);
    codes[i] = codeOf(value);
    present.delete(name);
  });
  expect([...present]).toEqual([]);
  expect(satisfies(compiled, point)).toBe(true);
}

/** A smooth loss of any point of any space, with a failure here and there. */
function lossOf(space: Space, point: Point, seed: number): number | undefined {
  const compiled = compileSpace(space);
  let loss = 0;
  compiled.dimensions.forEach((d, i) => {
    const value = point[d.name];
    if (value !== undefined) loss += (d.codeOf(value) - 0.3 - 0.05 * i) ** 2;
  });
  return streamAt(seed, keyOf(compiled, point), 0).next() < 0.1 ? undefined : loss;
}

interface Campaign {
  readonly trials: TrialRow[];
  readonly exhausted: boolean;
}

/** Asks in batches of changing size with some trials always in flight; `restartAt` sends the state and the table through JSON. */
function campaign(name: string, space: Space, seed: number, total: number, more: Partial<SuggestRequest> = {}, restarts = false): Campaign {
  let trials: TrialRow[] = [];
  let state: SamplerState | undefined;
  let exhausted = false;
  let clock = 0;
  while (trials.length < total && !exhausted) {
    const count = Math.min(total - trials.length, 1 + (trials.length % 4));
    const result = samplerEntry(name).sampler(request(space, { ...more, trials, count, seed, ...(state ? { state } : {}) }));
    state = result.state;
    exhausted = result.exhausted;
    expect(result.suggestions.length === count || exhausted).toBe(true);
    for (const { params, origin } of result.suggestions) trials.push({ ...row(trials.length + 1, params), origin });
    // All but the newest two end.
    trials = trials.map((t, i) => {
      if (t.state !== 'running' || i >= trials.length - 2) return t;
      const loss = lossOf(space, t.params, seed);
      clock += 1000;
      return loss === undefined
        ? { ...t, state: 'failed', finishedAt: clock }
        : { ...t, state: 'completed', values: [loss], finishedAt: clock };
    });
    if (restarts) {
      state = state === undefined ? undefined : (JSON.parse(JSON.stringify(state)) as SamplerState);
      trials = JSON.parse(JSON.stringify(trials)) as TrialRow[];
    }
  }
  return { trials, exhausted };
}

describe.each(NAMES)('%s', (name) => {
  test.each(Object.keys(SPACES))(
    'stays inside the %s space, never repeats a point, and gives the same points for a seed after restarts',
    (key) => {
      const space = SPACES[key] as Space;
      fc.assert(
        fc.property(fc.nat(1_000_000), (seed) => {
          const { trials, exhausted } = campaign(name, space, seed, 28);
          for (const { params } of trials) expectInside(space, params);
          const compiled = compileSpace(space);
          expect(new Set(trials.map((t) => keyOf(compiled, t.params))).size).toBe(trials.length);
          if (key === 'tiny') expect([trials.length, exhausted]).toEqual([20, true]);
          else expect(exhausted).toBe(false);
          const again = campaign(name, space, seed, 28, {}, true);
          expect(again.trials.map((t) => [t.params, t.origin])).toEqual(trials.map((t) => [t.params, t.origin]));
        }),
        { numRuns: 3 },
      );
    },
  );

  test('gives other points for another seed', () => {
    const space = SPACES.numeric as Space;
    const points = (seed: number) => campaign(name, space, seed, 8).trials.map((t) => t.params);
    expect(points(1)).not.toEqual(points(2));
  });

  test('works when every trial so far has failed, and when all losses are equal', () => {
    const space = SPACES.conditional as Space;
    const compiled = compileSpace(space);
    const design = samplerEntry('random').sampler(request(space, { count: 20 })).suggestions;
    for (const value of [undefined, 1]) {
      const trials = design.map((s, i) => row(i + 1, s.params, value, value === undefined ? 'failed' : 'completed'));
      const { suggestions } = samplerEntry(name).sampler(request(space, { trials, count: 3 }));
      expect(suggestions.length).toBe(3);
      for (const { params } of suggestions) expectInside(space, params);
      expect(new Set([...trials, ...suggestions].map((t) => keyOf(compiled, t.params))).size).toBe(23);
    }
  });

  test('does not grow slow over 10,000 trials', () => {
    const space = SPACES.numeric as Space;
    const compiled = compileSpace(space);
    const trials = Array.from({ length: 10_000 }, (_, i) => {
      const stream = streamAt(9, 'table', i);
      const params = pointOf(
        compiled,
        codesFromUnit(
          compiled,
          compiled.dimensions.map(() => stream.next()),
        ),
      );
      return row(i + 1, params, lossOf(space, params, 1) ?? 1);
    });
    // Not the clock: CPU time of this process, and far above what an idle machine needs (see bench/search for figures).
    const begin = process.cpuUsage();
    const { suggestions, state } = samplerEntry(name).sampler(
      request(space, { trials, count: 1, ...(name === 'random' || name === 'sobol' ? { state: { next: 10_000 } } : {}) }),
    );
    const used = process.cpuUsage(begin);
    expect(suggestions.length).toBe(1);
    expect((used.user + used.system) / 1e6).toBeLessThan(10);
    expect(JSON.stringify(state).length).toBeLessThan(8_000);
  });
});

describe.each(['gp', 'auto', 'tpe', 'cmaes'])('%s', (name) => {
  test('comes closer to the optimum than random search', () => {
    const space: Space = {
      parameters: [
        { name: 'x', type: 'float', min: 0, max: 1 },
        { name: 'y', type: 'float', min: 1e-4, max: 1, log: true },
        { name: 'n', type: 'int', min: 1, max: 30 },
      ],
    };
    const best = (sampler: string, seed: number) => {
      const { trials } = campaign(sampler, space, seed, 120);
      return Math.min(...trials.flatMap((t) => t.values ?? []));
    };
    let wins = 0;
    for (const seed of [1, 2, 3, 4, 5]) if (best(name, seed) < best('random', seed)) wins++;
    expect(wins).toBeGreaterThanOrEqual(4);
  });

  test("begins with the user's default point", () => {
    const space = SPACES.conditional as Space;
    const first = samplerEntry(name).sampler(request(space, { count: 1 })).suggestions[0];
    expect(first).toEqual({ params: { booster: 'tree', eta: 0.1, depth: 6, seed: 7 }, origin: 'default' });
  });

  test('does not see the order in which a batch was told', () => {
    if (name === 'cmaes') return; // An evolution strategy takes results in the order in which they come.
    const space = SPACES.numeric as Space;
    const { trials } = campaign(name, space, 3, 24);
    const shuffled = [...trials].reverse().map((t, i) => (t.finishedAt === undefined ? t : { ...t, finishedAt: i }));
    const ask = (table: readonly TrialRow[]) => samplerEntry(name).sampler(request(space, { trials: table, count: 2 })).suggestions;
    expect(ask(shuffled)).toEqual(ask(trials));
  });
});

test('a proposal from outside wins exactly when it is the best by the same acquisition, and keeps its origin and words', () => {
  const values = ['a', 'b', 'c', 'd', 'e', 'f'];
  const space: Space = { parameters: ['x', 'y', 'z'].map((name) => ({ name, type: 'categorical', values }) as const) };
  const design = samplerEntry('sobol').sampler(request(space, { count: 20 })).suggestions;
  const trials = design.map((s, i) => row(i + 1, s.params, values.indexOf(s.params.x as string) + values.indexOf(s.params.y as string)));
  const ask = (candidates: unknown[]) => samplerEntry('gp').sampler(request(space, { trials, options: { candidates } })).suggestions[0];
  const plain = ask([]);
  expect(plain?.origin).toBe('gp');
  expect(ask([{ x: 'f', y: 'f', z: 'f' }])).toEqual(plain);
  expect(ask([{ params: plain?.params, origin: 'llm', note: 'both low' }])).toEqual({
    params: plain?.params,
    origin: 'llm',
    note: 'both low',
  });
  expect(ask([plain?.params])?.origin).toBe('llm');
  // Nonsense and what was tried is left out: unknown value, missing parameter, no object, an old point.
  expect(ask([{ x: 'zzz', y: 'a', z: 'a' }, { x: 'a' }, 'x', null, trials[0]?.params])).toEqual(plain);
});

test('an unknown sampler is refused with the list of known ones', () => {
  expect(() => samplerEntry('gpp')).toThrow(/sampler\.type "gpp" is not known\. Known: auto, cmaes, gp, grid, nsga2, random, sobol, tpe\./);
  expect(() => samplerEntry('constructor')).toThrow(/not known/);
});
