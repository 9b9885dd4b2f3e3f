import { describe, expect, it } from 'vitest';
import { arms, pointsToAskByBandit } from '../../../src/llm/bandit.ts';
import { OBJECTIVES, point, trial } from './campaign.ts';

const P = point(0.01, 2, 32, 'vgg16');
const run = (values: readonly (readonly [origin: string, value: number | undefined])[]) =>
  values.map(([origin, value], i) => trial(i + 1, P, value, { origin }));

describe('the bandit over model and sampler', () => {
  it('rewards a trial by the share of earlier results that it beats', () => {
    const earned = arms(
      OBJECTIVES,
      run([
        ['gp', 0.5],
        ['llm', 0.6],
        ['gp', 0.55],
        ['llm', 0.4],
      ]),
    );
    expect(earned.llm).toEqual({ pulls: 2, reward: 1 });
    expect(earned.sampler).toEqual({ pulls: 2, reward: 1 });
  });

  it('counts neither the user’s points nor the default as anybody’s merit, but compares with them', () => {
    const earned = arms(
      OBJECTIVES,
      run([
        ['default', 0.5],
        ['user', 0.9],
        ['llm', 0.7],
      ]),
    );
    expect(earned.sampler.pulls).toBe(0);
    expect(earned.llm).toEqual({ pulls: 1, reward: 0.5 });
  });

  it('gives nothing for a failed trial and leaves a cancelled one out', () => {
    const trials = [
      ...run([
        ['gp', 0.5],
        ['llm', undefined],
      ]),
      trial(3, P, undefined, { origin: 'llm', state: 'cancelled' }),
    ];
    expect(arms(OBJECTIVES, trials).llm).toEqual({ pulls: 1, reward: 0 });
  });

  it('knows which direction is better', () => {
    const minimize = [{ ...(OBJECTIVES[0] as (typeof OBJECTIVES)[0]), direction: 'minimize' as const }];
    expect(
      arms(
        minimize,
        run([
          ['gp', 0.5],
          ['llm', 0.4],
        ]),
      ).llm.reward,
    ).toBe(1);
  });

  it('asks both at first, and shares a first batch evenly', () => {
    expect(pointsToAskByBandit(OBJECTIVES, [], 1)).toBe(0);
    expect(pointsToAskByBandit(OBJECTIVES, [], 8)).toBe(4);
  });

  it('gives a useless model ever less, and a good one most', () => {
    const useless = run(Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? ['gp', 0.5 + 0.001 * i] : ['llm', 0.1])));
    const good = run(Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? ['gp', 0.1] : ['llm', 0.5 + 0.001 * i])));
    expect(pointsToAskByBandit(OBJECTIVES, useless, 20)).toBeLessThan(5);
    expect(pointsToAskByBandit(OBJECTIVES, good, 20)).toBeGreaterThan(15);
  });

  it('counts pending points, so that asking twice before results come is not asking the same twice', () => {
    const finished = run([
      ['gp', 0.5],
      ['llm', 0.4],
    ]);
    const pending = Array.from({ length: 10 }, (_, i) => trial(3 + i, P, undefined, { origin: 'gp', state: 'running' }));
    expect(pointsToAskByBandit(OBJECTIVES, [...finished, ...pending], 1)).toBe(1);
  });
});
