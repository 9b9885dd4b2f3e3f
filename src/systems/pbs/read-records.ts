import { attemptName } from '../../domain/ids.ts';
import type { DoneRecord, HeartbeatRecord } from '../../domain/spool.ts';
import { brokenEnd } from '../spool/broken-end.ts';
import { doneRecordSchema, heartbeatSchema } from '../spool/records.ts';

/**
 * A done record as it lies on the system. One that is JSON of its attempt and else not as the protocol says is an end all the same, told as what it is
 * (R21): neither the look for everybody nor its trial may fail on it.
 */
export function readDone(found: { readonly campaign: string; readonly trial: string; readonly attempt: number }): DoneRecord {
  const parsed = doneRecordSchema.safeParse(found);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const { campaign, trial, attempt } = found;
  const name = attemptName(Number(trial.replace('trial-', '')), attempt);
  const message = `The done record of ${name} is not as it should be (${issue?.path.join('.')}: ${issue?.message}). It is kept in spool/collected/.`;
  return brokenEnd({ campaign, trial, attempt, directory: `trials/${trial}/attempt-${attempt}` }, message.slice(0, 500));
}

/** Heartbeats that are as the protocol says; of an agent whose beat is not, nothing is known but its job. */
export function readHeartbeats(found: readonly unknown[]): readonly HeartbeatRecord[] {
  return found.flatMap((beat) => heartbeatSchema.safeParse(beat).data ?? []);
}
