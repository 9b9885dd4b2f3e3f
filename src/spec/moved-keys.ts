import { campaignShape } from './campaign-schema.ts';
import { didYouMean, suggest } from './problem.ts';

/** Keys of the prototype, of other tools, and of the wrong level, and where their meaning stands here. */
const MOVED: Readonly<Record<string, string>> = {
  aurora: 'system',
  batch_size: 'search_space.batch_size',
  bundle: 'training.bundle',
  command: 'training.command',
  convergence_patience: 'stop.patience',
  data_dir: 'training.data_dir',
  deadline: 'budget.until',
  direction: 'objective.direction',
  endpoint_id: 'globus_compute.endpoint_id',
  env: 'training.env',
  initial_samples: 'sampler.initial_points',
  max_concurrent: 'concurrency',
  max_iterations: 'budget.trials',
  max_trials: 'budget.trials',
  metric: 'objective.metric',
  n_trials: 'budget.trials',
  node_hours: 'budget.node_hours',
  num_trials: 'budget.trials',
  objectives: 'objective',
  optimization: 'objective, budget and stop',
  parallel_jobs: 'concurrency',
  parameters: 'search_space',
  patience: 'stop.patience',
  queue: 'system.queue',
  retry: 'retries',
  seed: 'sampler.seed',
  sophia: 'llm',
  space: 'search_space',
  strategy: 'sampler and llm',
  timeout: 'limits.trial_seconds',
  train: 'training',
  trials: 'budget.trials',
  wall_time: 'budget.wall_time',
  walltime: 'system.walltime',
};

/** What to write instead of an unknown key at the top: the nearest of ours, or where the meaning of a foreign one stands. */
export function suggestTopKey(key: string): string {
  const ours = Object.keys(campaignShape);
  if (Object.hasOwn(MOVED, key)) return `Write ${MOVED[key]}.`;
  const own = didYouMean(key, ours);
  if (own !== undefined) return own;
  const foreign = /"(.*)"/.exec(didYouMean(key, Object.keys(MOVED)) ?? '')?.[1];
  return foreign === undefined ? suggest(key, ours) : `Did you mean ${MOVED[foreign]}?`;
}
