import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { writeAtomically } from './atomic.ts';
import { reportPage } from './html.ts';
import { measuredImportance } from './importance.ts';
import type { ReportInput } from './input.ts';
import { summarize } from './summary.ts';
import { csvTable, type TrialRecord, toJsonLines, trialRecords } from './trial-records.ts';

/** Where a campaign's results lie, absolute or relative as the folder was given. */
export interface ReportPaths {
  readonly jsonl: string;
  readonly csv: string;
  readonly summary: string;
  readonly html: string;
  readonly spec: string;
}

/** The admitted specification beside the tables: with it a results folder can be compared, adopted and reported by itself. */
export const CAMPAIGN_FILE = 'campaign.json';

/**
 * Writes `trials.jsonl`, `trials.csv`, `report.html`, `campaign.json` and `summary.json` into a folder, each whole or not at all; the summary last, so that a
 * folder with a summary is complete. Safe to repeat. Throws ReportError for a folder that is not writable or full.
 */
export async function writeReport(folder: string, input: ReportInput): Promise<ReportPaths> {
  const paths: ReportPaths = {
    jsonl: join(folder, 'trials.jsonl'),
    csv: join(folder, 'trials.csv'),
    summary: join(folder, 'summary.json'),
    html: join(folder, 'report.html'),
    spec: join(folder, CAMPAIGN_FILE),
  };
  const records = trialRecords(input);
  await nextTurn();
  const importance = input.importance ?? (await measuredImportance(input));
  const summary = summarize(input);
  await nextTurn();
  await writeAtomically(paths.jsonl, await inTurns(records, (some) => toJsonLines(some)));
  await nextTurn();
  const { head, lineOf } = csvTable(records);
  await writeAtomically(paths.csv, head + (await inTurns(records, (some) => some.map(lineOf).join(''))));
  await writeAtomically(paths.html, await reportPage({ ...input, importance }, records, summary));
  await writeAtomically(paths.spec, `${JSON.stringify(input.spec)}\n`);
  await writeAtomically(paths.summary, `${JSON.stringify(summary, null, 2)}\n`);
  return paths;
}

/** Records made into text in one go: some milliseconds. */
const RECORDS_PER_TURN = 1000;

/** The text of all records, made piece by piece, so that a worker with 10,000 trials goes on beating meanwhile. */
async function inTurns(records: readonly TrialRecord[], textOf: (some: readonly TrialRecord[]) => string): Promise<string> {
  const pieces: string[] = [];
  for (let first = 0; first < records.length; first += RECORDS_PER_TURN) {
    await nextTurn();
    pieces.push(textOf(records.slice(first, first + RECORDS_PER_TURN)));
  }
  return pieces.join('');
}
