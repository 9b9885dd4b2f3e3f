import type { Objective, PrunerConfig, SamplerConfig, StopRules } from '../domain/campaign.ts';
import type { Space } from '../domain/space.ts';
import { PRUNERS } from '../search/pruning/registry.ts';
import { SAMPLERS } from '../search/registry.ts';
import { STOP_OPTIONS } from '../search/stop-rules.ts';
import type { CampaignSections } from './campaign-schema.ts';
import { admitOptions } from './options-check.ts';
import { type Problem, suggest } from './problem.ts';

type Sections = Partial<CampaignSections>;

/** The sampler when the file names none. */
export const DEFAULT_SAMPLER = 'auto';

/** Not given: always the same seed, so that a file describes one search. */
export const DEFAULT_SEED = 0;

/** Keys that `sampler` has with every type; the others are options of one. */
export const SAMPLER_KEYS = ['type', 'seed', 'initial_points'];

/** The sampler and its seed; adds to `problems` what is wrong with them, the space included where the sampler cannot search it. */
export function admitSampler(
  section: Sections['sampler'],
  space: Space | undefined,
  problems: Problem[],
): { sampler: SamplerConfig; seed: number } {
  const {
    type,
    seed,
    initial_points: initialPoints,
    ...rest
  } = typeof section === 'object' ? section : { type: section ?? DEFAULT_SAMPLER };
  const known = Object.keys(SAMPLERS);
  const entry = Object.hasOwn(SAMPLERS, type) ? SAMPLERS[type] : undefined;
  const at = typeof section === 'object' ? ['sampler', 'type'] : ['sampler'];
  if (entry === undefined) {
    problems.push({ path: at, what: `is "${type}", but must be one of ${known.join(', ')}`, ...nearOnly(type, known) });
    return { sampler: { type, options: {} }, seed: seed ?? DEFAULT_SEED };
  }
  const options = admitOptions(entry.options ?? {}, rest, ['sampler'], SAMPLER_KEYS, problems);
  if (type === 'grid' && space !== undefined) problems.push(...checkGrid(space, options));
  return { sampler: { type, ...(initialPoints === undefined ? {} : { initialPoints }), options }, seed: seed ?? DEFAULT_SEED };
}

/** The same for `pruner`. */
export const PRUNER_KEYS = ['type', 'min_steps', 'max_steps', 'reduction_factor'];

/** The pruner with its defaults; undefined without one or with an unknown type, of which `problems` tells. */
export function admitPruner(section: Sections['pruner'], problems: Problem[]): PrunerConfig | undefined {
  if (section === undefined) return undefined;
  const { type, min_steps: givenSteps, max_steps: maxSteps, reduction_factor: givenFactor, ...rest } = section;
  const entry = Object.hasOwn(PRUNERS, type) ? PRUNERS[type] : undefined;
  if (entry === undefined) {
    problems.push(unknownType('pruner', type, Object.keys(PRUNERS)));
    return undefined;
  }
  const defaults = entry.defaults?.(maxSteps) ?? { minSteps: 1, reductionFactor: 3 };
  const minSteps = givenSteps ?? defaults.minSteps;
  const reductionFactor = givenFactor ?? defaults.reductionFactor;
  if (maxSteps <= 1)
    problems.push({
      path: ['pruner', 'max_steps'],
      what: `is ${maxSteps}: a training of one step is never stopped early`,
      next: 'Remove the pruner.',
    });
  else if (minSteps >= maxSteps)
    problems.push({
      path: ['pruner', 'min_steps'],
      what: `${minSteps} is not below max_steps ${maxSteps}`,
      next: 'Set it to an eighth or a quarter of max_steps, or leave it out.',
    });
  const options = admitOptions(entry.options, rest, ['pruner'], PRUNER_KEYS, problems);
  return { type, minSteps, maxSteps, reductionFactor, options };
}

/** A type that none of the section's choices has. */
export function unknownType(section: 'sampler' | 'pruner', type: string, known: readonly string[]): Problem {
  return { path: [section, 'type'], what: `is "${type}", but must be one of ${known.join(', ')}`, ...nearOnly(type, known) };
}

function nearOnly(word: string, known: readonly string[]): { next?: string } {
  const next = suggest(word, known);
  return next.startsWith('Did') ? { next } : {};
}

/** A grid needs countable parameters, unless its own option says how many points a continuous one has. */
function checkGrid(space: Space, options: Readonly<Record<string, unknown>>): Problem[] {
  if (Object.keys(options).some((key) => /points/.test(key))) return [];
  return space.parameters.flatMap((parameter) =>
    parameter.type === 'float' && parameter.step === undefined
      ? [
          {
            path: ['search_space', parameter.name],
            what: 'is continuous, and the sampler is grid',
            next: 'Give it a step, or list its values as ordinal.',
            atKey: true,
          },
        ]
      : [],
  );
}

/** The objectives in the file's order; adds to `problems` what is wrong with them. */
export function admitObjectives(section: Sections['objective'], stop: Sections['stop'], problems: Problem[]): Objective[] | undefined {
  if (section === undefined) return undefined;
  const objectives: Objective[] = Array.isArray(section) ? [...section] : [section];
  objectives.forEach(({ metric }, index) => {
    if (objectives.findIndex((other) => other.metric === metric) !== index)
      problems.push({ path: ['objective', index, 'metric'], what: `"${metric}" is an objective already` });
  });
  const [first] = objectives;
  if (stop?.target === undefined || first === undefined) return objectives;
  if (objectives.length > 1)
    problems.push({
      path: ['stop', 'target'],
      what: 'does not say for which of several objectives',
      next: 'Give each objective its own target.',
    });
  else if (first.target !== undefined && first.target !== stop.target) {
    problems.push({
      path: ['stop', 'target'],
      what: `is ${stop.target}, but objective.target is ${first.target}`,
      next: 'They mean the same: keep one.',
    });
  }
  return [{ ...first, target: stop.target }, ...objectives.slice(1)];
}

/** Keys of `stop` that only one rule reads. */
const OF_RULE = { window: 'windowed', plateau_trials: 'plateau' } as const;

/** Keys of `stop` that every rule reads. */
export const STOP_KEYS = ['patience', 'min_delta', 'target', 'failures_alike'];

/** The stop rules and their options; adds to `problems` what is wrong with them. */
export function admitStop(section: Sections['stop'], objectives: readonly Objective[] | undefined, problems: Problem[]): StopRules {
  const { patience, min_delta: minDelta, target: _, failures_alike: failuresAlike, ...rest } = section ?? {};
  const options = admitOptions(STOP_OPTIONS, rest, ['stop'], STOP_KEYS, problems);
  const { regret_bound: regretBound, ...ofPatience } = options;
  if (regretBound !== undefined && (objectives?.length ?? 1) > 1)
    problems.push({ path: ['stop', 'regret_bound'], what: 'is for one objective', next: 'Remove it, or keep one objective.', atKey: true });
  const isMisspelt = problems.some(({ path, next }) => path[0] === 'stop' && next === 'Did you mean "patience"?');
  if (patience === undefined && !isMisspelt && (minDelta !== undefined || Object.keys(ofPatience).length > 0)) {
    problems.push({
      path: ['stop'],
      what: 'has no patience, so its other keys would have no effect',
      next: 'Set stop.patience.',
      atKey: true,
    });
  }
  for (const [key, rule] of Object.entries(OF_RULE)) {
    if (patience === undefined || ofPatience[key] === undefined || (ofPatience.rule ?? STOP_OPTIONS.rule.default) === rule) continue;
    problems.push({ path: ['stop', key], what: `is for rule ${rule} only`, next: `Set stop.rule: ${rule}, or leave it out.`, atKey: true });
  }
  return {
    ...(patience === undefined ? {} : { patience }),
    minDelta: minDelta ?? 0,
    ...(ofPatience.rule === 'windowed' && !minDelta ? { equalIsNoGain: true } : {}),
    ...(failuresAlike === undefined ? {} : { failuresAlike }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
  };
}
