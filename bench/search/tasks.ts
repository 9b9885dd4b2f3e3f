import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Point } from '../../src/domain/space.ts';
import type { BenchParameter } from './optimisers.ts';

/** A benchmark task as the evaluator beside tasks.json gives it. */
export interface Task {
  readonly id: string;
  readonly family: string;
  readonly direction: 'minimize' | 'maximize';
  readonly space: readonly BenchParameter[];
  readonly randomTail: readonly (readonly [p: number, value: number])[];
  readonly evaluate: (params: Point, repetition?: number) => { readonly value: number; readonly mean: number; readonly seconds: number };
  /** Learning curves (lcbench): value and seconds after `step` epochs. */
  readonly at?: (params: Point, step: number) => { readonly value: number; readonly seconds: number };
  readonly regret: (value: number) => number;
  readonly loss: (value: number) => number;
}

/** Tasks of a folder that holds tasks.json and its evaluate.mjs. */
export async function loadTasks(folder: string): Promise<Task[]> {
  const evaluator = (await import(pathToFileURL(join(folder, 'evaluate.mjs')).href)) as { loadTasks: (root: string) => Task[] };
  return evaluator.loadTasks(folder);
}
