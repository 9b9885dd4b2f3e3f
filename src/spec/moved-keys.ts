import { didYouMean, suggest } from './problem.ts';

/** Keys of the prototype, of other tools, and of the wrong level, and where their meaning stands here. */
const MOVED: Readonly<Record<string, string>> = {
  aurora: 'system',
  batch_size: 'search_space.batch_size',
  bundle: 'training.bundle',
  command: 'training.command',
  convergence_patience: 'stop.patience, and stop.rule: windowed for the windows of the prototype',
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

/** Keys of a parameter in other tools, and what they are called here. */
const OF_PARAMETER: Readonly<Record<string, string>> = {
  categories: 'values',
  choices: 'values',
  distribution: 'type',
  high: 'max',
  low: 'min',
  lower: 'min',
  maximum: 'max',
  minimum: 'min',
  options: 'values',
  q: 'step',
  scale: 'log: true',
  upper: 'max',
};

/** What to write instead of an unknown key inside a section: what it is called here, the nearest of those known, or the list of them. */
export function suggestKey(section: readonly (string | number)[], key: string, known: readonly string[]): string {
  const ours = section[0] === 'search_space' ? OF_PARAMETER : section.length > 0 ? MOVED : {};
  return Object.hasOwn(ours, key) && !known.includes(key) ? `Write ${ours[key]}.` : suggest(key, known);
}

/** What to write instead of an unknown key at the top: the nearest of ours, or where the meaning of a foreign one stands. */
export function suggestTopKey(key: string, ours: readonly string[]): string {
  if (Object.hasOwn(MOVED, key)) return `Write ${MOVED[key]}.`;
  const own = didYouMean(key, ours);
  if (own !== undefined) return own;
  const foreign = /"(.*)"/.exec(didYouMean(key, Object.keys(MOVED)) ?? '')?.[1];
  return foreign === undefined ? suggest(key, ours) : `Did you mean ${MOVED[foreign]}?`;
}
