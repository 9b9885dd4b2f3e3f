import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { samplerEntry } from '../src/search/registry.ts';
import type { SuggestRequest, SuggestResult } from '../src/search/sampler.ts';
import type { ThreadAnswer, ThreadQuestion } from './sampler-thread-main.ts';

type Waiting = { readonly resolve: (result: SuggestResult) => void; readonly reject: (error: Error) => void };

/**
 * Runs samplers that learn from results in a thread of their own: a fit may take seconds, and the worker's event loop must not stand still for
 * more than 50 ms. Where only TypeScript sources are (tests), they run in place, since a thread of Node 20 cannot load them.
 */
export function createSamplerThread() {
  const file = fileURLToPath(new URL('./sampler-thread-main.js', import.meta.url));
  const waiting = new Map<number, Waiting>();
  let thread: Worker | undefined;
  let last = 0;

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
      thread = undefined;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.on('error', fail);
    started.on('exit', (code) => fail(new Error(`the sampler's thread ended with ${code}`)));
    return started;
  }

  return async function runSampler(sampler: string, request: SuggestRequest): Promise<SuggestResult> {
    const entry = samplerEntry(sampler);
    if (entry.ignoresResults || !existsSync(file)) return entry.sampler(request);
    thread ??= start();
    last += 1;
    const question: ThreadQuestion = { id: last, sampler, request };
    return new Promise((resolve, reject) => {
      waiting.set(question.id, { resolve, reject });
      thread?.postMessage(question);
    });
  };
}
