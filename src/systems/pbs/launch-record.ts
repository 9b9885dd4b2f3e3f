import type { LaunchRecord } from '../../domain/spool.ts';
import type { LaunchPlan } from '../driver.ts';

/** `launch.json` of a plan: what all trials of the campaign share. */
export function launchRecord(plan: LaunchPlan, facts: { readonly bundle: string | null; readonly python: string }): LaunchRecord {
  const { spec } = plan;
  return {
    version: 1,
    campaign: plan.campaign,
    launch: plan.launch,
    system: spec.system.name,
    command: spec.training.command,
    env: spec.training.env,
    bundle: facts.bundle,
    data_dir: spec.training.dataDir ?? null,
    python: facts.python,
    slots_per_trial: spec.training.slots,
    objectives: spec.objectives,
    metric_constraints: spec.metricConstraints ?? [],
    limits: {
      trial_seconds: spec.limits.trialSeconds ?? null,
      hang_factor: spec.limits.hangFactor,
      hang_min_seconds: spec.limits.hangMinSeconds,
      grace_seconds: spec.limits.graceSeconds,
      log_bytes: spec.limits.logBytes,
    },
    job_pattern: spec.workingDirs.jobPattern,
    report_steps: plan.reportSteps,
    owner: plan.owner,
  };
}
