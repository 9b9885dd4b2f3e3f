import { describe, expect, it } from 'vitest';
import { type CampaignState, carry, newCampaignState, newRow, revive } from '../../../src/domain/campaign-state.ts';
import { askAgain, giveUpAgain, retryProblem, takeAgain } from '../../../src/domain/retry.ts';
import { addRow, rowsSince } from '../../../src/domain/table.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { admitText } from '../../../src/spec/admit.ts';

const SPEC = admitText(
  'objective: {metric: a, direction: maximize}\nsearch_space: {x: {type: float, min: 0, max: 1}}\ntraining: {command: t}\nbudget: {trials: 9}\n',
  'c.yaml',
);

/** Trials 1 to 4: completed, lost, a bad training, cancelled under its feet. */
function campaign(): CampaignState {
  const state = newCampaignState('c', 0);
  const ends: Partial<TrialRow>[] = [
    { state: 'completed', values: [1] },
    { state: 'failed', failure: { class: 'lost', message: 'gone' } },
    { state: 'failed', failure: { class: 'exit_code', message: 'exit 3' } },
    { state: 'cancelled', failure: { class: 'cancelled', message: 'ended from outside' } },
  ];
  for (const [index, end] of ends.entries()) {
    addRow(state.table, {
      ...newRow(index + 1, { params: { x: index / 10 }, origin: 'random' }, 0),
      attempts: 2,
      runSeconds: 5,
      finishedAt: 9,
      ...end,
    });
  }
  return state;
}

describe('trials that are asked for again', () => {
  it.each([
    ['all that failed', {}, [2, 3, 4]],
    ['those named', { numbers: [3] }, [3]],
    ['those of a class', { classes: ['lost'] }, [2]],
    ['those charged to a budget', { classes: ['trial'] }, [3]],
    ['those named that are of a class', { numbers: [2, 3], classes: ['infrastructure'] }, [2]],
  ])('are %s', (_what, request, numbers) => {
    expect(retryProblem(campaign().table.rows, request)).toBeUndefined();
    expect(askAgain(campaign(), request)).toEqual(numbers);
  });

  it('are queued without their failure, keep their attempts and seconds, and are news for whoever reads the table', () => {
    const state = campaign();
    const before = state.table.version;
    askAgain(state, { numbers: [2] });
    const [row] = rowsSince(state.table, before, 10).rows;
    expect(row).toEqual({
      number: 2,
      params: { x: 0.1 },
      origin: 'random',
      state: 'queued',
      attempts: 2,
      runSeconds: 5,
      createdAt: 0,
      note: 'again by the user, after lost',
    });
  });

  it('are taken once each, in their order, also after the workflow has continued as new', () => {
    const state = campaign();
    askAgain(state);
    expect(takeAgain(state)).toBe(2);
    const next = revive(JSON.parse(JSON.stringify(carry({ ...state, spec: SPEC }, SPEC))));
    expect([takeAgain(next), takeAgain(next), takeAgain(next)]).toEqual([3, 4, undefined]);
  });

  it('have the end that they had when the campaign ends before they start', () => {
    const state = campaign();
    askAgain(state);
    takeAgain(state);
    giveUpAgain(state);
    expect(state.table.rows.map((row) => row.state)).toEqual(['completed', 'queued', 'failed', 'cancelled']);
    expect(state.table.rows[2]).toMatchObject({ failure: { class: 'exit_code', message: 'exit 3' }, finishedAt: 9 });
  });

  it.each([
    [{ numbers: [1] }, 'Trial 1 is completed; only failed trials run again.'],
    [{ numbers: [7] }, 'There is no trial 7.'],
    [{ classes: ['lsot'] }, /^lsot is no class of failures\. Classes: environment_error, /],
    [{ classes: ['walltime'] }, 'No trial has failed in this way.'],
  ])('that cannot be are told: %j', (request, words) => {
    expect(retryProblem(campaign().table.rows, request)).toEqual(typeof words === 'string' ? words : expect.stringMatching(words));
  });

  it('of a campaign without failures are told in one sentence', () => {
    expect(retryProblem(campaign().table.rows.slice(0, 1))).toBe('No trial has failed.');
  });
});
