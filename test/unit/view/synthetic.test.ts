import { describe, expect, it } from 'vitest';
import { eventLine, screen } from '../../../src/cli/screen.ts';
import { endText } from '../../../src/cli/watch.ts';
import { bestOf, outcomeChange } from '../../../src/domain/campaign-state.ts';
import { campaignDetails } from '../../../src/view/campaign.ts';
import { syntheticNote } from '../../../src/view/synthetic.ts';
import { trialDetails } from '../../../src/view/trial.ts';
import type { CampaignStatus } from '../../../workflows/messages.ts';
import { SPEC } from '../report/campaign.ts';
import { completed, failed, statusOf } from './rows.ts';

const SYNTHETIC = { synthetic: true } as const;
const plain = (_style: string, text: string) => text;

describe('what was learnt from generated data is marked', () => {
  const rows = [completed(1, 0.4, SYNTHETIC), completed(2, 0.5, SYNTHETIC), failed(3)];
  const status = statusOf(rows);

  it('in the row of a trial and in the best trials, from its outcome', () => {
    const row = completed(1, 0.4);
    const outcome = { number: 1, state: 'completed', values: [0.4], attempts: 1, runSeconds: 1, finishedAt: 1, ...SYNTHETIC } as const;
    expect(outcomeChange(SPEC, row, outcome).synthetic).toBe(true);
    expect('synthetic' in outcomeChange(SPEC, row, { ...outcome, synthetic: undefined as never })).toBe(false);
    expect(bestOf(SPEC, [...rows, completed(4, 0.45)], 3).map((best) => best.synthetic)).toEqual([true, undefined, true]);
  });

  it('in the current details of campaign and trial', () => {
    const details = campaignDetails(status, rows);
    expect(details).toContain('best 0.5000 in trial 2 (synthetic data)');
    expect(details).toContain('All 2 trials trained on synthetic data: the values say nothing about the real data set.');
    const trial = {
      campaign: 'digits-1',
      number: 2,
      params: {},
      origin: 'random',
      state: 'completed',
      attempt: 1,
      attempts: [],
      outcome: { values: [0.5], runSeconds: 1, ...SYNTHETIC },
      headline: 'Done.',
    } as const;
    expect(trialDetails(trial, status.objectives)).toContain('val_accuracy 0.5000 (synthetic data)');
  });

  it('on the screen, in its lines and in the last words', () => {
    const known = { ...status, best: { ...status.best, params: {} }, queuedPoints: 0, tableVersion: 1 } as unknown as CampaignStatus;
    expect(screen({ status: known, rows, live: [] }, { width: 120, height: 30 }, plain).join('\n')).toContain('trial 2 (synthetic data)');
    expect(eventLine(rows[0] as never, { ended: 1 }, known)).toContain('val_accuracy 0.4000 (synthetic data)');
    const result = {
      status: 'completed',
      elapsedSeconds: 9,
      stopReason: 'all done',
      counts: status.counts,
      best: { ...status.best, params: {} },
    };
    expect(endText('digits-1', { kind: 'result', result } as never, known)).toContain(
      'best val_accuracy 0.5000 in trial 2 (synthetic data):',
    );
  });

  it('and only that', () => {
    const real = [completed(1, 0.4), completed(2, 0.5)];
    expect(campaignDetails(statusOf(real), real)).not.toContain('synthetic');
    expect(syntheticNote(real)).toBeUndefined();
    expect(syntheticNote([...rows, completed(4, 0.9)])).toBe(
      '2 of these 4 trials trained on synthetic data: the values say nothing about the real data set.',
    );
  });
});
