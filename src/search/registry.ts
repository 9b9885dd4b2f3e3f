import { AUTO_OPTIONS, autoSampler } from './auto.ts';
import { BLIND_OPTIONS, gridSampler, randomSampler, sobolSampler } from './blind-samplers.ts';
import { CMAES_OPTIONS, cmaesSampler } from './cmaes.ts';
import { GP_OPTIONS, gpSampler } from './gp/sampler.ts';
import { NSGA2_OPTIONS, nsga2Sampler } from './nsga2.ts';
import type { SamplerEntry } from './sampler.ts';
import { TPE_OPTIONS, tpeSampler } from './tpe/sampler.ts';

/** Every sampler by the name that `sampler.type` of a campaign file gives it. */
export const SAMPLERS: Readonly<Record<string, SamplerEntry>> = {
  auto: {
    sampler: autoSampler,
    ignoresResults: false,
    summary: 'The default: begins with your default point and chooses the method by space, results and parallelism.',
    options: AUTO_OPTIONS,
  },
  random: {
    sampler: randomSampler,
    ignoresResults: true,
    summary: 'Independent draws from the space, by weights and scales.',
    options: BLIND_OPTIONS.random,
  },
  sobol: {
    sampler: sobolSampler,
    ignoresResults: true,
    summary: 'Scrambled Sobol sequence: evenly spread points.',
    options: BLIND_OPTIONS.sobol,
  },
  grid: {
    sampler: gridSampler,
    ignoresResults: true,
    summary: 'Every combination of values, in order.',
    options: BLIND_OPTIONS.grid,
  },
  tpe: {
    sampler: tpeSampler,
    ignoresResults: false,
    summary: 'Tree-structured Parzen estimator: univariate, multivariate or by groups.',
    options: TPE_OPTIONS,
  },
  cmaes: {
    sampler: cmaesSampler,
    ignoresResults: false,
    summary: 'Covariance matrix adaptation, with a margin for integers.',
    options: CMAES_OPTIONS,
  },
  nsga2: {
    sampler: nsga2Sampler,
    ignoresResults: false,
    summary: 'NSGA-II, for several objectives and many trials.',
    options: NSGA2_OPTIONS,
  },
  gp: {
    sampler: gpSampler,
    ignoresResults: false,
    summary: 'Gaussian process with expected improvement.',
    options: GP_OPTIONS,
  },
};

/**
 * The sampler of that name.
 * @throws Error listing the names there are.
 */
export function samplerEntry(name: string): SamplerEntry {
  const entry = Object.hasOwn(SAMPLERS, name) ? SAMPLERS[name] : undefined;
  if (!entry) throw new Error(`sampler.type "${name}" is not known. Known: ${Object.keys(SAMPLERS).sort().join(', ')}.`);
  return entry;
}
