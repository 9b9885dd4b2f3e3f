import { existsSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { TrialRow } from '../src/domain/trial.ts';
import type { RegretBound } from '../src/search/gp/regret-bound.ts';
import type { SuggestResult } from '../src/search/sampler.ts';
import { ANSWERS, type Judgement, type QuestionOf, type SearchQuestion } from './search-answers.ts';
import type { ThreadAnswer, ThreadMessage } from './search-thread-main.ts';

type Waiting = { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void };

/** Rows copied to the thread in one go: about a millisecond; the event loop turns between two of them. */
const ROWS_PER_MESSAGE = 200;
/** Tables that the thread keeps; of an older one all rows are sent again. */
const MOST_TABLES = 16;

/** The thread itself has ended (out of memory, say): the question may be asked again, of a new one. */
export class SearchThreadLost extends Error {
  override readonly name = 'SearchThreadLost';
}

export interface SearchThread {
  /** Points by a sampler. `table` names the campaign; its rows must be the same objects while they have not changed, for only changed ones are copied. */
  suggest(question: QuestionOf<'suggest'>, table: string, rows: readonly TrialRow[]): Promise<SuggestResult>;
  /** Verdicts of a pruner. */
  judge(question: QuestionOf<'judge'>, table: string, rows: readonly TrialRow[]): Promise<Judgement>;
  /** What the model leaves to gain; undefined while there is too little to say. */
  regret(question: QuestionOf<'regret'>, table: string, rows: readonly TrialRow[]): Promise<RegretBound | undefined>;
}

/**
 * Runs samplers and pruners in a thread of their own: a fit may take seconds and the worker's event loop must not stand still for more than 50 ms. The thread keeps
 * each table, since copying 10,000 rows for every question would block the loop as well. Where only TypeScript sources are (tests), everything
 * runs in place: a thread of Node 20 cannot load them.
 */
export function createSearchThread(): SearchThread {
  const file = fileURLToPath(new URL('./search-thread-main.js', import.meta.url));
  const isThere = existsSync(file);
  const waiting = new Map<number, Waiting>();
  /** What the thread has of each table, the last used one last. */
  const sent = new Map<string, TrialRow[]>();
  let thread: Worker | undefined;
  let last = 0;
  /** Rows and questions go one after another, so that no question overtakes its rows. */
  let posting: Promise<void> = Promise.resolve();

  function start(): Worker {
    const started = new Worker(file);
    // An idle thread must not keep the process alive.
    started.unref();
    started.on('message', (answer: ThreadAnswer) => {
      const asked = waiting.get(answer.id);
      waiting.delete(answer.id);
      if ('error' in answer) asked?.reject(new Error(answer.error));
      else asked?.resolve(answer.result);
    });
    const fail = (error: Error) => {
      if (thread === started) {
        thread = undefined;
        sent.clear();
      }
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.on('error', (cause) => fail(new SearchThreadLost(`the search thread failed: ${cause.message}`, { cause })));
    started.on('exit', (code) => fail(new SearchThreadLost(`the search thread ended with ${code}`)));
    return started;
  }

  const post = (message: ThreadMessage) => {
    thread ??= start();
    thread.postMessage(message);
  };

  /** Copies what the thread lacks; stops when the thread is lost, since the question has failed with it. */
  async function bringUpToDate(id: number, table: string, rows: readonly TrialRow[]): Promise<void> {
    const known = sent.get(table) ?? [];
    sent.delete(table);
    sent.set(table, known);
    const changed = rows.filter((row) => known[row.number - 1] !== row);
    for (let first = 0; first < changed.length; first += ROWS_PER_MESSAGE) {
      if (first > 0) await nextTurn();
      if (!waiting.has(id)) return;
      const page = changed.slice(first, first + ROWS_PER_MESSAGE);
      post({ kind: 'rows', table, rows: page });
      for (const row of page) known[row.number - 1] = row;
    }
    for (const oldest of sent.keys()) {
      if (sent.size <= MOST_TABLES) break;
      sent.delete(oldest);
      post({ kind: 'forget', table: oldest });
    }
  }

  function ask(question: SearchQuestion, table: string, rows: readonly TrialRow[]): Promise<unknown> {
    last += 1;
    const id = last;
    const answered = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }));
    const posted = posting.then(async () => {
      await bringUpToDate(id, table, rows);
      if (waiting.has(id)) post({ kind: 'ask', id, table, question });
    });
    posting = posted.catch((error: unknown) => {
      waiting.get(id)?.reject(error instanceof Error ? error : new Error(String(error)));
      waiting.delete(id);
    });
    return answered;
  }

  return {
    suggest: async (question, table, rows) =>
      isThere ? ((await ask(question, table, rows)) as SuggestResult) : ANSWERS.suggest(question, rows),
    judge: async (question, table, rows) => (isThere ? ((await ask(question, table, rows)) as Judgement) : ANSWERS.judge(question, rows)),
    regret: async (question, table, rows) =>
      isThere ? ((await ask(question, table, rows)) as RegretBound | undefined) : ANSWERS.regret(question, rows),
  };
}
