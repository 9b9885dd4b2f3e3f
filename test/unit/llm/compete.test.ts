import { describe, expect, it } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import { placeProposals, withTaken } from '../../../src/llm/compete.ts';
import { SAMPLERS, samplerEntry } from '../../../src/search/registry.ts';
import { OBJECTIVES, trial } from './campaign.ts';

const SPACE: Space = { parameters: [{ name: 'x', type: 'categorical', values: Array.from({ length: 40 }, (_, i) => i + 1) }] };
const TRIALS = Array.from({ length: 12 }, (_, i) => trial(i + 1, { x: i + 1 }, i / 12));
const PROPOSALS = [20, 30].map((x) => ({ params: { x }, origin: 'llm', note: 'because' }));

describe("the model's points", () => {
  it.each(['gp', 'auto'])('are candidates of %s', (name) => {
    expect(placeProposals(samplerEntry(name), PROPOSALS, 2)).toEqual({ taken: [], candidates: PROPOSALS });
  });

  it.each(['tpe', 'random', 'sobol', 'grid', 'cmaes'])(
    'are taken as they are beside %s, whose option of that name means something else or is not there',
    (name) => {
      expect(placeProposals(samplerEntry(name), PROPOSALS, 1)).toEqual({ taken: PROPOSALS.slice(0, 1), candidates: [] });
    },
  );

  it.each(['gp', 'auto', 'tpe'])(
    'run as they are beside %s when the bandit gave them their turn, or the model would never earn',
    (name) => {
      expect(placeProposals(samplerEntry(name), PROPOSALS, 2, 'bandit')).toEqual({ taken: PROPOSALS, candidates: [] });
    },
  );

  it.each(Object.keys(SAMPLERS))('go together with %s: a whole batch, no point twice', (name) => {
    const entry = samplerEntry(name);
    const { taken, candidates } = placeProposals(entry, PROPOSALS, 6);
    const result = entry.sampler({
      space: SPACE,
      objectives: OBJECTIVES,
      trials: withTaken(TRIALS, taken),
      count: 6 - taken.length,
      seed: 1,
      options: candidates.length === 0 ? {} : { candidates },
    });
    const batch = [...taken, ...result.suggestions].map(({ params }) => params.x);
    expect(batch).toHaveLength(6);
    expect(new Set([...batch, ...TRIALS.map(({ params }) => params.x)]).size).toBe(18);
  });
});
