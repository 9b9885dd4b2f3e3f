import { describe, expect, it } from 'vitest';
import { type LookNews, noteLook } from '../../../src/domain/system-events.ts';
import { newSystemState, type SystemState } from '../../../src/domain/system-state.ts';

const NODES = 2;
const SLOTS = 24;

/** A campaign with a budget of ten node-hours, whose pilots have two nodes. */
function stateWith(nodeHours: number): SystemState {
  const state = newSystemState('aurora');
  const capacity = { slotsPerPilot: SLOTS, nodesPerPilot: NODES, nodeHoursPerPilot: 2 };
  const launch = { campaign: 'c', launch: 'c_1', localDirectory: '/r', slotsPerTrial: 1, reportSteps: [], weight: 1, nodeHours, capacity };
  state.description = {
    kind: 'pbs',
    usesPilots: true,
    slotsPerPilot: SLOTS,
    maxPilots: 2,
    prefetch: 1,
    lookIntervalSeconds: 60,
    nodesPerPilot: NODES,
    walltimeSeconds: 3600,
  };
  return { ...state, launches: { c: launch } };
}

/** A look at pilot `number` that has been there for so many hours, whether or not a trial ran. */
function look(state: SystemState, number: number, hours: number, isEnded = false) {
  const pilot = `c.p${number}`;
  const zero = { finished: 0, allocatedSlotSeconds: 0, busySlotSeconds: 0 };
  state.pilots[pilot] ??= { pilot, campaign: 'c', state: 'running', slots: SLOTS, ...zero };
  const news: LookNews = {
    cursor: '',
    ended: [],
    running: [],
    notices: [],
    goneCampaigns: [],
    pilots: [
      {
        pilot,
        slots: SLOTS,
        ...zero,
        allocatedSlotSeconds: hours * 3600 * SLOTS,
        ...(isEnded ? { state: 'ended', end: { kind: 'normal', message: '' } } : { state: 'running' }),
      },
    ],
  };
  return noteLook(state, news);
}

describe('the node-hours of a campaign', () => {
  it('are told at a half, at four fifths and at the end, once each, counted from pilots and not from trials', () => {
    const state = stateWith(10);
    expect(look(state, 1, 2).nearlySpent).toBeUndefined();
    expect(look(state, 1, 2.5).nearlySpent).toEqual([
      { campaign: 'c', text: 'more than 50 % of its node-hours are used: 5.0 of 10', share: 0.5 },
    ]);
    expect(look(state, 1, 3, true).nearlySpent).toBeUndefined();
    expect(look(state, 2, 1).nearlySpent?.[0]?.text).toContain('80 % of its node-hours are used: 8.0 of 10');
    expect(look(state, 2, 1.1).nearlySpent).toBeUndefined();
    expect(look(state, 2, 1.5, true).spent?.[0]?.text).toContain('the node-hours are spent: 9.0 of 10');
  });

  it('are told again when a budget that was raised is half used', () => {
    const state = stateWith(4);
    expect(look(state, 1, 1).nearlySpent).toHaveLength(1);
    const { c } = state.launches;
    if (c) state.launches = { c: { ...c, nodeHours: 8 } };
    expect(look(state, 1, 1.1).nearlySpent).toBeUndefined();
    expect(look(state, 1, 2).nearlySpent?.[0]?.text).toContain('4.0 of 8');
  });

  it('end a campaign while its pilot lives, once, on a system whose pilots have no walltime', () => {
    const state = stateWith(1);
    const { walltimeSeconds: _, ...endless } = state.description as NonNullable<SystemState['description']>;
    state.description = { ...endless, kind: 'local' };
    expect(look(state, 1, 0.4).overdrawn).toBeUndefined();
    expect(look(state, 1, 0.6).overdrawn).toEqual([{ campaign: 'c', text: 'the node-hours are spent: 1.2 of 1' }]);
    expect(look(state, 1, 0.7).overdrawn).toBeUndefined();
    const { c } = state.launches;
    if (c) state.launches = { c: { ...c, nodeHours: 2 } };
    expect(look(state, 1, 0.9).overdrawn).toBeUndefined();
    expect(look(state, 1, 1).overdrawn?.[0]?.text).toContain('2.0 of 2');
  });

  it('are left to the end of the last pilot where pilots have a walltime', () => {
    const state = stateWith(1);
    expect(look(state, 1, 0.6).overdrawn).toBeUndefined();
  });

  it('without a budget are no message', () => {
    const state = stateWith(10);
    const { c } = state.launches;
    if (c) {
      const { nodeHours: _, ...free } = c;
      state.launches = { c: free };
    }
    expect(look(state, 1, 900)).toEqual({ started: [], rungs: [] });
  });
});
