import { describe, expect, it } from 'vitest';
import { endOf } from '../../../src/domain/campaign-policy.ts';
import { type CampaignState, newCampaignState } from '../../../src/domain/campaign-state.ts';
import type { FailureClass } from '../../../src/domain/failures.ts';
import { failuresAlike, failuresCritical } from '../../../src/domain/first-failures.ts';
import { addRow } from '../../../src/domain/table.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { SPEC } from '../report/campaign.ts';
import { completed, failed } from '../view/rows.ts';

type Word = FailureClass | 'completed' | 'pruned' | 'running' | 'stopped';

function row(number: number, word: Word): TrialRow {
  if (word === 'completed') return completed(number, 0.5);
  if (word === 'pruned') return completed(number, 0.5, { state: 'pruned' });
  if (word === 'stopped') return { ...failed(number), state: 'cancelled' };
  const { failure: _, ...open } = failed(number);
  if (word === 'running') return { ...open, state: 'queued' };
  return failed(number, { failure: { class: word, message: 'It ended badly.' }, runSeconds: 90 });
}

function stateOf(words: readonly Word[], change: Partial<CampaignState> = {}): CampaignState {
  const state = { ...newCampaignState('c', 0), spec: SPEC, budget: SPEC.budget, concurrency: 4, ...change };
  words.forEach((word, index) => {
    addRow(state.table, row(index + 1, word));
  });
  return state;
}

const times = (count: number, word: Word): Word[] => Array.from({ length: count }, () => word);
const withLimit = (failuresAlike: number) => ({ spec: { ...SPEC, stop: { minDelta: 0, failuresAlike } } });

describe('a campaign whose first trials failed', () => {
  it.each<[string, readonly Word[], Partial<CampaignState>, boolean]>([
    ['ends after ten of one class', times(10, 'exit_code'), {}, true],
    ['goes on before that', times(9, 'exit_code'), {}, false],
    ['goes on when they failed in different ways', [...times(9, 'exit_code'), 'no_metric'], {}, false],
    ['goes on when one completed, also a later one', [...times(10, 'no_metric'), 'completed'], {}, false],
    ['goes on when one was pruned: it had a value', ['pruned', ...times(10, 'no_metric')], {}, false],
    ['waits for one of the first that still trains', ['no_metric', 'running', ...times(12, 'no_metric')], {}, false],
    ['does not wait for one of the later', [...times(10, 'no_metric'), 'running'], {}, true],
    ['leaves cancelled ones aside', ['stopped', ...times(9, 'no_metric')], {}, false],
    ['leaves cancelled ones aside, and ends by the others', ['stopped', ...times(10, 'no_metric')], {}, true],
    ['gives many at once time: twice as many', times(23, 'exit_code'), { concurrency: 12 }, false],
    ['gives many at once time, and ends then', times(24, 'exit_code'), { concurrency: 12 }, true],
    ['ends after a hundred on a large machine', times(100, 'exit_code'), { concurrency: 3000 }, true],
    ['goes on three times as long where the class depends on the point', times(29, 'not_finite'), {}, false],
    ['ends then there too', times(30, 'not_finite'), {}, true],
    ['keeps to the number in its file', times(3, 'not_finite'), withLimit(3), true],
    ['never ends for 0', times(60, 'exit_code'), withLimit(0), false],
    ['judges only what came after a pause', times(12, 'exit_code'), { judgedFrom: 12 }, false],
    ['judges what came after a pause', times(22, 'exit_code'), { judgedFrom: 12 }, true],
  ])('%s', (_title, words, change, isEnd) => {
    expect(failuresAlike(stateOf(words, change)) !== undefined).toBe(isEnd);
  });

  it('says class, message, what was spent and what to do', () => {
    expect(failuresAlike(stateOf(times(10, 'exit_code')))).toBe(
      'The first 10 trials all failed with exit_code: It ended badly. 10 of 40 trials and 15 min of training are spent. ' +
        'Mend it, then start anew with `holdfast run FILE`. A campaign with `stop.failures_alike: 0` goes on all the same.',
    );
  });

  it('gives up after five critical failures of any class, as long as nothing else happened', () => {
    const words: Word[] = [...times(4, 'environment_error'), 'data_access_error'];
    expect(failuresCritical(stateOf(words))).toContain('All of the first 5 trials failed: It ended badly. 5 of 40 trials');
    expect(failuresCritical(stateOf(words.slice(0, 4)))).toBeUndefined();
    expect(failuresCritical(stateOf([...words, 'completed']))).toBeUndefined();
    expect(failuresCritical(stateOf([...words, 'exit_code']))).toBeUndefined();
  });

  it('ends as failed, with the message once and the last lines of a log', () => {
    const evidence = `${Array.from({ length: 30 }, (_, line) => `line ${line}`).join('\n')}\n\n`;
    const state = stateOf(times(10, 'exit_code'));
    state.table.rows[0] = failed(1, { failure: { class: 'exit_code', message: 'It ended badly.', evidence } });
    state.phase = 'stopping';
    state.stopReason = failuresAlike(state) as string;
    const { status, reason, lastWords } = endOf(state);
    expect(status).toBe('failed');
    expect(reason).toBe(state.stopReason);
    expect(lastWords).toEqual({ number: 1, lines: Array.from({ length: 10 }, (_, line) => `line ${20 + line}`) });
  });
});
