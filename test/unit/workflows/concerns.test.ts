import { describe, expect, it, vi } from 'vitest';
import { type LookNews, noteLook } from '../../../src/domain/system-events.ts';
import { newSystemState } from '../../../src/domain/system-state.ts';
import { tell } from '../../../workflows/system-calls.ts';

const workflow = vi.hoisted(() => ({ signals: [] as unknown[][] }));
vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  getExternalWorkflowHandle: (id: string) => ({
    signal: async (_: unknown, message: unknown) => void workflow.signals.push([id, message]),
  }),
}));

describe('what a machine refuses one campaign', () => {
  it('is told to this campaign alone, once, and again when it is another thing or over', async () => {
    const state = newSystemState('globus-compute');
    for (const campaign of ['a', 'b'])
      state.launches[campaign] = { campaign, launch: campaign, localDirectory: '/l', slotsPerTrial: 1, reportSteps: [], weight: 1 };
    const look = async (concerns?: LookNews['concerns']) => {
      workflow.signals.length = 0;
      const news = { cursor: '', ended: [], running: [], pilots: [], notices: [], goneCampaigns: [], ...(concerns ? { concerns } : {}) };
      await tell(state, noteLook(state, news));
      return [...workflow.signals];
    };
    const notice = (text?: string) => [['a', { topic: 'refusal', ...(text === undefined ? {} : { text }) }]];
    expect(await look([])).toEqual([]);
    expect(await look([{ campaign: 'a', text: 'no such endpoint' }])).toEqual(notice('no such endpoint'));
    expect(await look([{ campaign: 'a', text: 'no such endpoint' }])).toEqual([]);
    // A look that says nothing of it (of an earlier version, in a history) changes nothing.
    expect(await look()).toEqual([]);
    expect(await look([{ campaign: 'a', text: 'not permitted' }])).toEqual(notice('not permitted'));
    expect(await look([])).toEqual(notice());
    expect(await look([])).toEqual([]);
  });
});
