import type { DoneRecord } from '../../domain/spool.ts';

/** The end of an attempt whose own record cannot be used (R21): failed, with what is wrong with the record in `message`. */
export function brokenEnd(attempt: Pick<DoneRecord, 'campaign' | 'trial' | 'attempt' | 'directory'>, message: string): DoneRecord {
  return {
    version: 1,
    ...attempt,
    status: 'failed',
    exit_code: null,
    signal: null,
    error: { class: 'bad_result', message },
    values: null,
    metrics: {},
    curve: [],
    step: null,
    started_at: 0,
    ended_at: 0,
    run_seconds: 0,
    pilot: '',
    host: '',
    slot: 0,
    resumed_from: null,
    has_checkpoint: false,
    files: [],
  };
}
