import { describe, expect, it } from 'vitest';
import { rampedConcurrency } from '../../../src/domain/ramp.ts';

const ok = (count: number) => Array.from({ length: count }, () => true);
const bad = (count: number) => Array.from({ length: count }, () => false);
const ramp = { initial: 8, isAdaptive: true };

describe('a ramp of concurrency', () => {
  it.each([
    ['begins with the initial size', [], 24, 8],
    ['waits for a whole batch', ok(7), 24, 8],
    ['grows by two after a batch with more than 80 % success', ok(8), 24, 10],
    ['stays after a batch with 75 %', [...ok(6), ...bad(2)], 24, 8],
    ['shrinks by two after a batch with 50 %', [...ok(4), ...bad(4)], 24, 6],
    ['reads the second batch at its own size', [...ok(8), ...ok(10)], 24, 12],
    ['never goes above the most', ok(100), 11, 11],
    ['never goes below one', bad(100), 24, 1],
    ['recovers from one', [...bad(100), ...ok(4)], 24, 5],
    ['begins no higher than the most', [], 4, 4],
  ])('%s', (_, successes, most, expected) => {
    expect(rampedConcurrency(ramp, successes, most)).toBe(expected);
  });

  it('that is not adaptive stays at the initial size', () => {
    expect(rampedConcurrency({ initial: 8, isAdaptive: false }, ok(100), 24)).toBe(8);
  });
});
