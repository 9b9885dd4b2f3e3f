import type { CampaignSpec } from '../domain/campaign.ts';
import type { Problem } from './problem.ts';
import type { Sections } from './sections.ts';
import { isMapping } from './source.ts';
import { one } from './spellings.ts';

interface Shared {
  readonly concurrency: number | undefined;
  readonly spacing: number | undefined;
  readonly trialSeconds: number | undefined;
  readonly retries: number | undefined;
}

/** The guide's Globus keys that mean the same as general ones; they count only when Globus Compute runs the trials. */
export function shareGlobus(
  sections: Sections,
  globus: Sections['globus_compute'],
  root: Readonly<Record<string, unknown>>,
  problems: Problem[],
): Shared {
  const jobs = globus?.parallelJobs;
  // Only what the file itself says can contradict; a default gives way.
  const written = isMapping(root.globus_compute) ? root.globus_compute : {};
  const timeout = written.function_timeout === undefined ? undefined : globus?.functionTimeout;
  const retries = written.max_retries === undefined ? undefined : globus?.maxRetries;
  if (globus?.liveMetrics === false && sections.pruner !== undefined) {
    problems.push({
      path: ['globus_compute', 'live_metrics'],
      what: 'is false, but the pruner decides by what running trials report',
      next: 'Remove one of them.',
    });
  }
  return {
    concurrency: one(
      sections.concurrency,
      ['concurrency'],
      jobs?.maxConcurrent,
      ['globus_compute', 'parallel_jobs', 'max_concurrent'],
      problems,
    ),
    spacing: one(
      sections.spacing,
      ['spacing'],
      jobs?.jobSpacingSeconds,
      ['globus_compute', 'parallel_jobs', 'job_spacing_seconds'],
      problems,
    ),
    trialSeconds:
      one(sections.limits?.trialSeconds, ['limits', 'trial_seconds'], timeout, ['globus_compute', 'function_timeout'], problems) ??
      globus?.functionTimeout,
    retries:
      one(sections.retries?.infrastructure, ['retries', 'infrastructure'], retries, ['globus_compute', 'max_retries'], problems) ??
      globus?.maxRetries,
  };
}

/** The cautious start, from `ramp` or from the guide's initial_batch_size. */
export function admitRamp(
  sections: Sections,
  globus: Sections['globus_compute'],
  concurrency: number | undefined,
  problems: Problem[],
): CampaignSpec['ramp'] {
  const jobs = globus?.parallelJobs;
  const path = ['globus_compute', 'parallel_jobs', 'initial_batch_size'];
  const initial = one(sections.ramp?.initial, ['ramp', 'initial'], jobs?.initialBatchSize, path, problems);
  if (initial === undefined) return undefined;
  const at = sections.ramp === undefined ? path : ['ramp', 'initial'];
  if (concurrency !== undefined && initial > concurrency)
    problems.push({ path: at, what: `is ${initial}, more than the ${concurrency} trials at once` });
  return { initial, isAdaptive: sections.ramp?.adaptive ?? jobs?.adaptiveScaling ?? true };
}
