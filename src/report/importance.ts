import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Importance, type ImportanceQuestion, importances } from '../search/importance.ts';
import { thin } from '../view/chart.ts';
import type { ReportInput } from './input.ts';

/** Fewer results make a chart that nobody should read. */
const LEAST_TRIALS = 20;
/** Time grows faster than the trials (measured: 1 s for 300, 7 s for 2,000); a sample of the table says the same. */
const MOST_TRIALS = 500;

/**
 * How much of the objective each parameter explains, by name, 0 to 1 (functional analysis of variance, src/search/importance.ts). Empty while the campaign
 * runs and for few results. In a thread of its own where the code is compiled; in place where only sources are (tests).
 */
export async function measuredImportance({ spec, rows, status }: ReportInput): Promise<Readonly<Record<string, number>>> {
  const completed = rows.filter((row) => row.state === 'completed');
  if (status === 'running' || completed.length < LEAST_TRIALS) return {};
  const shares = await measuredShares({ space: spec.space, objectives: spec.objectives, trials: completed, seed: spec.seed });
  return Object.fromEntries(shares.map(({ name, share }) => [name, share]));
}

/** Shares of at most {@link MOST_TRIALS} trials spread over the table, most important first. */
export async function measuredShares(asked: ImportanceQuestion): Promise<readonly Importance[]> {
  const question = { ...asked, trials: thin(asked.trials, MOST_TRIALS) };
  const file = fileURLToPath(new URL('./importance-thread.js', import.meta.url));
  return existsSync(file) ? inThread(file, question) : importances(question);
}

function inThread(file: string, question: ImportanceQuestion): Promise<readonly Importance[]> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(file, { workerData: question });
    thread.once('message', resolve);
    thread.once('error', reject);
    thread.once('exit', (code) => reject(new Error(`the thread that measures importance ended with ${code}`)));
  });
}
