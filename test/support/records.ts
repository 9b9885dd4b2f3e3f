import type { DoneRecord } from '../../src/domain/spool.ts';

/** A complete done record of trial 1, attempt 1, with changes. */
export function doneRecord(change: Partial<DoneRecord> = {}): DoneRecord {
  return {
    version: 1,
    campaign: 'c',
    trial: 'trial-0001',
    attempt: 1,
    status: 'completed',
    exit_code: 0,
    signal: null,
    error: null,
    values: [0.5],
    metrics: {},
    curve: [],
    step: 1,
    started_at: 0,
    ended_at: 1,
    run_seconds: 1,
    pilot: 'c.p1',
    host: 'node01',
    slot: 0,
    resumed_from: null,
    has_checkpoint: false,
    directory: 'trials/trial-0001/attempt-1',
    files: [],
    ...change,
  };
}
