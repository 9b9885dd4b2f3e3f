import { describe, expect, it } from 'vitest';
import { stopVerdictOf } from '../../../src/domain/campaign-policy.ts';
import { newCampaignState } from '../../../src/domain/campaign-state.ts';
import { addRow } from '../../../src/domain/table.ts';
import { SPEC } from '../report/campaign.ts';
import { completed } from '../view/rows.ts';

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

  it('the bound that the sampler brought ends the search, and lets running trials finish', () => {
    const state = newCampaignState('c', 0);
    const stop = { minDelta: 0, options: { regret_bound: 0.01 } };
    state.samplerState = { regret: 0.02 };
    expect(stopVerdictOf(state, { ...spec, stop }, 1)).toBeUndefined();
    state.samplerState = { regret: 0.005 };
    expect(stopVerdictOf(state, { ...spec, stop }, 1)).toMatchObject({ phase: 'draining', sentence: expect.stringContaining('0.005') });
    expect(stopVerdictOf(state, { ...spec, stop: { minDelta: 0 } }, 1)).toBeUndefined();
  });
});
