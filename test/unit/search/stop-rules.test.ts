import { describe, expect, test } from 'vitest';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { type StopQuestion, shouldStop, trialsLeft, trialsWithoutImprovement } from '../../../src/search/stop-rules.ts';
import { processorMilliseconds } from '../../support/processor-time.ts';
import { MAXIMIZE, MINIMIZE, row } from './spaces.ts';

const ask = (trials: readonly TrialRow[], more: Partial<StopQuestion> = {}) =>
  shouldStop({ objectives: MAXIMIZE, budget: {}, stop: { minDelta: 0 }, trials, now: 10_000, startedAt: 0, ...more });

/** A table from values; null is a failed trial. */
const table = (values: readonly (number | null)[]) =>
  values.map((v, i) => (v === null ? row(i + 1, { x: i }, undefined, 'failed') : row(i + 1, { x: i }, v)));

/** The trial after which the campaign stops, when it is asked after each. */
function stopsAt(values: readonly (number | null)[], more: Partial<StopQuestion>): number | undefined {
  for (let n = 1; n <= values.length; n++) if (ask(table(values.slice(0, n)), more)) return n;
  return undefined;
}

describe('stop rules', () => {
  test.each([
    ['trials', { budget: { trials: 3 } }, 'All 3 trials of the budget have ended.'],
    ['node_hours', { budget: { nodeHours: 2 }, nodeHoursUsed: 2.5 }, '2.50 of 2 node-hours are used.'],
    ['wall_time', { budget: { wallSeconds: 10 } }, 'The campaign has run for its 10 seconds of wall time.'],
    ['deadline', { budget: { deadline: '1970-01-01T00:00:09Z' } }, 'The deadline 1970-01-01T00:00:09Z has passed.'],
    ['target', { objectives: [{ ...MAXIMIZE[0], target: 0.9 }] }, 'Trial 2 reached accuracy 0.95 (target 0.9).'],
    ['patience', { stop: { patience: 1, minDelta: 0 } }, 'The last 1 finished trials brought no improvement.'],
  ] as const)('%s stops the campaign and says why', (rule, more, sentence) => {
    expect(ask(table([0.5, 0.95, 0.7]), more)).toEqual({ rule, sentence });
  });

  test('nothing stops a campaign that has budget left and no rule', () => {
    expect(ask(table([0.5, 0.5, 0.5]))).toBeUndefined();
    expect(
      ask(table([0.5]), { budget: { trials: 2, nodeHours: 3, wallSeconds: 11, deadline: '1970-01-01T00:00:11Z' }, nodeHoursUsed: 1 }),
    ).toBeUndefined();
  });

  test('patience counts trials since the last improvement of min_delta and failures are no information', () => {
    const stop = { patience: 3, minDelta: 0.01 };
    expect(stopsAt([0.5, 0.6, 0.605, 0.604, 0.6], { stop })).toBe(5);
    expect(stopsAt([0.5, 0.6, null, null, null, 0.605, null, 0.604, null, 0.6], { stop })).toBe(10);
    expect(stopsAt([null, null, null, null, null], { stop })).toBeUndefined();
    // Small steps add up: 0.604 → 0.608 → 0.612 passes 0.6 + 0.01 at the third.
    expect(stopsAt([0.6, 0.604, 0.608, 0.612, 0.612], { stop })).toBeUndefined();
  });

  test('the order in which trials end decides, not their numbers', () => {
    const rows = table([0.5, 0.9, 0.6]).map((r, i) => ({ ...r, finishedAt: [3, 1, 2][i] as number }));
    expect(ask(rows, { stop: { patience: 2, minDelta: 0 } })?.rule).toBe('patience');
    expect(ask(table([0.5, 0.9, 0.6]), { stop: { patience: 2, minDelta: 0 } })).toBeUndefined();
  });

  test('row O8: the windowed rule stops at the trial that the script says', () => {
    const rising = Array.from({ length: 20 }, (_, i) => 0.1 + 0.01 * i);
    const flat = Array.from({ length: 30 }, () => 0.2);
    const stop = { patience: 5, minDelta: 0.001, options: { rule: 'windowed' } };
    // Trial 20: best of 11…20 (0.29) against 1…10 (0.19): gain. At trial 29 the last window is flat with 0.29 in the one before (10…19 has 0.28, 20 has
    // 0.29): windows 20…29 against 10…19 gain 0.01; from trial 30 (21…30: 0.2 against 11…20: 0.29) there is none: counter 1 at 30, 5 at 34.
    expect(stopsAt([...rising, ...flat], { stop })).toBe(34);
    expect(stopsAt([...rising, null, null, null, ...flat], { stop })).toBe(37);
    expect(stopsAt(rising, { stop })).toBeUndefined();
    expect(stopsAt(flat.slice(0, 24), { stop })).toBe(24);
  });

  test('row O8: a window that is as good as the one before is no gain where the file gives no min_delta', () => {
    const flat = Array.from({ length: 30 }, () => 0.2);
    const stop = { patience: 5, minDelta: 0, options: { rule: 'windowed' } };
    expect(stopsAt(flat, { stop: { ...stop, equalIsNoGain: true } })).toBe(24);
    expect(
      stopsAt(
        flat.map((v, i) => v + i / 1000),
        { stop: { ...stop, equalIsNoGain: true } },
      ),
    ).toBeUndefined();
    // Campaigns that were admitted earlier go on as they began.
    expect(stopsAt(flat, { stop })).toBeUndefined();
  });

  test('row O9: three equal results are a plateau, three failures are not', () => {
    const stop = { patience: 1, minDelta: 0.01, options: { rule: 'plateau' } };
    expect(stopsAt([0.1, 0.5, 0.505, 0.502], { stop })).toBe(4);
    expect(stopsAt([0.1, null, null, null, 0.5], { stop })).toBeUndefined();
  });

  test('a target counts only when a completed trial keeps the metric constraints', () => {
    const objectives = [{ ...MINIMIZE[0], target: 1 }];
    const metricConstraints = [{ metric: 'memory_gb', op: '<=', bound: 40 }] as const;
    const heavy = { ...row(1, {}, 0.5), constraintValues: [64] };
    expect(ask([heavy], { objectives, metricConstraints })).toBeUndefined();
    expect(ask([{ ...heavy, constraintValues: [40] }], { objectives, metricConstraints })?.rule).toBe('target');
    expect(ask([{ ...heavy, constraintValues: [40], state: 'pruned' }], { objectives, metricConstraints })).toBeUndefined();
    expect(ask([row(1, {}, 0.5)], { objectives, metricConstraints })).toBeUndefined();
  });

  test('with several objectives a new point on the front is an improvement', () => {
    expect(
      trialsWithoutImprovement(
        [
          [1, 5],
          [2, 2],
          [3, 3],
          [5, 1],
          [5, 1],
        ],
        0,
      ),
    ).toBe(1);
  });

  test('with several objectives 5,000 trials are counted in no time, as by comparing all with all', () => {
    const losses = Array.from({ length: 5000 }, (_, i) => [Math.floor(((i * 7919) % 5003) / 50), Math.floor(((i * 104_729) % 4999) / 50)]);
    let found = -1;
    const spent = processorMilliseconds(() => {
      found = trialsWithoutImprovement(losses, 0);
    });
    expect(spent).toBeLessThan(1000);
    const last = losses.findLastIndex(
      (mine, i) =>
        !losses.slice(0, i).some((other) => (other[0] as number) <= (mine[0] as number) && (other[1] as number) <= (mine[1] as number)),
    );
    expect(found).toBe(losses.length - 1 - last);
  });

  test('running trials hold their place in the budget and cancelled ones give it back', () => {
    const rows = [row(1, {}, 1), row(2, {}), row(3, {}, undefined, 'cancelled'), row(4, {}, undefined, 'failed')];
    expect(trialsLeft({ trials: 10 }, rows)).toBe(7);
    expect(ask(rows, { budget: { trials: 3 } })).toBeUndefined();
    expect(trialsLeft({}, rows)).toBe(Number.POSITIVE_INFINITY);
  });

  test('a misspelt option of the stop block is refused', () => {
    expect(() => ask(table([1]), { stop: { patience: 1, minDelta: 0, options: { windows: 3 } } })).toThrow(
      /stop\.windows is not an option/,
    );
  });
});
