import { describe, expect, test } from 'vitest';
import type { PrunerConfig } from '../../../src/domain/campaign.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { partialResults } from '../../../src/search/partial.ts';
import { thaw } from '../../../src/search/pruning/freeze-thaw.ts';
import type { PruneQuestion } from '../../../src/search/pruning/question.ts';
import { reportSteps } from '../../../src/search/pruning/report-steps.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import { firstPause, rungsOf } from '../../../src/search/rungs.ts';
import type { SamplerState } from '../../../src/search/sampler.ts';
import { compileSpace } from '../../../src/search/space.ts';
import { MAXIMIZE } from './spaces.ts';

const pruner: PrunerConfig = { type: 'freeze_thaw', minSteps: 2, maxSteps: 26, reductionFactor: 2, options: {} };
const space = { parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] } as const;

/** Large x starts slowly and ends well (best 0.8); small x the other way round. */
const accuracyAt = (x: number, step: number) => -((x - 0.8) ** 2) - 0.5 * (0.05 + 2 * x) * Math.exp(-step / 6);

function trial(number: number, x: number, steps: number, change: Partial<TrialRow> = {}): TrialRow {
  const curve = reportSteps(pruner)
    .filter((s) => s <= steps)
    .map((s) => [s, accuracyAt(x, s)] as const);
  return {
    number,
    params: { x },
    origin: 'test',
    state: steps >= pruner.maxSteps ? 'completed' : 'pruned',
    attempts: 1,
    createdAt: 0,
    finishedAt: number,
    step: steps,
    values: [accuracyAt(x, steps)],
    curve,
    ...change,
  };
}

const ask = (trials: readonly TrialRow[], more: Partial<PruneQuestion> = {}): PruneQuestion => ({
  pruner,
  objective: MAXIMIZE[0],
  space,
  trials,
  decided: {},
  seed: 1,
  initialPoints: 4,
  ...more,
});

test('rungs double from the first pause; steps between them are reported too, from half the first rung on', () => {
  expect(rungsOf(pruner)).toEqual([2, 4, 8, 16, 26]);
  expect(firstPause(pruner, 0, 1)).toBe(2);
  expect(reportSteps(pruner)).toEqual([1, 2, 3, 4, 6, 8, 11, 16, 23, 26]);
});

test('early reports lose what others gained later, so that they can be compared with ends', () => {
  const compiled = compileSpace(space);
  const at = (steps: readonly number[], end: number) => steps.map((s) => [s, end - 0.1 * (26 - s)] as const);
  const rows = [0.1, 0.2, 0.3].map((x, i) => trial(i + 1, x, 26, { curve: at([2, 8, 26], x) }));
  const partial = partialResults([MAXIMIZE[0]], [...rows, trial(4, 0.5, 2, { curve: at([2], 0.9) })], compiled, 26);
  expect(partial?.losses).toHaveLength(10);
  // Every row of a trial tells the same: its end.
  [-0.1, -0.1, -0.1, -0.2, -0.2, -0.2, -0.3, -0.3, -0.3, -0.9].forEach((end, i) => {
    expect(partial?.losses[i]).toBeCloseTo(end, 12);
  });
  expect(partial?.codes[9]?.[1]).toBeCloseTo(Math.log(3) / Math.log(27), 12);
});

test('of many reports the last ones of each trial are kept, 400 rows at most', () => {
  const many = Array.from({ length: 150 }, (_, i) => trial(i + 1, i / 150, 16));
  const partial = partialResults([MAXIMIZE[0]], many, compileSpace(space), 26);
  expect(partial?.codes).toHaveLength(300);
});

test('reports at step 0 and before it (a check before training begins) have a place in the model', () => {
  const early = [-1, 0].flatMap((last) => [
    trial(1, 0.2, 2, {
      curve: [
        [-3, 0.1],
        [last, 0.2],
      ] as const,
    }),
    trial(2, 0.6, 2, { curve: [[last, 0.3]] as const }),
  ]);
  const codes = partialResults([MAXIMIZE[0]], early, compileSpace(space))?.codes ?? [];
  expect(codes.map((row) => row[1])).toEqual(codes.map(() => 0));
  expect(codes.length).toBe(6);
});

describe('what goes on', () => {
  const ended = [0.1, 0.35, 0.6, 0.95].map((x, i) => trial(i + 1, x, 26));

  test('nothing before the design is there', () => {
    const paused = [0.2, 0.5, 0.8].map((x, i) => trial(i + 1, x, 2));
    expect(thaw(ask(paused))).toEqual([]);
  });

  test('the slow starter that will end best comes first, from its last step to the next rung', () => {
    const paused = [trial(5, 0.2, 4), trial(6, 0.79, 4), trial(7, 0.45, 4)];
    expect(accuracyAt(0.79, 4)).toBeLessThan(accuracyAt(0.45, 4));
    const [first] = thaw(ask([...ended, ...paused], { budgetTrials: 7 }));
    expect(first).toMatchObject({ number: 6, fromStep: 4, toStep: 8 });
    expect(first?.sentence).toMatch(/^Paused at step 4: its predicted end is number 1 of 7, goes on to 8\.$/);
  });

  test('a hopeless trial gives its place to a new point', () => {
    const paused = [trial(5, 0.05, 8), trial(6, 0.15, 8)];
    expect(thaw(ask([...ended, trial(7, 0.8, 26), trial(8, 0.78, 26), ...paused]))).toEqual([]);
  });

  test('in the last fifth of a budget what was begun comes first, as long as it promises a gain', () => {
    // A new point between 0.6 and 0.95 promises more than the one that was begun there.
    const promising = [...ended, trial(5, 0.7, 4)];
    expect(thaw(ask(promising, { budgetShare: 0.79 }))).toEqual([]);
    expect(thaw(ask(promising, { budgetShare: 0.8 }))).toMatchObject([{ number: 5, toStep: 8 }]);
    const hopeless = [...ended, trial(7, 0.8, 26), trial(8, 0.78, 26), trial(5, 0.05, 8), trial(6, 0.15, 8)];
    expect(thaw(ask(hopeless, { budgetShare: 0.9 }))).toEqual([]);
  });

  test('a trial that diverged is not taken up again', () => {
    const diverged = trial(5, 0.8, 4, { curve: [[4, Number.NaN]] });
    expect(thaw(ask([...ended, diverged, trial(6, 0.2, 4)], { budgetTrials: 6 })).map((p) => p.number)).not.toContain(5);
  });

  test('the same question has the same answer, whatever the order of the rows', () => {
    const trials = [...ended, trial(5, 0.7, 4), trial(6, 0.79, 4), trial(7, 0.45, 4), trial(8, 0.9, 2, { state: 'running' })];
    expect(thaw(ask([...trials]))).toEqual(thaw(ask([...trials])));
    expect(thaw(ask([...trials].reverse())).map((p) => p.number)).toEqual(thaw(ask(trials)).map((p) => p.number));
  });
});

test.each([1, 2, 3])(
  'a campaign of 30 trials comes to an end, near the best point, on less than four fifths of the steps (seed %i)',
  (seed) => {
    const trials: TrialRow[] = [];
    const { sampler } = samplerEntry('auto');
    let state: SamplerState | undefined;
    let steps = 0;
    for (let turn = 0; turn < 500; turn++) {
      const [promotion] = thaw(ask(trials, { seed, budgetTrials: 30, ...(state ? { samplerState: state } : {}) }));
      if (promotion) {
        const old = trials[promotion.number - 1] as TrialRow;
        expect(promotion.fromStep).toBe(old.step);
        steps += promotion.toStep - promotion.fromStep;
        trials[promotion.number - 1] = trial(old.number, old.params.x as number, promotion.toStep, { attempts: old.attempts + 1 });
        continue;
      }
      if (trials.length === 30) break;
      const base = { space, objectives: [MAXIMIZE[0]], trials, count: 1, seed, options: {}, maxSteps: 26 };
      const result = sampler({ ...base, ...(state ? { state } : {}) });
      state = result.state;
      trials.push(trial(trials.length + 1, result.suggestions[0]?.params.x as number, 2));
      steps += 2;
    }
    expect(trials).toHaveLength(30);
    const completed = trials.filter((t) => t.state === 'completed');
    const best = completed.reduce((a, b) => ((a.values?.[0] as number) > (b.values?.[0] as number) ? a : b));
    expect(Math.abs((best.params.x as number) - 0.8)).toBeLessThan(0.05);
    expect(steps).toBeLessThan((30 * 26 * 4) / 5);
  },
);
