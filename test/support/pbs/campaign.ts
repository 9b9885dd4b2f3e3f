import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import type { OfferRecord } from '../../../src/domain/spool.ts';
import { type PbsProfile, profileSchema } from '../../../src/spec/profile.ts';
import { localCarrier } from '../../../src/ssh/local-carrier.ts';
import { makeRemoteShell } from '../../../src/ssh/shell.ts';
import type { RemoteShell } from '../../../src/ssh/transport.ts';
import type { LaunchPlan } from '../../../src/systems/driver.ts';
import type { SubmitTiming } from '../../../src/systems/pbs/exchange.ts';
import type { PbsStandIn } from './standin.ts';

/** Short times, in the same order as the real ones: a qsub ends before a lock may be taken over and before an attempt counts as settled. */
export const QUICK: SubmitTiming = { settleSeconds: 3, lockSeconds: 3, commandSeconds: 2, qstatSeconds: 3, qsubSeconds: 0.1 };

/** The stand-in's site as a profile file would tell it. */
export const STAND_IN_SITE = {
  version: 1,
  name: 'standin',
  kind: 'pbs',
  as_of: '2026-11-23',
  source: 'test/support/pbs',
  ssh: { host: 'standin', transport: 'none' },
  // Runs behind the job's claim of its pilot: two lines of one pilot would be a double run.
  setup: ['echo "$PBS_JOBNAME" >>"$HOME/worked"'],
  slots: { per_node: 2, env: { HOLDFAST_TEST_SLOT: '{slot}' } },
  default_queue: 'debug',
  queues: [
    { name: 'debug', nodes: { min: 1, max: 2 }, walltime: { max: '1h' }, per_user: { queued: 4 } },
    { name: 'debug-scaling', nodes: { min: 1, max: 4 }, walltime: { min: '5m', max: '1h' }, per_user: { queued: 1 } },
    { name: 'prod', nodes: { min: 1, max: 8 }, walltime: { max: '24h' } },
  ],
  filesystems: { required: true, known: ['home', 'flare'], default: ['home', 'flare'] },
  directives: { lines: ['-k doe', '-j oe', '-r n'] },
  launcher: 'mpiexec -n {nodes} --ppn 1',
  poll_seconds: 0.2,
};

/** `change` goes over the file's keys. */
export function standInProfile(change: Readonly<Record<string, unknown>> = {}): PbsProfile {
  const profile = profileSchema.parse({ ...STAND_IN_SITE, ...change });
  if (profile.kind !== 'pbs') throw new Error('not a PBS profile');
  return profile;
}

/** A login on the stand-in's "login node" without SSH. */
export function standInShell(pbs: PbsStandIn): RemoteShell {
  return makeRemoteShell(localCarrier({ env: pbs.env }));
}

export interface PlanOptions {
  readonly campaign?: string;
  readonly command?: readonly string[];
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly spec?: Partial<CampaignSpec>;
}

/** A campaign on the stand-in; each trial runs `command` (default: writes its parameter x as objective). Starts are logged in `<home>/starts`. */
export function planOf(pbs: PbsStandIn, options: PlanOptions = {}): LaunchPlan {
  const campaign = options.campaign ?? 'camp-1';
  const bundle = join(pbs.directory, 'code');
  mkdirSync(bundle, { recursive: true });
  writeFileSync(
    join(bundle, 'train.sh'),
    `echo "$HOLDFAST_CAMPAIGN/$HOLDFAST_TRIAL.$HOLDFAST_ATTEMPT" >>"$HOME/starts"\nsleep "\${1:-0}"\nprintf '{"loss": %s}\\n' "$2" >"$HOLDFAST_OUT/results.json"\n`,
    { mode: 0o755 },
  );
  return {
    campaign,
    launch: `${campaign}_20261123_050000`,
    reportSteps: [],
    owner: { namespace: 'default', workflow_id: campaign, epoch: 1 },
    spec: {
      version: 1,
      name: campaign,
      system: { name: 'standin', kind: 'pbs', settings: { mode: 'pilot', account: 'hpo_proj', walltime: 600, ...options.settings } },
      objectives: [{ metric: 'loss', direction: 'minimize', reduce: 'result' }],
      space: { parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] },
      sampler: { type: 'random', options: {} },
      enqueue: [],
      training: { command: options.command ?? ['sh', '{code}/train.sh', '0', '{x}'], bundle, env: {}, slots: 1 },
      budget: { trials: 4 },
      stop: { minDelta: 0 },
      limits: { hangFactor: 0, hangMinSeconds: 600, graceSeconds: 2, logBytes: 1_000_000 },
      retries: { infrastructure: 5, trial: 1 },
      workingDirs: {
        localBase: join(pbs.directory, 'local'),
        remoteBase: join(pbs.directory, 'flare'),
        launchIterationPattern: '{timestamp}',
        jobPattern: '{job_id}',
      },
      allowDuplicates: false,
      seed: 1,
      ...options.spec,
    },
  };
}

export function offer(campaign: string, number: number, x: number, attempt = 1): OfferRecord {
  return {
    version: 1,
    campaign,
    trial: `trial-${String(number).padStart(4, '0')}`,
    attempt,
    params: { x },
    resume_from: null,
    target_step: null,
  };
}
