import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { trialWorkflowId } from '../domain/ids.ts';
import type { TrialOutcome } from '../domain/trial.ts';
import type { TrialRecord } from './trial-records.ts';

/**
 * Outcomes as the campaign's last report on this computer has them: for trials whose workflows the server has forgotten, since they ended longer ago than
 * its namespace keeps histories. Lines that cannot be read are left out: a damaged report must not keep the next one from being written.
 */
export function earlierOutcomes(folder: string, campaign: string): Map<number, TrialOutcome> {
  const file = join(folder, 'trials.jsonl');
  const outcomes = new Map<number, TrialOutcome>();
  if (!existsSync(file)) return outcomes;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const record = recordOf(line);
    // A folder that was moved here from elsewhere may be another campaign's.
    if (record?.workflow_id !== trialWorkflowId(campaign, record?.number ?? 0)) continue;
    const { number, attempts, metrics, curve, files, directory, host, pilot, slot, started_at: startedAt } = record;
    outcomes.set(number, {
      number,
      state: record.state as TrialOutcome['state'],
      attempts,
      runSeconds: record.run_seconds ?? 0,
      finishedAt: Date.parse(record.finished_at ?? record.created_at),
      curve,
      files,
      ...(metrics === null ? {} : { metrics }),
      ...(directory === null ? {} : { directory }),
      ...(host === null ? {} : { host }),
      ...(pilot === null ? {} : { pilot }),
      ...(slot === null ? {} : { slot }),
      ...(startedAt === null ? {} : { startedAt: Date.parse(startedAt) }),
    });
  }
  return outcomes;
}

function recordOf(line: string): TrialRecord | undefined {
  try {
    return line === '' ? undefined : (JSON.parse(line) as TrialRecord);
  } catch {
    // A line that a crash has cut: the others count.
    return undefined;
  }
}
