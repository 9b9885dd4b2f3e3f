import type { Seen } from './answers.ts';
import type { AttemptFacts, CampaignFacts } from './campaign-facts.ts';
import type { AttemptSight } from './watch-trials.ts';

/** Places of a campaign's tasks in the order in which they were sent. */
export type TaskOrder = ReadonlyMap<string, number>;

/** The order in which the service took a campaign's tasks. */
export function taskOrder(facts: Pick<CampaignFacts, 'groupTasks'>): TaskOrder {
  return new Map(facts.groupTasks.map((id, place) => [id, place]));
}

/** Place of the newest task whose trial has begun, by what the file system says; −1: none. One that was sent again may have begun by an older task. */
export function newestStart(attempts: Readonly<Record<string, AttemptFacts>>, seen: ReadonlyMap<string, Seen>, order: TaskOrder): number {
  const places = [...seen].map(([name, { state, ...told }]) => {
    const attempt = attempts[name];
    const hasBegun = ('beat' in told && typeof told.beat === 'number') || (state === 'ended' && 'record' in told);
    const [task, ...more] = attempt?.tasks ?? [];
    if (!hasBegun || attempt === undefined || task === undefined || more.length > 0) return -1;
    return attempt.resubmits === 0 && attempt.settlings === 0 ? (order.get(task) ?? -1) : -1;
  });
  return Math.max(-1, ...places);
}

/**
 * Whether an attempt's task is gone with an engine of which nothing else tells: in all looks of `patienceSeconds` nothing of it was there, although a trial
 * that was sent after it had begun. An engine hands tasks out in their order, but for those that a node took in advance: so this counts once for an attempt,
 * and what is sent again in vain runs nothing twice. `nowSeconds` is of a monotonic clock.
 */
export function noteOvertaken(
  attempt: AttemptFacts,
  seen: Seen,
  view: AttemptSight,
  { order, newest, nowSeconds, patienceSeconds }: { order: TaskOrder; newest: number; nowSeconds: number; patienceSeconds: number },
): boolean {
  const isBehind = attempt.tasks.length > 0 && attempt.tasks.every((id) => (order.get(id) ?? newest) < newest);
  if (seen.state !== 'unseen' || attempt.resubmits > 0 || !isBehind) {
    delete view.overtaken;
    return false;
  }
  const tasks = attempt.tasks.join(' ');
  if (view.overtaken?.tasks !== tasks) view.overtaken = { tasks, at: nowSeconds };
  return nowSeconds - view.overtaken.at >= patienceSeconds;
}
