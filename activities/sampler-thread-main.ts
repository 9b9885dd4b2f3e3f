import { parentPort } from 'node:worker_threads';
import { samplerEntry } from '../src/search/registry.ts';
import type { SuggestRequest, SuggestResult } from '../src/search/sampler.ts';

/** One question to the sampler thread and its answer. */
export interface ThreadQuestion {
  readonly id: number;
  readonly sampler: string;
  readonly request: SuggestRequest;
}

export type ThreadAnswer = { readonly id: number; readonly result: SuggestResult } | { readonly id: number; readonly error: string };

// The other side of activities/sampler-thread.ts: heavy numerics off the worker's event loop, which has heartbeats to send.
parentPort?.on('message', ({ id, sampler, request }: ThreadQuestion) => {
  let answer: ThreadAnswer;
  try {
    answer = { id, result: samplerEntry(sampler).sampler(request) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(answer);
});
