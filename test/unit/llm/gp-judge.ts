import type { Suggestion, TrialRow } from '../../../src/domain/trial.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import { OBJECTIVES, trial } from './campaign.ts';

/** What `gp` takes next on a grid of 11 values with the optimum at 0.7, when the model proposes `x`. */
export function suggestByGpCandidates(x: number): Suggestion | undefined {
  const tried = [0, 1, 2, 3, 4, 5, 9, 10].filter((step) => step / 10 !== x);
  const trials: TrialRow[] = tried.map((step, i) => trial(i + 1, { x: step / 10 }, 1 - (step / 10 - 0.7) ** 2));
  const result = samplerEntry('gp').sampler({
    space: { parameters: [{ name: 'x', type: 'float', min: 0, max: 1, step: 0.1 }] },
    objectives: OBJECTIVES,
    trials,
    count: 1,
    seed: 1,
    initialPoints: 5,
    options: { candidates: [{ params: { x }, origin: 'llm', note: 'because' }] },
  });
  return result.suggestions[0];
}
