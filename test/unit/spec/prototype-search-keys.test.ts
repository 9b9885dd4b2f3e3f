import { describe, expect, it } from 'vitest';
import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import { admitCampaign } from '../../../src/spec/admit.ts';

const BASE = {
  name: 'keys',
  training: { command: ['true'] },
  objective: { metric: 'val_auc', direction: 'maximize' },
  budget: { trials: 100 },
  stop: { patience: 15, min_delta: 0.001, rule: 'windowed' },
  sampler: { type: 'auto', initial_points: 20 },
  pruner: { type: 'asha', min_steps: 5, max_steps: 100 },
  llm: { base_url: 'https://inference.example/v1', model: 'm', exploration_factor: 0.7, exploitation_ramp: 0.05, min_exploration: 0.2 },
  search_space: { lr: { type: 'log_uniform', min: 1e-5, max: 0.1 }, num_epochs: { type: 'int_uniform', min: 5, max: 100 } },
};

type Block = keyof typeof BASE;

/** Row C7: the prototype's key under `optimization`, where it stands here, another value, and what the campaign then has instead. */
const KEYS: readonly (readonly [prototype: string, block: Block, key: string, value: unknown, read: (spec: CampaignSpec) => unknown])[] = [
  ['objective (measure)', 'objective', 'metric', 'final_accuracy', (s) => s.objectives[0]?.metric],
  ['objective (direction)', 'objective', 'direction', 'minimize', (s) => s.objectives[0]?.direction],
  ['max_iterations', 'budget', 'trials', 7, (s) => s.budget.trials],
  ['convergence_patience', 'stop', 'patience', 3, (s) => s.stop.patience],
  ['strategy.initial_phase', 'sampler', 'type', 'random', (s) => s.sampler.type],
  ['strategy.initial_samples', 'sampler', 'initial_points', 4, (s) => s.sampler.initialPoints],
  ['strategy.exploration_factor', 'llm', 'exploration_factor', 0.4, (s) => s.llm?.options.explorationFactor],
  ['strategy.exploitation_ramp', 'llm', 'exploitation_ramp', 0.1, (s) => s.llm?.options.exploitationRamp],
  ['strategy.min_exploration', 'llm', 'min_exploration', 0.3, (s) => s.llm?.options.minExploration],
  ['auc_optimization.min_epochs', 'pruner', 'min_steps', 9, (s) => s.pruner?.minSteps],
  ['auc_optimization.max_epochs', 'pruner', 'max_steps', 50, (s) => s.pruner?.maxSteps],
  ['auc_optimization.auc_improvement_threshold', 'stop', 'min_delta', 0.01, (s) => s.stop.minDelta],
];

describe('the prototype’s search settings (row C7)', () => {
  it.each(KEYS)('%s is %s.%s: another value is another campaign', async (_, block, key, value, read) => {
    const changed = await admitCampaign({ ...BASE, [block]: { ...BASE[block as 'stop'], [key]: value } });
    const before = read(await admitCampaign(BASE));
    expect(read(changed)).toBe(value);
    expect(before).toBeDefined();
    expect(before).not.toBe(value);
  });

  it('a patience within one training is a pruner of its own', async () => {
    const spec = await admitCampaign({ ...BASE, pruner: { type: 'patience', min_steps: 5, max_steps: 100, patience: 10 } });
    expect(spec.pruner).toMatchObject({ type: 'patience', minSteps: 5, options: { patience: 10 } });
  });

  it('initial_points is the length of the design, before the model speaks', async () => {
    for (const points of [4, 9]) {
      const { space, objectives, sampler } = await admitCampaign({ ...BASE, sampler: { type: 'auto', initial_points: points } });
      const trials = Array.from({ length: 6 }, (_, i) => ({
        number: i + 1,
        params: { lr: 10 ** -(1 + i / 2), num_epochs: 10 + i },
        origin: 'sobol',
        state: 'completed' as const,
        values: [i],
        attempts: 1,
        createdAt: i,
        finishedAt: i,
      }));
      const request = { space, objectives, trials, count: 1, seed: 1, options: {}, initialPoints: sampler.initialPoints as number };
      expect(samplerEntry('auto').sampler(request).suggestions[0]?.origin).toBe(points > 6 ? 'sobol' : 'gp');
    }
  });

  it('the block as a whole is refused with where its parts stand here', async () => {
    await expect(admitCampaign({ ...BASE, optimization: { max_iterations: 100 } })).rejects.toThrow(
      /optimization: is not a key here.*objective, budget and stop/,
    );
  });
});
