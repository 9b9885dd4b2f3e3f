import { describe, expect, it } from 'vitest';
import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import { budgetShareOf, endReason, stopVerdictOf, timeVerdictOf } from '../../../src/domain/campaign-policy.ts';
import { newCampaignState, statusOf } from '../../../src/domain/campaign-state.ts';
import { addRow } from '../../../src/domain/table.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { SPEC } from '../report/campaign.ts';
import { completed } from '../view/rows.ts';

describe('the share of a budget that is used', () => {
  const state = (budget: CampaignSpec['budget'], nodeHoursShare?: number) => ({
    ...newCampaignState('c', 60_000),
    budget,
    ...(nodeHoursShare === undefined ? {} : { nodeHoursShare }),
  });
  it.each([
    ['trials alone are none', state({ trials: 10 }), undefined],
    ['wall time', state({ trials: 10, wallSeconds: 240 }), 0.25],
    ['a deadline', state({ deadline: new Date(180_000).toISOString() }), 0.5],
    ['whichever is nearest its end', state({ wallSeconds: 240, deadline: new Date(180_000).toISOString() }), 0.5],
    ['node-hours, by the last mark', state({ nodeHours: 4 }, 0.8), 0.8],
    ['node-hours before the first mark', state({ nodeHours: 4 }), 0],
    ['node-hours that are no budget any more', state({ wallSeconds: 240 }, 0.8), 0.25],
    ['never more than all', state({ wallSeconds: 6 }), 1],
  ])('%s', (_, campaign, share) => {
    expect(budgetShareOf(campaign, 120_000)).toBe(share);
  });
});

describe('hours in the status of a campaign', () => {
  // An hour for three of nine steps.
  const paused = (number: number) => completed(number, 0.5, { state: 'pruned', step: 3, runSeconds: 3600 });
  const withSpec = (change: Partial<CampaignSpec>, provenance = {}) => {
    const state = { ...newCampaignState('c', 0), spec: { ...SPEC, ...change }, provenance };
    addRow(state.table, paused(1));
    addRow(state.table, completed(2, 0.7, { step: 9, runSeconds: 3 * 3600 }));
    return statusOf(state, 1000);
  };
  const pruner = { type: 'asha', minSteps: 1, maxSteps: 9, reductionFactor: 3, options: {} };
  const training = { ...SPEC.training, slots: 4 };

  it('are slot-hours: of a training that holds four slots four an hour', () => {
    expect(withSpec({ training }).trainingHours).toBe(16);
  });

  it('with a pruner tell what it saved: two more hours of four slots, in node-hours where a node has twelve', () => {
    expect(withSpec({ training, pruner }, { slots_per_node: '12' })).toMatchObject({ savedHours: 8, savedNodeHours: 8 / 12 });
    expect(withSpec({ training, pruner }).savedNodeHours).toBeUndefined();
    expect(withSpec({}).savedHours).toBeUndefined();
  });
});

describe('a campaign that ends', () => {
  it('in a harder way than it was to says both, the last word first', () => {
    expect(endReason('cancelled by the user', undefined)).toBe('cancelled by the user');
    expect(endReason('the same', 'the same')).toBe('the same');
    expect(endReason('The deadline has passed.', 'drained by the user')).toBe('The deadline has passed (before that: drained by the user)');
    expect(endReason('cancelled by the user', 'All 8 trials of the budget have ended.')).toBe(
      'cancelled by the user (before that: All 8 trials of the budget have ended)',
    );
  });

  it('has no time left when wall time or deadline say so, whatever its results are', () => {
    const state = (budget: CampaignSpec['budget']) => ({ ...newCampaignState('c', 60_000), budget });
    expect(timeVerdictOf(state({ trials: 1 }), 1e12)).toBeUndefined();
    expect(timeVerdictOf(state({ wallSeconds: 60 }), 119_999)).toBeUndefined();
    expect(timeVerdictOf(state({ wallSeconds: 60 }), 120_000)).toContain('60 seconds');
    expect(timeVerdictOf(state({ deadline: new Date(90_000).toISOString() }), 90_000)).toContain('has passed');
  });
});

describe('the stop rules of a campaign', () => {
  const spec = {
    ...SPEC,
    objectives: [{ metric: 'val_accuracy', direction: 'maximize', reduce: 'best', target: 0.9 }] as const,
    metricConstraints: [{ metric: 'gb', op: '<=', bound: 40 }] as const,
  };

  it('a target is not reached by a trial that breaks a condition on metrics', () => {
    const state = newCampaignState('c', 0);
    addRow(state.table, completed(1, 0.95, { constraintValues: [50] }));
    expect(stopVerdictOf(state, spec, 1)).toBeUndefined();
    addRow(state.table, completed(2, 0.92, { constraintValues: [30] }));
    expect(stopVerdictOf(state, spec, 1)).toMatchObject({ phase: 'stopping', sentence: expect.stringContaining('Trial 2 reached') });
  });

  it('all trials of the budget are no end while promotions wait for the campaign to be resumed', () => {
    const state = { ...newCampaignState('c', 0), budget: { trials: 1 } };
    addRow(state.table, completed(1, 0.5, { state: 'pruned' }));
    expect(stopVerdictOf(state, SPEC, 1)?.sentence).toBe('The one trial of the budget has ended.');
    expect(stopVerdictOf({ ...state, hasHeldPromotions: true }, SPEC, 1)).toBeUndefined();
    const late = { ...state, hasHeldPromotions: true, budget: { wallSeconds: 1 } };
    expect(stopVerdictOf(late, SPEC, 2000)?.phase).toBe('stopping');
  });

  it('the bound that the sampler brought ends the search, and lets running trials finish', () => {
    const state = newCampaignState('c', 0);
    const stop = { minDelta: 0, options: { regret_bound: 0.01 } };
    state.samplerState = { regret: 0.02 };
    expect(stopVerdictOf(state, { ...spec, stop }, 1)).toBeUndefined();
    state.samplerState = { regret: 0.005 };
    expect(stopVerdictOf(state, { ...spec, stop }, 1)).toMatchObject({ phase: 'draining', sentence: expect.stringContaining('0.005') });
    expect(stopVerdictOf(state, { ...spec, stop: { minDelta: 0 } }, 1)).toBeUndefined();
  });

  it('the status counts trials without improvement as stop.patience does: what breaks a condition on metrics is none, a new point on the front is one', () => {
    const since = (objectives: CampaignSpec['objectives'], rows: readonly TrialRow[]) => {
      const state = newCampaignState('c', 0);
      state.spec = { ...spec, objectives };
      for (const row of rows) addRow(state.table, row);
      return statusOf(state, 1).sinceImprovement;
    };
    const light = { constraintValues: [30] };
    const heavy = { constraintValues: [50] };
    expect(
      since(spec.objectives, [completed(1, 0.5, light), completed(2, 0.9, heavy), completed(3, 0.6, light), completed(4, 0.6, light)]),
    ).toBe(1);
    const both = [spec.objectives[0], { metric: 'seconds', direction: 'minimize', reduce: 'result' }] as const;
    const at = (number: number, values: number[]) => completed(number, 0, { ...light, values });
    expect(since(both, [at(1, [0.9, 100]), at(2, [0.5, 50]), at(3, [0.4, 60])])).toBe(1);
    expect(since(both, [at(1, [0.9, 100]), at(2, [0.5, 50]), at(3, [0.6, 60])])).toBe(0);
  });
});
