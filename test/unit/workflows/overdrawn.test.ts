import { describe, expect, it, vi } from 'vitest';
import { noteLook } from '../../../src/domain/system-events.ts';
import { newSystemState } from '../../../src/domain/system-state.ts';
import { tell } from '../../../workflows/system-calls.ts';

const workflow = vi.hoisted(() => ({ isReplayOfEarlierVersion: true, signals: [] as unknown[][] }));
vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  patched: () => !workflow.isReplayOfEarlierVersion,
  getExternalWorkflowHandle: (id: string) => ({
    signal: async (_: unknown, message: unknown) => void workflow.signals.push([id, message]),
  }),
}));

describe('a campaign on this computer that is behind its node-hours', () => {
  it('when its worker is upgraded hears of it at the first look of the new version, once', async () => {
    const state = newSystemState('local');
    const shape = { slotsPerPilot: 1, maxPilots: 1, prefetch: 0, lookIntervalSeconds: 0, nodesPerPilot: 1 };
    state.description = { kind: 'local', usesPilots: true, ...shape };
    state.launches.c = { campaign: 'c', launch: 'l', localDirectory: '/l', slotsPerTrial: 1, reportSteps: [], weight: 1, nodeHours: 1 };
    const counts = { slots: 1, finished: 0, busySlotSeconds: 0 };
    state.pilots.p = { pilot: 'p', campaign: 'c', state: 'running', allocatedSlotSeconds: 0, ...counts };
    const look = async (hours: number) => {
      const pilots = [{ pilot: 'p', state: 'running' as const, allocatedSlotSeconds: hours * 3600, ...counts }];
      await tell(state, noteLook(state, { cursor: '', ended: [], running: [], notices: [], goneCampaigns: [], pilots }));
      return workflow.signals.filter(([, message]) => (message as { topic: string }).topic === 'budget');
    };
    expect(await look(1.1)).toEqual([]);
    expect(await look(1.2)).toEqual([]);
    workflow.isReplayOfEarlierVersion = false;
    const told = [['c', { topic: 'budget', text: 'the node-hours are spent: 1.3 of 1' }]];
    expect(await look(1.3)).toEqual(told);
    expect(await look(1.4)).toEqual(told);
  });
});
