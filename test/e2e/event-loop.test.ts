import { existsSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { SearchThread } from '../../activities/search-thread.ts';
import type { Space } from '../../src/domain/space.ts';
import type { TrialRow } from '../../src/domain/trial.ts';
import { MINIMIZE } from '../unit/search/spaces.ts';

/** Compiled code, since a thread of Node 20 cannot load sources; `npm test` builds it. */
const FILE = new URL('../../dist/activities/search-thread.js', import.meta.url);

const space: Space = {
  parameters: [
    { name: 'x', type: 'float', min: 0, max: 1 },
    { name: 'y', type: 'float', min: 0, max: 1 },
    { name: 'z', type: 'categorical', values: ['a', 'b', 'c'] },
  ],
};
const pruner = { type: 'asha', minSteps: 1, maxSteps: 9, reductionFactor: 3, options: { rank: 'model' } };

const row = (number: number, state: TrialRow['state'] = 'completed'): TrialRow => {
  const params = { x: (number * 0.618) % 1, y: (number * 0.414) % 1, z: 'abc'[number % 3] as string };
  const value = (params.x - 0.3) ** 2 + params.y;
  const ended = state === 'completed' ? { values: [value], finishedAt: number } : {};
  return { number, params, origin: 'gp', state, attempts: 1, createdAt: number, curve: [[1, value + 0.1]], ...ended };
};

describe.runIf(existsSync(FILE))('the search thread', () => {
  const suggestion = (count: number, space_: Space = space) => ({
    kind: 'suggest' as const,
    sampler: 'gp',
    request: { space: space_, objectives: MINIMIZE, count, seed: 1, options: {} },
    taken: [],
  });

  it('leaves the event loop free while it fits a model to 1,000 trials, and sees each change of the table', async () => {
    const { createSearchThread } = (await import(FILE.href)) as { createSearchThread: () => SearchThread };
    const { ANSWERS } = await import('../../activities/search-answers.ts');
    const thread = createSearchThread();
    const rows = Array.from({ length: 1000 }, (_, index) => row(index + 1));
    await thread.suggest(suggestion(1), 'warm-up', rows.slice(0, 20));

    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await sleep(20);
    const started = performance.now();
    const [points] = await Promise.all([
      thread.suggest(suggestion(12), 'table', rows),
      thread.suggest(suggestion(1), 'other', rows.slice(0, 30)),
    ]);
    const took = performance.now() - started;
    await sleep(20);
    delay.disable();
    // A busy machine stretches both: what counts is that the loop was not held for the length of the fit (bench/results/event-loop.md has figures).
    expect(delay.max / 1e6).toBeLessThan(Math.max(150, took / 2));
    expect(points).toEqual(ANSWERS.suggest(suggestion(12), rows));

    // Changed and added rows reach the thread, and nothing else does.
    const later = [...rows.slice(0, 998), row(999, 'running'), row(1000, 'running'), row(1001, 'running')];
    expect(await thread.suggest(suggestion(2), 'table', later)).toEqual(ANSWERS.suggest(suggestion(2), later));
    const judgement = { kind: 'judge' as const, request: { pruner, objective: MINIMIZE[0], space, decided: {}, seed: 1 } };
    const verdicts = await thread.judge(judgement, 'table', later);
    expect(verdicts).toEqual(ANSWERS.judge(judgement, later));
    expect(verdicts.verdicts.map(({ number }) => number)).toEqual([999, 1000, 1001]);
  });

  it('tells an error of a sampler as one, and goes on', async () => {
    const { createSearchThread } = (await import(FILE.href)) as { createSearchThread: () => SearchThread };
    const thread = createSearchThread();
    const asked = { ...suggestion(1), sampler: 'no-such' };
    await expect(thread.suggest(asked, 'table', [])).rejects.toThrow('sampler.type "no-such" is not known');
    expect((await thread.suggest(suggestion(2), 'table', [row(1)])).suggestions).toHaveLength(2);
  });
});
