import type { Point } from '../../src/domain/space.ts';
import type { Optimiser } from './optimisers.ts';
import type { Task } from './tasks.ts';

export interface RunResult {
  /** Normalised regret of the incumbent after 1, 2, … evaluations. */
  readonly regret: readonly number[];
  /** Evaluations of a point that had been evaluated or was running. */
  readonly duplicates: number;
  readonly cpuMs: number;
}

/**
 * Asynchronous workers on a virtual clock: `workers` points at time 0; whenever one ends it is told and one more is asked, until `evaluations` were asked.
 * The optimiser sees one repetition of a noisy task, chosen by the seed; regret is that of the incumbent's mean.
 */
export async function simulate(task: Task, optimiser: Optimiser, workers: number, evaluations: number, seed: number): Promise<RunResult> {
  const running: { id: number; ends: number; value: number; mean: number }[] = [];
  const seen = new Set<string>();
  const regret: number[] = [];
  let duplicates = 0;
  let asked = 0;
  let best = Number.POSITIVE_INFINITY;
  let bestMean = Number.NaN;
  const start = async (count: number, now: number): Promise<void> => {
    for (const { id, params } of await optimiser.ask(count)) {
      const key = canonical(params);
      if (seen.has(key)) duplicates++;
      seen.add(key);
      const { value, mean, seconds } = task.evaluate(params, seed);
      running.push({ id, ends: now + seconds, value, mean });
      asked++;
    }
  };
  await start(Math.min(workers, evaluations), 0);
  while (running.length > 0) {
    running.sort((a, b) => a.ends - b.ends || a.id - b.id);
    const ended = running.shift() as (typeof running)[number];
    await optimiser.tell(ended.id, [ended.value], ended.ends);
    const loss = task.loss(ended.value);
    if (loss < best) {
      best = loss;
      bestMean = ended.mean;
    }
    regret.push(task.regret(bestMean));
    if (asked < evaluations) await start(1, ended.ends);
  }
  return { regret, duplicates, cpuMs: optimiser.cpuMs() };
}

function canonical(params: Point): string {
  return JSON.stringify(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1)));
}
