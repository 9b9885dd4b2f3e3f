import { describe, expect, test } from 'vitest';
import type { PrunerConfig } from '../../../src/domain/campaign.ts';
import type { TrialRow, TrialState } from '../../../src/domain/trial.ts';
import { predictedEnds } from '../../../src/search/gp/predicted-ends.ts';
import { extrapolated } from '../../../src/search/observations.ts';
import { lossAtRung, savedNodeHours, savedSteps } from '../../../src/search/pruning/curves.ts';
import type { PruneQuestion } from '../../../src/search/pruning/question.ts';
import { prunerEntry } from '../../../src/search/pruning/registry.ts';
import { reportSteps } from '../../../src/search/pruning/report-steps.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import { bracketOf, firstPause, pauseAfter, rungsOf } from '../../../src/search/rungs.ts';
import { MAXIMIZE } from './spaces.ts';

const pruner = (options: Record<string, unknown> = {}, type = 'asha'): PrunerConfig => ({
  type,
  minSteps: 1,
  maxSteps: 9,
  reductionFactor: 3,
  options,
});

/** A trial from its accuracies at the rungs 1, 3, 9 (or other steps). */
function curve(number: number, points: Record<number, number>, state: TrialState = 'running'): TrialRow {
  return {
    number,
    params: {},
    origin: 'test',
    state,
    attempts: 1,
    createdAt: 0,
    curve: Object.entries(points).map(([s, v]) => [Number(s), v] as const),
  };
}

const ask = (trials: readonly TrialRow[], config = pruner(), decided: Record<number, number> = {}): PruneQuestion => ({
  pruner: config,
  objective: MAXIMIZE[0],
  space: { parameters: [] },
  trials,
  decided,
  seed: 1,
});

const actions = (question: PruneQuestion) =>
  prunerEntry(question.pruner.type)
    .judge(question)
    .map((v) => [v.number, v.rung, v.action]);

describe('asynchronous successive halving against a table worked by hand (rungs 1, 3, 9; a third goes on)', () => {
  // Arrivals at rung 1 in order: .50 .60 .55 .70 .40 .65. The stopping form keeps max(1, floor(n/3)) of the n seen so far.
  test.each<[number[], string, string]>([
    [[0.5], 'continue', 'first of one'],
    [[0.5, 0.6], 'continue', 'first of two'],
    [[0.5, 0.6, 0.55], 'stop', 'second of three, one is kept'],
    [[0.5, 0.6, 0.55, 0.7], 'continue', 'first of four'],
    [[0.5, 0.6, 0.55, 0.7, 0.4], 'stop', 'last of five'],
    [[0.5, 0.6, 0.55, 0.7, 0.4, 0.65], 'continue', 'second of six, two are kept'],
    [[0.5, 0.6, 0.55, 0.7, 0.4, 0.65, 0.62], 'stop', 'third of seven, two are kept'],
  ])('stopping form after arrivals %j: the last one is told to %s (%s)', (values, action) => {
    const trials = values.map((v, i) => curve(i + 1, { 1: v }, i + 1 === values.length ? 'running' : 'pruned'));
    expect(actions(ask(trials, pruner({ min_results: 1 })))).toEqual([[values.length, 1, action]]);
  });

  test('nobody is stopped on a rung before 10 results are there', () => {
    const trials = Array.from({ length: 9 }, (_, i) => curve(i + 1, { 1: 0.9 - 0.1 * i }));
    expect(actions(ask(trials)).every(([, , action]) => action === 'continue')).toBe(true);
    expect(actions(ask([...trials, curve(10, { 1: 0.05 })])).filter(([, , action]) => action === 'stop').length).toBe(7);
  });

  test('a rung is judged once: a trial that was let through is not stopped there later', () => {
    const trials = [curve(1, { 1: 0.1 }), curve(2, { 1: 0.5 }), curve(3, { 1: 0.6 })];
    expect(actions(ask(trials, pruner({ min_results: 1 }), { 1: 1, 2: 1, 3: 1 }))).toEqual([]);
    expect(actions(ask(trials, pruner({ min_results: 1 }), { 2: 1, 3: 1 }))).toEqual([[1, 1, 'stop']]);
  });

  test('the end of training is no rung to stop at', () => {
    const done = [1, 2, 3].map((n) => curve(n, { 1: 0.9, 3: 0.9, 9: 0.9 }, 'completed'));
    expect(actions(ask([...done, curve(4, { 1: 0.95, 3: 0.95, 9: 0.1 })], pruner({ min_results: 1 })))).toEqual([
      [4, 1, 'continue'],
      [4, 3, 'continue'],
    ]);
  });

  test('promotion form: everybody pauses but the best third, and the paused go on when they belong to it', () => {
    const config = pruner({ form: 'promote' });
    expect(actions(ask([curve(1, { 1: 0.5 })], config))).toEqual([[1, 1, 'stop']]);
    const three = [curve(1, { 1: 0.5 }, 'pruned'), curve(2, { 1: 0.7 }, 'pruned'), curve(3, { 1: 0.6 })];
    expect(actions(ask(three, config))).toEqual([[3, 1, 'stop']]);
    const promotions = prunerEntry('asha').promote?.(ask([...three.slice(0, 2), { ...(three[2] as TrialRow), state: 'pruned' }], config));
    expect(promotions).toEqual([{ number: 2, fromStep: 1, toStep: 3, sentence: 'Place 1 of 3 at step 1: among the best 1, goes on.' }]);
    // Three have been on rung 3; the best of them goes before the newcomer on rung 1.
    const later = [
      curve(1, { 1: 0.5 }, 'pruned'),
      ...[2, 3, 4].map((n) => curve(n, { 1: 0.6 + n / 100, 3: 0.7 + n / 100 }, 'pruned')),
      ...[5, 6, 7, 8, 9, 10, 11, 12].map((n) => curve(n, { 1: n === 12 ? 0.9 : 0.2 }, 'pruned')),
    ];
    expect(
      prunerEntry('asha')
        .promote?.(ask(later, config))
        .map((p) => [p.number, p.fromStep, p.toStep]),
    ).toEqual([
      [4, 3, 9],
      [12, 1, 3],
    ]);
    expect(prunerEntry('asha').promote?.(ask(later))).toEqual([]);
  });

  test('promotion form: when the budget is too small for anybody to get to the end, the one that is ahead goes on there in the end', () => {
    const config = pruner({ form: 'promote' });
    const promoted = (trials: readonly TrialRow[], budgetTrials?: number) =>
      prunerEntry('asha')
        .promote?.({ ...ask(trials, config), ...(budgetTrials === undefined ? {} : { budgetTrials }) })
        .map((p) => [p.number, p.fromStep, p.toStep]);
    // A third of two is nobody, and so is a third of the one on rung 3.
    const two = [curve(1, { 1: 0.5 }, 'pruned'), curve(2, { 1: 0.7 }, 'pruned')];
    expect(promoted(two, 2)).toEqual([[2, 1, 3]]);
    expect(promoted([two[0] as TrialRow, curve(2, { 1: 0.7, 3: 0.4 }, 'pruned')], 2)).toEqual([[2, 3, 9]]);
    // New trials may start, one still runs, one got to its end, nobody can go on, or one was cancelled and gives its place back.
    expect(promoted(two, 3)).toEqual([]);
    expect(promoted(two)).toEqual([]);
    expect(promoted([...two, curve(3, {})], 3)).toEqual([]);
    expect(promoted([...two, curve(3, { 1: 0.9, 3: 0.9, 9: 0.9 }, 'completed')], 3)).toEqual([]);
    expect(promoted([curve(1, { 1: Number.NaN }, 'pruned'), curve(2, {}, 'failed')], 2)).toEqual([]);
    expect(promoted([...two, curve(3, {}, 'cancelled')], 3)).toEqual([]);
  });

  test('a diverged trial is stopped at once and never promoted', () => {
    expect(actions(ask([curve(1, { 1: Number.NaN })]))).toEqual([[1, 1, 'stop']]);
    const paused = [1, 2, 3].map((n) => curve(n, { 1: Number.NaN }, 'pruned'));
    expect(prunerEntry('asha').promote?.(ask(paused, pruner({ form: 'promote' })))).toEqual([]);
  });
});

test('rungs that are passed between two reports are judged by the first report after them', () => {
  const trial = curve(1, { 2: 0.4, 4: 0.6 });
  expect(lossAtRung(MAXIMIZE[0], trial, 1)).toBe(-0.4);
  expect(lossAtRung(MAXIMIZE[0], trial, 3)).toBe(-0.6);
  expect(lossAtRung(MAXIMIZE[0], trial, 9)).toBeUndefined();
  expect(lossAtRung({ ...MAXIMIZE[0], reduce: 'best' }, curve(1, { 1: 0.7, 3: 0.6 }), 3)).toBe(-0.7);
});

test('Hyperband: shares of brackets follow 9 : 5 : 3, a bracket is judged from its own rung on and against its own trials', () => {
  const question = ask([], pruner({ min_results: 1 }, 'hyperband'));
  const counts = [0, 0, 0];
  for (let n = 1; n <= 17_000; n++) (counts[bracketOf(question.pruner, question.seed, n)] as number)++;
  [9, 5, 3].forEach((share, b) => {
    expect((counts[b] as number) / 1000).toBeGreaterThan(share - 0.5);
    expect((counts[b] as number) / 1000).toBeLessThan(share + 0.5);
  });
  const numbers = Array.from({ length: 60 }, (_, i) => i + 1);
  const ofBracket = (b: number) => numbers.filter((n) => bracketOf(question.pruner, question.seed, n) === b);
  const [late] = ofBracket(2) as [number];
  const mates = ofBracket(0).slice(0, 3);
  const trials = [curve(late, { 1: 0.01, 3: 0.01 }), ...mates.map((n, i) => curve(n, { 1: 0.9 - i / 10 }))];
  expect(actions({ ...question, trials })).toEqual([
    [mates[0], 1, 'continue'],
    [mates[1], 1, 'stop'],
    [mates[2], 1, 'stop'],
  ]);
});

test('promotion form: a trial is told to pause at the first rung of its bracket, and after a failure at the next one', () => {
  const config = pruner({ form: 'promote' }, 'hyperband');
  const numbers = Array.from({ length: 40 }, (_, i) => i + 1);
  const inBracket = (b: number) => numbers.find((n) => bracketOf(config, 1, n) === b) as number;
  expect([0, 1, 2].map((b) => firstPause(config, 1, inBracket(b)))).toEqual([1, 3, undefined]);
  const again = (b: number, points: Record<number, number>) => pauseAfter(config, 1, curve(inBracket(b), points, 'failed'));
  expect([again(0, { 1: 0.5 }), again(1, {}), again(1, { 1: 0.5 }), again(1, { 3: 0.5 }), again(2, { 3: 0.5 })]).toEqual([
    3,
    3,
    3,
    9,
    undefined,
  ]);
  expect(firstPause(pruner({}, 'hyperband'), 1, inBracket(0))).toBeUndefined();
  expect(numbers.map((n) => firstPause(pruner({ form: 'promote' }), 1, n))).toEqual(numbers.map(() => 1));
});

test('median and percentile rules compare the best so far with the others at the same step', () => {
  const others = [0.5, 0.6, 0.7, 0.8, 0.9].map((v, i) => curve(i + 1, { 1: v, 3: v }, 'completed'));
  const at = (v: number, config: PrunerConfig) => actions(ask([...others, curve(6, { 1: v })], config))[0]?.[2];
  expect(at(0.69, pruner({}, 'median'))).toBe('stop');
  expect(at(0.7, pruner({}, 'median'))).toBe('continue');
  expect(at(0.79, pruner({ percentile: 25 }, 'percentile'))).toBe('stop');
  expect(at(0.81, pruner({ percentile: 25 }, 'percentile'))).toBe('continue');
  expect(actions(ask([...others.slice(1), curve(6, { 1: 0.1 })], pruner({}, 'median')))).toEqual([[6, 1, 'continue']]);
});

test('patience hears of long trainings to their end, in as many reports as are kept', () => {
  expect(reportSteps({ ...pruner({ patience: 2 }, 'patience'), maxSteps: 5 })).toEqual([1, 2, 3, 4, 5]);
  const steps = reportSteps({ ...pruner({ patience: 2 }, 'patience'), maxSteps: 2000 });
  expect([steps.length, steps[0], steps.at(-1), new Set(steps).size]).toEqual([512, 4, 2000, 512]);
});

test('patience looks at the own curve only and leaves the first steps alone', () => {
  const flat = curve(1, { 1: 0.5, 2: 0.6, 3: 0.6, 4: 0.6, 5: 0.6 });
  const config = { ...pruner({ patience: 2 }, 'patience') };
  expect(actions(ask([flat], config))).toEqual([[1, 4, 'stop']]);
  expect(actions(ask([flat], { ...config, minSteps: 5 }))).toEqual([[1, 5, 'stop']]);
  expect(actions(ask([curve(1, { 1: 0.5, 2: 0.6, 3: 0.6, 4: 0.61, 5: 0.61 })], config))).toEqual([]);
});

test('what early stopping saves is counted in steps and node-hours', () => {
  const trials = [{ ...curve(1, { 1: 0.1, 3: 0.2 }, 'pruned'), runSeconds: 1800 }, curve(2, { 9: 0.9 }, 'completed')];
  expect(savedSteps(trials, 9)).toBe(6);
  expect(savedNodeHours(trials, 9, 0.5)).toBeCloseTo(((1800 / 3) * 6 * 0.5) / 3600, 12);
});

test('rungs go from the least to the most steps by the factor', () => {
  expect(rungsOf(pruner())).toEqual([1, 3, 9]);
  expect(rungsOf({ ...pruner(), minSteps: 2, maxSteps: 52 })).toEqual([2, 6, 18, 52]);
});

test('an unknown pruner or option is refused', () => {
  expect(() => prunerEntry('asja')).toThrow(/Known: asha, freeze_thaw, hyperband, median, patience, percentile/);
  expect(() => prunerEntry('asha').judge(ask([], pruner({ forms: 1 })))).toThrow(/pruner\.forms is not an option/);
});

test('a trial that was stopped early is taken for what others gained later, so that slow starters are not written off', () => {
  const completed = [0.1, 0.2, 0.3].map((v, i) => curve(i + 1, { 1: v, 3: v + 0.2, 9: v + 0.5 }, 'completed'));
  const stopped = [
    curve(4, { 1: 0.15 }, 'pruned'),
    curve(5, { 1: 0.1, 3: 0.25 }, 'pruned'),
    curve(6, { 1: 0.1 }),
    curve(7, { 1: Number.NaN }, 'pruned'),
  ];
  const reached = extrapolated(MAXIMIZE[0], [...completed, ...stopped]);
  expect([...reached.keys()]).toEqual([4, 5]);
  // Gains 1 → 3: .2 .2 .2 .15 (median .2); 3 → 9: .3.
  expect(reached.get(4)).toBeCloseTo(-0.65, 12);
  expect(reached.get(5)).toBeCloseTo(-0.55, 12);
  expect(extrapolated(MAXIMIZE[0], completed).size).toBe(0);
});

describe('ranking by a model over configuration and step', () => {
  /** Large x starts slowly and ends well; small x the other way round. */
  const lossAt = (x: number, step: number) => (x - 0.8) ** 2 + 2 * x * Math.exp(-step / 2);
  const space = { parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] } as const;
  const trial = (number: number, x: number, steps: readonly number[], state: TrialState): TrialRow => ({
    ...curve(number, Object.fromEntries(steps.map((s) => [s, -lossAt(x, s)])), state),
    params: { x },
    ...(state === 'completed' ? { values: [-lossAt(x, 9)] } : {}),
  });
  const completed = [0.05, 0.15, 0.3, 0.45, 0.6, 0.72, 0.88, 0.97].map((x, i) => trial(i + 1, x, [1, 3, 9], 'completed'));

  test('sees a slow starter end well', () => {
    const trials = [...completed, trial(9, 0.8, [1], 'running'), trial(10, 0.2, [1], 'running')];
    expect(lossAt(0.8, 1)).toBeGreaterThan(lossAt(0.2, 1));
    const ends = predictedEnds(space, MAXIMIZE[0], trials);
    expect(ends?.get(9)).toBeLessThan(ends?.get(10) as number);
  });

  test('lets the slow starter go on where its loss alone would stop it', () => {
    const trials = [...completed, trial(9, 0.8, [1], 'running')];
    const asked = (options: Record<string, unknown>) => ({ ...ask(trials, pruner({ min_results: 5, ...options })), space });
    expect(actions(asked({ rank: 'loss' }))).toEqual([[9, 1, 'stop']]);
    expect(actions(asked({ rank: 'model' }))).toEqual([[9, 1, 'continue']]);
  });

  test('says nothing while there is little to learn from', () => {
    expect(predictedEnds(space, MAXIMIZE[0], completed.slice(0, 2))).toBeUndefined();
  });

  test('the GP sampler reads the reports of stopped trials at their step, not as ends', () => {
    const stopped = [0.75, 0.82, 0.9].map((x, i) => ({ ...trial(9 + i, x, [1], 'pruned'), values: [-lossAt(x, 1)] }));
    const objectives = [MAXIMIZE[0]];
    const trials = [...completed, ...stopped].map((t, i) => ({ ...t, number: i + 1, finishedAt: i }));
    const base = { space, objectives, trials, count: 1, seed: 1, options: {}, initialPoints: 5 };
    const { suggestions } = samplerEntry('gp').sampler(base);
    expect(Math.abs((suggestions[0]?.params.x as number) - 0.8)).toBeLessThan(0.12);
  });
});
