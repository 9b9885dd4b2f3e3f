import { trialNumber } from '../../domain/ids.ts';
import type { DoneRecord, OfferRecord } from '../../domain/spool.ts';
import type { TrialRow } from '../../domain/trial.ts';

/** What lies in a spool: every end, and every offer whose end is not there. */
export interface SpoolContents {
  readonly done: readonly DoneRecord[];
  readonly offers: readonly OfferRecord[];
  /** Parameters by trial, from trials/<trial>/params.json. */
  readonly params: ReadonlyMap<string, OfferRecord['params']>;
}

/**
 * A campaign's table from its spool alone (R11): the last attempt of a trial decides, a completed one before any other. Attempts that were
 * given back or are still on their way leave their trial queued.
 */
export function recoverTable(spool: SpoolContents): TrialRow[] {
  const names = new Set([...spool.done.map((record) => record.trial), ...spool.offers.map((offer) => offer.trial)]);
  return [...names].map((trial) => row(trial, spool)).sort((a, b) => a.number - b.number);
}

function row(trial: string, { done, offers, params }: SpoolContents): TrialRow {
  const ends = done.filter((record) => record.trial === trial).sort((a, b) => a.attempt - b.attempt);
  const best = ends.find((record) => record.status === 'completed') ?? ends.at(-1);
  const open = offers.filter((offer) => offer.trial === trial).sort((a, b) => b.attempt - a.attempt)[0];
  const isOpen = open !== undefined && (best === undefined || (best.status !== 'completed' && open.attempt > best.attempt));
  const runSeconds = ends.reduce((sum, record) => sum + record.run_seconds, 0);
  const base = {
    number: trialNumber(trial),
    params: params.get(trial) ?? open?.params ?? {},
    origin: 'recovered',
    attempts: Math.max(
      0,
      ...ends.map((record) => record.attempt),
      ...offers.filter((offer) => offer.trial === trial).map((offer) => offer.attempt),
    ),
    createdAt: (ends[0]?.started_at ?? 0) * 1000,
    ...(runSeconds > 0 ? { runSeconds } : {}),
  };
  if (best === undefined || isOpen || best.status === 'returned') return { ...base, state: 'queued' };
  return {
    ...base,
    state:
      best.status === 'completed' ? 'completed' : best.status === 'stopped' ? (best.values === null ? 'cancelled' : 'pruned') : 'failed',
    ...(best.values === null || best.status === 'failed' ? {} : { values: best.values }),
    ...(best.step === null ? {} : { step: best.step }),
    ...(best.curve.length === 0 ? {} : { curve: best.curve }),
    finishedAt: best.ended_at * 1000,
    ...(best.error === null ? {} : { failure: { class: best.error.class, message: best.error.message } }),
  };
}
