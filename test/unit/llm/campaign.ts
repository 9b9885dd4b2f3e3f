import type { LlmConfig, Objective } from '../../../src/domain/campaign.ts';
import type { Point, Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';

/** A small campaign for the tests of the proposer. */
export const SPACE: Space = {
  parameters: [
    { name: 'lr', type: 'float', min: 1e-5, max: 0.1, log: true, default: 1e-3 },
    { name: 'layers', type: 'int', min: 1, max: 8 },
    { name: 'batch_size', type: 'ordinal', values: [32, 64, 128, 256] },
    { name: 'model', type: 'categorical', values: ['resnet18', 'vgg16', 'custom'] },
    { name: 'hidden', type: 'int', min: 64, max: 1024, when: { model: ['custom'] } },
    { name: 'classes', type: 'constant', value: 100 },
  ],
  constraints: ['layers * batch_size <= 1024'],
};

export const OBJECTIVES: readonly Objective[] = [{ metric: 'val_auc', direction: 'maximize', reduce: 'result' }];

export function point(lr: number, layers: number, batchSize: number, model: string, hidden?: number): Point {
  return { lr, layers, batch_size: batchSize, model, ...(hidden === undefined ? {} : { hidden }), classes: 100 };
}

/** A completed trial, or with `change` any other. */
export function trial(number: number, params: Point, value: number | undefined, change: Partial<TrialRow> = {}): TrialRow {
  return {
    number,
    params,
    origin: 'sobol',
    state: value === undefined ? 'failed' : 'completed',
    ...(value !== undefined
      ? { values: [value] }
      : change.state === undefined
        ? { failure: { class: 'not_finite', message: 'The objective is NaN' } }
        : {}),
    attempts: 1,
    createdAt: number * 1000,
    finishedAt: number * 1000 + 500,
    ...change,
  };
}

export function llm(baseUrl: string, options: Readonly<Record<string, unknown>> = {}): LlmConfig {
  return { baseUrl, model: 'tiny', options: { initialSamples: 0, tools: false, timeout: 5, ...options } };
}
