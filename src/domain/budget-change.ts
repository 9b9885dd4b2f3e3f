import type { CampaignSpec } from './campaign.ts';

/** Limits that a running campaign's budget may be given, and whether a value is one. */
const LIMITS: Readonly<Record<string, (value: unknown) => boolean>> = {
  trials: (value) => Number(value) > 0,
  nodeHours: (value) => Number(value) > 0,
  wallSeconds: (value) => Number(value) > 0,
  deadline: (value) => !Number.isNaN(Date.parse(String(value))),
};

interface Clock {
  readonly now: number;
  readonly startedAt: number;
}

/** Limits that have passed: the campaign would end what runs in the same moment, which `stop` does without a riddle. */
const PASSED: Readonly<Record<string, (value: unknown, clock: Clock) => boolean>> = {
  wallSeconds: (value, { now, startedAt }) => startedAt + Number(value) * 1000 <= now,
  deadline: (value, { now }) => Date.parse(String(value)) <= now,
};

/** Why a change of the budget is refused, in a sentence for the user; undefined where it is not. */
export function budgetProblem(
  change: Readonly<Record<string, unknown>> | undefined,
  kind: CampaignSpec['system']['kind'],
  clock: Clock,
): string | undefined {
  const wrong = Object.entries(change ?? {}).find(([name, value]) => LIMITS[name]?.(value) !== true);
  if (wrong) {
    const names = Object.keys(LIMITS).join(', ');
    return `budget.${wrong[0]}: ${JSON.stringify(wrong[1])} is no limit (${names}; numbers above 0, deadline in ISO 8601).`;
  }
  const passed = Object.entries(change ?? {}).find(([name, value]) => PASSED[name]?.(value, clock) === true);
  if (passed) return `budget.${passed[0]}: ${JSON.stringify(passed[1])} has passed already. To end the campaign now: stop, or drain.`;
  if (change?.nodeHours !== undefined && kind === 'globus_compute')
    return 'budget.nodeHours: a Globus Compute endpoint does not tell what its blocks cost. Set wallSeconds or trials.';
  return undefined;
}
