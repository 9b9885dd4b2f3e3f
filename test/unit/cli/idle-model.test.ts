import { describe, expect, it } from 'vitest';
import { idleModel } from '../../../src/cli/idle-model.ts';

const llm = (options: Record<string, unknown> = {}) => ({ baseUrl: 'http://127.0.0.1:1/v1', model: 'm', options });

describe('a language model that would never be asked', () => {
  it('is warned of when the sampler has all trials of the budget', () => {
    expect(idleModel({ llm: llm(), budget: { trials: 20 } })).toEqual([
      "llm.initial_samples: the first 20 trials are the sampler's, and budget.trials is 20: the model would never be asked. Lower one or raise the other.",
    ]);
  });

  it('is none when a trial is left for it, when nothing counts trials, or when there is no model', () => {
    expect(idleModel({ llm: llm(), budget: { trials: 21 } })).toEqual([]);
    expect(idleModel({ llm: llm({ initialSamples: 0 }), budget: { trials: 1 } })).toEqual([]);
    expect(idleModel({ llm: llm(), budget: { wallSeconds: 60 } })).toEqual([]);
    expect(idleModel({ budget: { trials: 3 } })).toEqual([]);
  });
});
