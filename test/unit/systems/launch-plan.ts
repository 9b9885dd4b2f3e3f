import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import type { LaunchRecord, OfferRecord } from '../../../src/domain/spool.ts';
import type { LaunchPlan, LookResult, SystemDriver } from '../../../src/systems/driver.ts';
import { killProcessesOf } from '../../support/processes.ts';

/** A folder of its own for one test; removed by `remove`. */
export function temporaryFolder(): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-test-'));
  const remove = () => {
    for (let tries = 1; ; tries++) {
      // Of two agents that start at once the one that loses may come up later than its test ends: with the name free by then it lives on, and makes folders.
      killProcessesOf(folder);
      try {
        return rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || tries === 5) throw error;
      }
    }
  };
  return { folder, remove };
}

/** A training in shell: $1 is its output folder, $2 the parameter x. It leaves its name in the outside record of starts, then its result. */
export const SHELL_TRAINING = (startsFile: string, seconds = 0): string[] => [
  '/bin/sh',
  '-c',
  `echo "$HOLDFAST_TRIAL.$HOLDFAST_ATTEMPT" >> "${startsFile}"; sleep ${seconds}; echo "{\\"y\\": $2}" > "$1/results.json"`,
  'training',
  '{out}',
  '{x}',
];

export function launchPlan(localBase: string, campaign: string, command: readonly string[], spec: Partial<CampaignSpec> = {}): LaunchPlan {
  return {
    campaign,
    launch: `launch-${campaign}`,
    owner: { namespace: 'default', workflow_id: campaign, epoch: 1 },
    reportSteps: [],
    spec: {
      version: 1,
      name: campaign,
      system: { name: 'local', kind: 'local', settings: {} },
      objectives: [{ metric: 'y', direction: 'maximize', reduce: 'result' }],
      space: { parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] },
      sampler: { type: 'random', options: {} },
      enqueue: [],
      training: { command, env: {}, slots: 1 },
      budget: { trials: 4 },
      stop: { minDelta: 0 },
      limits: { hangFactor: 0, hangMinSeconds: 600, graceSeconds: 1, logBytes: 1_000_000 },
      retries: { infrastructure: 5, trial: 1 },
      workingDirs: { localBase, launchIterationPattern: '{campaign}', jobPattern: '{job_id}' },
      allowDuplicates: false,
      seed: 1,
      ...spec,
    },
  };
}

/** launch.json as a system writes it. */
export function launchRecord(campaign: string, command: readonly string[]): LaunchRecord {
  return {
    version: 1,
    campaign,
    launch: `launch-${campaign}`,
    system: 'local',
    command,
    env: {},
    bundle: null,
    data_dir: null,
    python: 'python3',
    slots_per_trial: 1,
    objectives: [{ metric: 'y', direction: 'maximize', reduce: 'result' }],
    metric_constraints: [],
    limits: { trial_seconds: null, hang_factor: 0, hang_min_seconds: 600, grace_seconds: 1, log_bytes: 1_000_000 },
    job_pattern: '{job_id}',
    report_steps: [],
    owner: { namespace: 'default', workflow_id: campaign, epoch: 1 },
  };
}

export function offerOf(campaign: string, trial: number, attempt = 1): OfferRecord {
  const name = `trial-${String(trial).padStart(4, '0')}`;
  return { version: 1, campaign, trial: name, attempt, params: { x: trial / 100 }, resume_from: null, target_step: null };
}

/** Looks on, taking every end in, until `isEnough`; returns all ends in order of arrival. Fails after two minutes. */
export async function lookUntil(
  driver: SystemDriver,
  pilots: readonly { pilot: string; campaign: string }[],
  isEnough: (ended: LookResult['ended'], last: LookResult) => boolean,
): Promise<{ ended: LookResult['ended']; last: LookResult; looks: number }> {
  const ended: LookResult['ended'][number][] = [];
  let acks: { campaign: string; trial: string; attempt: number }[] = [];
  let cursor: string | undefined;
  let looks = 0;
  const deadline = performance.now() + 120_000;
  while (performance.now() < deadline) {
    const request = { acks, pilots, waitSeconds: 1, ...(cursor === undefined ? {} : { cursor }) };
    const seen = await driver.look(request, new AbortController().signal);
    acks = [];
    if (seen === undefined) continue;
    looks += 1;
    cursor = seen.cursor;
    ended.push(...seen.ended);
    acks = seen.ended.map(({ campaign, trial, attempt }) => ({ campaign, trial, attempt }));
    if (isEnough(ended, seen)) return { ended, last: seen, looks };
  }
  throw new Error(`two minutes were not enough; ended: ${ended.map((end) => `${end.trial}.${end.attempt} ${end.status}`).join(', ')}`);
}
