import type { Space } from '../../../src/domain/space.ts';
import type { FinalState, TrialRow, TrialState } from '../../../src/domain/trial.ts';
import type { SuggestRequest } from '../../../src/search/sampler.ts';

/** Spaces that the tests of samplers run over: each has something that one of them could get wrong. */
export const SPACES: Readonly<Record<string, Space>> = {
  numeric: {
    parameters: [
      { name: 'lr', type: 'float', min: 1e-5, max: 0.1, log: true },
      { name: 'momentum', type: 'float', min: 0.1, max: 0.99 },
      { name: 'units', type: 'int', min: 16, max: 1024, log: true },
      { name: 'layers', type: 'int', min: 1, max: 5 },
      { name: 'dropout', type: 'float', min: 0, max: 0.6, step: 0.1 },
    ],
  },
  conditional: {
    parameters: [
      { name: 'booster', type: 'categorical', values: ['linear', 'tree', 'dart'], default: 'tree' },
      { name: 'eta', type: 'float', min: 1e-3, max: 1, log: true, when: { booster: ['tree', 'dart'] }, default: 0.1 },
      { name: 'depth', type: 'int', min: 1, max: 15, when: { booster: ['tree', 'dart'] }, default: 6 },
      { name: 'skip', type: 'categorical', values: [true, false], when: { booster: ['dart'] }, default: true },
      { name: 'skip_rate', type: 'float', min: 0, max: 1, when: { booster: ['dart'], skip: [true] }, default: 0.5 },
      { name: 'seed', type: 'constant', value: 7 },
    ],
  },
  weighted: {
    parameters: [
      { name: 'model', type: 'categorical', values: ['a', 'b', 'c', 'd', 'e'], weights: [0.3, 0.25, 0.2, 0.15, 0.1] },
      { name: 'batch', type: 'ordinal', values: [32, 64, 128, 256], weights: [0.1, 0.3, 0.4, 0.2] },
      { name: 'lr', type: 'float', min: 1e-5, max: 0.1, log: true, suggestions: [1e-4, 1e-3, 1e-2] },
      { name: 'never', type: 'categorical', values: ['x', 'y', 'z'], weights: [1, 0, 1] },
    ],
  },
  constrained: {
    parameters: [
      { name: 'batch', type: 'ordinal', values: [32, 64, 128, 256] },
      { name: 'hidden', type: 'int', min: 64, max: 2048, log: true },
      { name: 'lr', type: 'float', min: 1e-4, max: 1, log: true },
    ],
    constraints: ['batch * hidden <= 65536'],
  },
  locked: {
    parameters: [
      { name: 'mode', type: 'categorical', values: ['plain', 'scaled'] },
      { name: 'scaling', type: 'categorical', values: ['off', 'on'], weights: [0, 1], when: { mode: ['scaled'] } },
      { name: 'factor', type: 'float', min: 0.1, max: 10, log: true, when: { scaling: ['on'] } },
      { name: 'lr', type: 'float', min: 1e-4, max: 1, log: true },
    ],
  },
  tiny: {
    parameters: [
      { name: 'a', type: 'categorical', values: ['x', 'y', 'z'] },
      { name: 'b', type: 'int', min: 1, max: 4 },
      { name: 'c', type: 'ordinal', values: [1, 2], when: { a: ['x', 'y'] } },
    ],
  },
};

/** A row of the table; a value makes it completed. */
export function row(number: number, params: TrialRow['params'], value?: number, state?: TrialState): TrialRow {
  const settled = state ?? (value === undefined ? 'running' : 'completed');
  return {
    number,
    params,
    origin: 'test',
    state: settled,
    attempts: 1,
    createdAt: number * 1000,
    ...(value === undefined ? {} : { values: [value] }),
    ...(settled === 'running' ? {} : { finishedAt: number * 1000 + 500 }),
  };
}

export const MINIMIZE = [{ metric: 'loss', direction: 'minimize', reduce: 'result' }] as const;
export const MAXIMIZE = [{ metric: 'accuracy', direction: 'maximize', reduce: 'result' }] as const;

export function request(space: Space, more: Partial<SuggestRequest> = {}): SuggestRequest {
  return { space, objectives: MINIMIZE, trials: [], count: 1, seed: 1, options: {}, ...more };
}

export type { FinalState };
