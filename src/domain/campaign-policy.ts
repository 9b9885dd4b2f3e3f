import { shouldStop, timeIsUp, trialsLeft } from '../search/stop-rules.ts';
import { timeShares } from './budget-share.ts';
import type { CampaignSpec } from './campaign.ts';
import { type CampaignState, countsOf } from './campaign-state.ts';
import { rampedConcurrency } from './ramp.ts';
import type { LastWords } from './status.ts';
import type { TrialRow } from './trial.ts';

/** When a campaign starts, stops and ends: pure decisions over its state. */

/** Trials that may be started now; with a spacing one at a time, and none before the last start is old enough. */
export function roomFor(state: CampaignState, now: number): number {
  if (now < (state.nextStartAt ?? 0)) return 0;
  const room = Math.max(0, Math.min(concurrencyOf(state) - state.inFlight.size, trialsLeft(state.budget, state.table.rows)));
  return (state.spec?.spacingSeconds ?? 0) > 0 ? Math.min(1, room) : room;
}

/** Trials in flight at most: what the user allows, or less during a cautious start. */
function concurrencyOf(state: CampaignState): number {
  const ramp = state.spec?.ramp;
  if (ramp === undefined) return state.concurrency;
  const ended = state.table.rows
    .filter((row) => row.state === 'completed' || row.state === 'failed')
    .sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0) || a.number - b.number);
  return rampedConcurrency(
    ramp,
    ended.map((row) => row.state === 'completed'),
    state.concurrency,
  );
}

/** Nothing runs and nothing more will be started. */
export function isOver(state: CampaignState): boolean {
  return (state.phase === 'draining' || state.phase === 'stopping' || state.phase === 'cancelling') && state.inFlight.size === 0;
}

/** Rules after which running trials are ended at once; the others let them finish, since their node time is already spent. */
const ENDS_AT_ONCE = new Set(['wall_time', 'deadline', 'node_hours', 'target']);

/** The stop rule that ends the campaign now, `now` in milliseconds of the workflow's clock: how running trials end, and why. Undefined while it goes on. */
export function stopVerdictOf(
  state: CampaignState,
  spec: CampaignSpec,
  now: number,
): { phase: 'draining' | 'stopping'; sentence: string } | undefined {
  const verdict = shouldStop({
    objectives: spec.objectives,
    budget: state.budget,
    stop: spec.stop,
    trials: state.table.rows,
    now,
    startedAt: state.startedAt,
    ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
    ...(typeof state.samplerState?.regret === 'number' ? { regretBound: state.samplerState.regret } : {}),
  });
  if (verdict === undefined || (verdict.rule === 'trials' && state.hasHeldPromotions)) return undefined;
  return { phase: ENDS_AT_ONCE.has(verdict.rule) ? 'stopping' : 'draining', sentence: verdict.sentence };
}

/** Why the time of the campaign's budget is over, `now` in milliseconds of the workflow's clock; undefined while some is left. */
export function timeVerdictOf({ budget, startedAt }: CampaignState, now: number): string | undefined {
  return timeIsUp({ budget, startedAt, now })?.sentence;
}

/** Why a campaign ends, when it was asked to end in a gentler way before: both, the last word first. */
export function endReason(reason: string, earlier: string | undefined): string {
  const plain = (sentence: string) => sentence.replace(/\.\s*$/, '');
  return earlier === undefined || earlier === reason ? reason : `${plain(reason)} (before that: ${plain(earlier)})`;
}

/** The next instant at which the clock alone ends the campaign, in milliseconds; undefined without such a limit. */
export function nextInstant(state: CampaignState, now: number): number | undefined {
  const instants = [
    ...(state.budget.wallSeconds === undefined ? [] : [state.startedAt + state.budget.wallSeconds * 1000]),
    ...(state.budget.deadline === undefined ? [] : [Date.parse(state.budget.deadline)]),
  ].filter((instant) => instant > now);
  return instants.length === 0 ? undefined : Math.min(...instants);
}

/** How much of the campaign's time or node-hours is used, 0 to 1: whichever is nearest its end. Undefined without such a budget. */
export function budgetShareOf({ budget, startedAt, nodeHoursShare }: CampaignState, now: number): number | undefined {
  const shares = timeShares(budget, startedAt, now);
  if (budget.nodeHours !== undefined) shares.push(nodeHoursShare ?? 0);
  return shares.length === 0 ? undefined : Math.min(1, Math.max(...shares));
}

export interface CampaignOutcome {
  readonly status: 'completed' | 'stopped' | 'cancelled' | 'failed';
  readonly reason: string;
  /** Of a campaign in which no trial completed: the last that one of them said. */
  readonly lastWords?: LastWords;
}

/** How the campaign ended, for its result. */
export function endOf(state: CampaignState): CampaignOutcome {
  const reason = state.stopReason ?? 'every trial of the budget has ended';
  const counts = countsOf(state.table.rows);
  if (state.phase === 'cancelling') return { status: 'cancelled', reason };
  if (counts.completed === 0 && counts.failed > 0) {
    const row = state.table.rows.find(({ state, failure }) => state === 'failed' && failure !== undefined);
    const lastWords = row === undefined ? undefined : lastWordsOf(row);
    return {
      status: 'failed',
      reason:
        row?.failure !== undefined && isTold(row.failure.message, reason)
          ? reason
          : `No trial completed (${counts.failed} failed). ${row?.failure?.message ?? ''} ${reason}`,
      ...(lastWords === undefined ? {} : { lastWords }),
    };
  }
  if (state.phase === 'stopping') return { status: 'stopped', reason };
  return { status: 'completed', reason };
}

/** Whether a reason holds a failure's message already, its last full stop aside. */
function isTold(message: string, reason: string): boolean {
  return reason.includes(message.replace(/[.\s]+$/, ''));
}

/** Lines of a failed trial's log that stand in the end of its campaign. */
const MOST_LAST_LINES = 10;

function lastWordsOf({ number, failure }: TrialRow): LastWords | undefined {
  const lines = (failure?.evidence ?? '').split('\n').filter((line) => line.trim() !== '');
  return lines.length === 0 ? undefined : { number, lines: lines.slice(-MOST_LAST_LINES) };
}
