import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dimensionOf } from '../../../src/search/dimension.ts';
import { randomUnit } from '../../../src/search/random-stream.ts';
import { codesFromUnit, codesOf, compileSpace, defaultPoint, enumerate, keyOf, pointOf, satisfies } from '../../../src/search/space.ts';
import { SPACES } from './spaces.ts';

describe('a search space as numbers', () => {
  test('codes and points say the same, whatever the space and the draw', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(SPACES)), fc.nat(), fc.nat(1000), (name, seed, index) => {
        const compiled = compileSpace(SPACES[name] as never);
        const codes = codesFromUnit(compiled, randomUnit(seed, index, compiled.dimensions.length));
        const point = pointOf(compiled, codes);
        expect(pointOf(compiled, codesOf(compiled, point))).toEqual(point);
        expect([...codesOf(compiled, point)]).toEqual([...codes]);
      }),
    );
  });

  test('a parameter exists exactly when its condition holds', () => {
    const compiled = compileSpace(SPACES.conditional as never);
    for (let i = 0; i < 300; i++) {
      const point = pointOf(compiled, codesFromUnit(compiled, randomUnit(3, i, 6)));
      const expected = ['booster', ...(point.booster === 'linear' ? [] : ['eta', 'depth']), ...(point.booster === 'dart' ? ['skip'] : [])];
      if (point.skip === true) expected.push('skip_rate');
      expect(Object.keys(point)).toEqual([...expected, 'seed']);
    }
  });

  test('floats have six significant digits and stay inside their bounds', () => {
    const lr = dimensionOf({ name: 'lr', type: 'float', min: 1.23453111e-5, max: 0.1, log: true });
    expect(lr.valueOf(0)).toBe(1.23453111e-5);
    expect(lr.valueOf(1)).toBe(0.1);
    for (let i = 0; i <= 1000; i++) {
      const value = lr.valueOf(i / 1000) as number;
      expect(value).toBeGreaterThanOrEqual(1.23453111e-5);
      expect(value).toBeLessThanOrEqual(0.1);
      if (value > 1.3e-5) expect(value).toBe(Number(value.toPrecision(6)));
    }
    const narrow = dimensionOf({ name: 'x', type: 'float', min: 1.0000001, max: 1.0000002 });
    expect(new Set(Array.from({ length: 11 }, (_, i) => narrow.valueOf(i / 10))).size).toBe(11);
  });

  test('every integer of a range is drawn equally often, the ends too', () => {
    const layers = dimensionOf({ name: 'layers', type: 'int', min: 1, max: 5 });
    const counts = new Map<unknown, number>();
    for (let i = 0; i < 1000; i++) {
      const value = layers.valueOf(layers.codeFromUnit((i + 0.5) / 1000, false));
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    expect([...counts.values()]).toEqual([200, 200, 200, 200, 200]);
  });

  test('the top of a stepped range is the last value the step reaches', () => {
    const width = dimensionOf({ name: 'width', type: 'int', min: 10, max: 35, step: 10 });
    expect(width.levels).toBe(3);
    expect(width.valueOf(1)).toBe(30);
    const rate = dimensionOf({ name: 'rate', type: 'float', min: 0, max: 0.6, step: 0.1 });
    expect(Array.from({ length: rate.levels }, (_, i) => rate.valueOf(rate.codeOfLevel(i)))).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
  });

  test('cardinality counts conditional branches once each', () => {
    expect(compileSpace(SPACES.tiny as never).cardinality).toBe(4 * 2 + 4 * 2 + 4);
    expect([...enumerate(compileSpace(SPACES.tiny as never))].length).toBe(20);
    expect(compileSpace(SPACES.numeric as never).cardinality).toBe(Number.POSITIVE_INFINITY);
    expect(compileSpace({ parameters: [{ name: 'x', type: 'float', min: 2, max: 2 }] }).cardinality).toBe(1);
  });

  test('a continuous parameter that exists in no point leaves a finite space finite', () => {
    const compiled = compileSpace({
      parameters: [
        { name: 'mode', type: 'categorical', values: ['old', 'a', 'b'], weights: [0, 1, 1] },
        { name: 'rate', type: 'float', min: 0, max: 1, when: { mode: ['old'] } },
      ],
    });
    expect(compiled.cardinality).toBe(2);
    expect([...enumerate(compiled)]).toEqual([{ mode: 'a' }, { mode: 'b' }]);
  });

  test('the key of a point ignores the order of its keys and tells 1, "1" and true apart', () => {
    const compiled = compileSpace({
      parameters: [
        { name: 'a', type: 'categorical', values: [1, '1', true] },
        { name: 'b', type: 'int', min: 0, max: 3 },
      ],
    });
    expect(keyOf(compiled, { a: 1, b: 2 })).toBe(keyOf(compiled, { b: 2, a: 1 }));
    expect(new Set([1, '1', true].map((a) => keyOf(compiled, { a, b: 2 }))).size).toBe(3);
  });

  test('the default point needs a default for every active parameter and only for those', () => {
    expect(defaultPoint(compileSpace(SPACES.conditional as never))).toEqual({ booster: 'tree', eta: 0.1, depth: 6, seed: 7 });
    expect(defaultPoint(compileSpace(SPACES.numeric as never))).toBeUndefined();
  });

  test('a condition on a parameter that stands later is refused by name', () => {
    const parameters = [
      { name: 'child', type: 'int', min: 1, max: 2, when: { parent: ['x'] } },
      { name: 'parent', type: 'categorical', values: ['x', 'y'] },
    ] as const;
    expect(() => compileSpace({ parameters })).toThrow(/child\.when names "parent"/);
  });

  test('constraints are checked on the point', () => {
    const compiled = compileSpace(SPACES.constrained as never);
    expect(satisfies(compiled, { batch: 32, hidden: 2048, lr: 0.1 })).toBe(true);
    expect(satisfies(compiled, { batch: 64, hidden: 2048, lr: 0.1 })).toBe(false);
  });
});
