import { describe, expect, it } from 'vitest';
import type { Seen } from '../../../src/systems/globus/answers.ts';
import { type AttemptFacts, newAttempt } from '../../../src/systems/globus/campaign-facts.ts';
import { newestStart, noteOvertaken, taskOrder } from '../../../src/systems/globus/overtaken.ts';
import type { AttemptSight } from '../../../src/systems/globus/watch-trials.ts';

const UNSEEN: Seen = { state: 'unseen' };
const RUNNING: Seen = { state: 'running', beat: 3, busy: [] };
const PATIENCE = 600;

const attempt = (number: number, tasks: readonly string[], change: Partial<AttemptFacts> = {}): AttemptFacts => ({
  ...newAttempt(
    { version: 1, campaign: 'c', trial: `trial-000${number}`, attempt: 1, params: {}, resume_from: null, target_step: null },
    tasks,
  ),
  ...change,
});

/** Which of the attempts counts as lost at a look at these times, when these are seen running by then. */
function lostAt(times: readonly number[], attempts: Record<string, AttemptFacts>, running: (now: number) => readonly string[]): string[] {
  const order = taskOrder({ groupTasks: ['probe', 'a', 'b', 'c', 'd'] });
  const views = new Map(Object.keys(attempts).map((name): [string, AttemptSight] => [name, { state: 'submitted' }]));
  return times.flatMap((nowSeconds) => {
    const seen = new Map(
      Object.keys(attempts).map((name): [string, Seen] => [name, running(nowSeconds).includes(name) ? RUNNING : UNSEEN]),
    );
    const newest = newestStart(attempts, seen, order);
    return [...seen].flatMap(([name, sight]) => {
      const view = views.get(name) as AttemptSight;
      const queue = { order, newest, nowSeconds, patienceSeconds: PATIENCE };
      return noteOvertaken(attempts[name] as AttemptFacts, sight, view, queue) ? [`${name} at ${nowSeconds}`] : [];
    });
  });
}

describe('a task that a trial sent later has overtaken', () => {
  it('is gone when nothing of it has come after a while, and only then', () => {
    const attempts = { one: attempt(1, ['a']), two: attempt(2, ['b']) };
    expect(lostAt([0, 599, 600], attempts, () => ['two'])).toEqual(['one at 600']);
    expect(lostAt([0, 599, 1200], attempts, () => ['one'])).toEqual([]);
    expect(lostAt([0, 600, 1200], attempts, () => [])).toEqual([]);
  });

  it('is not gone when it begins, however late, nor while what began later cannot be told', () => {
    const attempts = { one: attempt(1, ['a']), two: attempt(2, ['b']) };
    expect(lostAt([0, 599, 600, 1300], attempts, (now) => (now < 600 ? ['two'] : ['one', 'two']))).toEqual([]);
    // Its trial may have begun by an older task, or by another one of an answer that was lost.
    expect(lostAt([0, 600], { ...attempts, two: attempt(2, ['b'], { settlings: 1 }) }, () => ['two'])).toEqual([]);
    expect(lostAt([0, 600], { ...attempts, two: attempt(2, ['b', 'c']) }, () => ['two'])).toEqual([]);
    expect(lostAt([0, 600], { ...attempts, two: attempt(2, ['unknown']) }, () => ['two'])).toEqual([]);
  });

  it('counts for a task as long as it is the same, and once for an attempt', () => {
    const attempts = { one: attempt(1, ['a']), two: attempt(2, ['d']) };
    const order = taskOrder({ groupTasks: ['a', 'b', 'd'] });
    const view: AttemptSight = { state: 'submitted' };
    const at = (nowSeconds: number, facts: AttemptFacts) =>
      noteOvertaken(facts, UNSEEN, view, { order, newest: 2, nowSeconds, patienceSeconds: PATIENCE });
    expect([at(0, attempts.one), at(700, attempt(1, ['b'])), at(1299, attempt(1, ['b'])), at(1300, attempt(1, ['b']))]).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(at(5000, attempt(1, ['b'], { resubmits: 1 }))).toBe(false);
  });
});
