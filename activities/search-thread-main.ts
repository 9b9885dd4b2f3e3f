import { parentPort } from 'node:worker_threads';
import type { TrialRow } from '../src/domain/trial.ts';
import { answerTo, type SearchAnswer, type SearchQuestion } from './search-answers.ts';

/** What the thread is told. Rows come before the question that needs them; a table that the other side gave up is forgotten. */
export type ThreadMessage =
  | { readonly kind: 'rows'; readonly table: string; readonly rows: readonly TrialRow[] }
  | { readonly kind: 'forget'; readonly table: string }
  | { readonly kind: 'ask'; readonly id: number; readonly table: string; readonly question: SearchQuestion };

export type ThreadAnswer = { readonly id: number; readonly result: SearchAnswer } | { readonly id: number; readonly error: string };

const tables = new Map<string, TrialRow[]>();

function tableOf(name: string): TrialRow[] {
  const table = tables.get(name) ?? [];
  tables.set(name, table);
  return table;
}

// The other side of activities/search-thread.ts: heavy numerics off the worker's event loop, which has heartbeats to send.
parentPort?.on('message', (message: ThreadMessage) => {
  switch (message.kind) {
    case 'rows':
      for (const row of message.rows) tableOf(message.table)[row.number - 1] = row;
      return;
    case 'forget':
      tables.delete(message.table);
      return;
    case 'ask': {
      const { id, table, question } = message;
      let answer: ThreadAnswer;
      try {
        answer = { id, result: answerTo(question, tableOf(table)) };
      } catch (error) {
        answer = { id, error: error instanceof Error ? error.message : String(error) };
      }
      parentPort?.postMessage(answer);
    }
  }
});
