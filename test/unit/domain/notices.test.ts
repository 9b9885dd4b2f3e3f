import { describe, expect, it } from 'vitest';
import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import { type CampaignState, newCampaignState, newRow } from '../../../src/domain/campaign-state.ts';
import { type NotifyTarget, nextReminder, noticesDue } from '../../../src/domain/notices.ts';
import { addRow, changeRow } from '../../../src/domain/table.ts';
import { admitText } from '../../../src/spec/admit.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function campaign(): CampaignState {
  const spec = admitText(
    'objective: {metric: a, direction: maximize}\nsearch_space: {x: {type: float, min: 0, max: 1}}\ntraining: {command: t}\nbudget: {trials: 10}\n',
    'c.yaml',
  );
  return { ...newCampaignState('c', 0), spec, budget: spec.budget, phase: 'running' };
}

function end(state: CampaignState, value: number): void {
  const number = state.table.rows.length + 1;
  addRow(state.table, newRow(number, { params: { x: value }, origin: 'random' }, 0));
  changeRow(state.table, number, { state: 'completed', values: [value], attempts: 1, finishedAt: 1 });
}

/** What is due, taken in. */
function due(state: CampaignState, now: number): string[] {
  const answer = noticesDue(state, now);
  state.told = answer.told;
  return answer.due.map(({ event, text }) => `${event}: ${text}`);
}

describe('what people are told', () => {
  it('is the first result once, then a better one, at most every quarter of an hour and never twice', () => {
    const state = campaign();
    expect(due(state, 0)).toEqual([]);
    end(state, 0.5);
    expect(due(state, MINUTE)).toEqual(['first-result: First result: a 0.5000 in trial 1.']);
    end(state, 0.6);
    expect(due(state, 2 * MINUTE)).toEqual(['best: New best: a 0.6000 in trial 2.']);
    end(state, 0.7);
    expect(due(state, 3 * MINUTE)).toEqual([]);
    end(state, 0.8);
    expect(due(state, 18 * MINUTE)).toEqual(['best: New best: a 0.8000 in trial 4.']);
    end(state, 0.1);
    expect(due(state, 60 * MINUTE)).toEqual([]);
  });

  it('is a login that is needed, once, then every twelve hours as long as it is missing, whatever words the system finds for it', () => {
    const state = campaign();
    state.notices['system login'] = 'aurora needs a login.';
    expect(due(state, 0)).toEqual(['needs-login: aurora needs a login.']);
    state.notices['system login'] = 'aurora needs a login, says the closing of the launch.';
    expect(due(state, 90 * MINUTE)).toEqual([]);
    expect(due(state, 12 * HOUR - 1)).toEqual([]);
    expect(due(state, 12 * HOUR)).toEqual(['needs-login: aurora needs a login, says the closing of the launch. It has waited for 12 h.']);
    expect(due(state, 13 * HOUR)).toEqual([]);
    expect(due(state, 24 * HOUR)).toEqual(['needs-login: aurora needs a login, says the closing of the launch. It has waited for 24 h.']);
  });

  it('is the login of the next night too, in the same words, but no more than one an hour of a login that comes and goes', () => {
    const state = campaign();
    const text = 'aurora needs a login.';
    state.notices['system login'] = text;
    expect(due(state, 0)).toEqual([`needs-login: ${text}`]);
    delete state.notices['system login'];
    expect(due(state, 10 * MINUTE)).toEqual([]);
    state.notices['system login'] = text;
    expect(due(state, 20 * MINUTE)).toEqual([]);
    expect(due(state, 60 * MINUTE)).toEqual([`needs-login: ${text}`]);
    delete state.notices['system login'];
    expect(due(state, 2 * HOUR)).toEqual([]);
    state.notices['system login'] = text;
    expect(due(state, 26 * HOUR)).toEqual([`needs-login: ${text}`]);
  });

  it('wakes the campaign when the next is due, and only for somebody who wants to know', () => {
    const state = campaign();
    const spec = state.spec as CampaignSpec;
    const told: NotifyTarget = { kind: 'command', command: ['true'], on: ['needs-login'] };
    state.notices['system login'] = 'aurora needs a login.';
    due(state, 5);
    expect(nextReminder(state)).toBeUndefined();
    state.spec = { ...spec, notify: [{ ...told, on: ['done'] }] };
    expect(nextReminder(state)).toBeUndefined();
    state.spec = { ...spec, notify: [told] };
    expect(nextReminder(state)).toBe(12 * HOUR + 5);
    delete state.notices['system login'];
    expect(nextReminder(state)).toBeUndefined();
    due(state, 10);
    state.notices['system login'] = 'aurora needs a login.';
    expect(nextReminder(state)).toBe(HOUR + 5);
  });

  it('is what a machine refuses this campaign alone', () => {
    const state = campaign();
    state.notices['system refusal'] = 'The endpoint does not allow our function.';
    expect(due(state, 0)).toEqual(['breaker: The endpoint does not allow our function.']);
    expect(due(state, HOUR)).toEqual([]);
  });

  it('is a submission that was stopped, and four fifths of the budget', () => {
    const state = campaign();
    state.notices['system breaker'] = 'three pilots failed.';
    for (let count = 0; count < 8; count += 1) end(state, 0.5);
    expect(due(state, 0)).toEqual([
      'breaker: three pilots failed.',
      'first-result: First result: a 0.5000 in trial 1.',
      'budget: 80 % of the budget is used.',
    ]);
    end(state, 0.4);
    expect(due(state, MINUTE)).toEqual([]);
  });
});
