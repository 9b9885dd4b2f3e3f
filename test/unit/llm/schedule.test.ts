import { describe, expect, it } from 'vitest';
import { explorationFactor, phaseOf, pointsToAsk } from '../../../src/llm/schedule.ts';

/** The prototype's configuration (row C7): 20 samples, 0.7, 0.05, 0.2. */
const SCHEDULE = { initialSamples: 20, base: 0.7, ramp: 0.05, least: 0.2 };

/** `count` results that gain 0.01 each. */
const rising = (count: number) => Array.from({ length: count }, (_, i) => 0.01 * i);
/** `count` results that stand still after the first. */
const flat = (count: number) => Array.from({ length: count }, () => 0.5);

describe('the exploration factor (row L5)', () => {
  it.each([
    ['before any result', 0, [], 0.7],
    ['within the first ten', 9, rising(9), 0.7],
    ['after ten: one step of the ramp, and always 0.2 more while there are 10 to 19 results', 10, rising(10), 0.8],
    ['with 19 results', 19, rising(19), 0.8],
    ['with 20 results that rise', 20, rising(20), 0.6],
    ['with 20 results that stand still', 20, flat(20), 0.8],
    ['with 35 rising results', 35, rising(35), 0.55],
    ['with 40 rising results', 40, rising(40), 0.5],
    ['with 60 results that stand still', 60, flat(60), 0.6],
    ['with 95 rising results', 95, rising(95), 0.25],
    ['at its least', 100, rising(100), 0.2],
    ['far beyond', 1000, rising(1000), 0.2],
    ['at its least while standing still', 1000, flat(1000), 0.4],
  ])('%s: %d trials', (_, iteration, results, factor) => {
    expect(explorationFactor(SCHEDULE, iteration, results)).toBe(factor);
  });

  it('counts a gain of 0.001 as a gain, less as standing still', () => {
    const gain = (by: number) => [...flat(19), 0.5 + by];
    expect(explorationFactor(SCHEDULE, 20, gain(0.0011))).toBe(0.6);
    expect(explorationFactor(SCHEDULE, 20, gain(0.0009))).toBe(0.8);
  });

  it('counts finished trials, failed ones too, while only results tell standing still', () => {
    expect(explorationFactor(SCHEDULE, 30, rising(5))).toBe(0.55);
  });

  it('is never raised above 0.8, even from a higher base', () => {
    expect(explorationFactor({ ...SCHEDULE, base: 1 }, 0, [])).toBe(1);
    expect(explorationFactor({ ...SCHEDULE, base: 1 }, 10, flat(10))).toBe(0.8);
  });
});

describe('the phases (row L4)', () => {
  it.each([
    [0, 0.7, 'initial'],
    [19, 0.7, 'initial'],
    [20, 0.7, 'explore'],
    [20, 0.51, 'explore'],
    [20, 0.5, 'exploit'],
    [99, 0.2, 'exploit'],
  ])('trial %d with factor %d: %s', (taken, factor, phase) => {
    expect(phaseOf(SCHEDULE, taken, factor)).toBe(phase);
  });

  it('split a batch that crosses the end of the initial samples', () => {
    expect(pointsToAsk(SCHEDULE, 17, 8, 0.7)).toBe(5);
    expect(pointsToAsk(SCHEDULE, 17, 8, 0.4)).toBe(0);
    expect(pointsToAsk(SCHEDULE, 0, 8, 0.7)).toBe(0);
  });

  it('of 100 rising trials, one at a time, give the model exactly those between 20 and 39', () => {
    const asked = Array.from({ length: 100 }, (_, taken) =>
      pointsToAsk(SCHEDULE, taken, 1, explorationFactor(SCHEDULE, taken, rising(taken))),
    );
    expect(asked.reduce((sum, each) => sum + each, 0)).toBe(20);
    expect(asked.slice(20, 40).every((each) => each === 1)).toBe(true);
  });
});
