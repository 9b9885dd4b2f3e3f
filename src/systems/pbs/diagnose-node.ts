import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { CampaignSpec } from '../../domain/campaign.ts';
import type { DoneRecord } from '../../domain/spool.ts';
import { packageRoot } from '../../package-root.ts';
import type { PbsSettings } from '../../spec/pbs-settings.ts';
import type { PbsProfile } from '../../spec/profile.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import { DriverError, type PilotSeen } from '../driver.ts';
import { createPbsDriver } from './driver.ts';
import type { SubmitTiming } from './exchange.ts';

export interface NodeDiagnosisOptions {
  readonly settings: PbsSettings;
  readonly dataDir?: string;
  readonly maxWaitSeconds: number;
  /** Pause between two looks, seconds. */
  readonly pollSeconds: number;
  readonly progress: (note: string) => void;
  readonly timing?: SubmitTiming;
  readonly signal: AbortSignal;
}

const results = z.object({
  failed: z.int(),
  checks: z.array(z.object({ name: z.string(), status: z.enum(['ok', 'warn', 'fail']), found: z.string() })),
});
export type NodeCheck = z.output<typeof results>['checks'][number];

/** Variables that name one device of a slot: where a profile sets one, a training without a device is an error. */
const DEVICE_VARIABLES = ['ZE_AFFINITY_MASK', 'CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES'];

/**
 * Runs remote/diag/check_node.py as the one trial of one job, with the setup, the environment and the slot that trials get, and returns what it found.
 * Ends the job and removes what it made on the system, whatever happens.
 * @throws DriverError when the job was refused, did not start in time or left no answer.
 */
export async function diagnoseNode(profile: PbsProfile, shell: RemoteShell, options: NodeDiagnosisOptions): Promise<readonly NodeCheck[]> {
  const name = `${profile.name}-diag`;
  const campaign = `diag-${randomBytes(4).toString('hex')}`;
  const pilot = `${campaign}.p1`;
  const localBase = await mkdtemp(join(tmpdir(), 'holdfast-diag-'));
  const { timing } = options;
  const driver = createPbsDriver({ name, profile, shell, ...(timing === undefined ? {} : { timing }) });
  let directory: string | undefined;
  try {
    const spec = specOf(profile, campaign, localBase, options);
    const owner = { namespace: 'diag', workflow_id: campaign, epoch: 1 };
    ({ directory } = await driver.prepareLaunch({ campaign, launch: campaign, spec, owner, reportSteps: [] }, options.progress));
    const offer = {
      version: 1,
      campaign,
      trial: 'trial-0001',
      attempt: 1,
      params: { check: 1 },
      resume_from: null,
      target_step: null,
    } as const;
    await driver.send([{ kind: 'offer', campaign, offer }]);
    const start = await driver.startPilot({ pilot, campaign });
    if (start.kind === 'refused' || start.kind === 'wait')
      throw new DriverError('refused', 'HF-DIAG', `no job: ${start.kind === 'wait' ? start.message : start.failure.message}`);
    options.progress(start.kind === 'started' ? `job ${start.nativeId}` : start.message);
    const record = await endOf(campaign, pilot);
    await driver.collect(campaign, record, join(localBase, campaign));
    return checksOf(record, join(localBase, campaign));
  } finally {
    if (directory !== undefined) {
      await driver.closeLaunch(campaign);
      await shell.run({ script: 'rm -rf "$1"; rm -rf "$HOME/.holdfast/$2"', args: [directory, name], timeoutSeconds: 120 });
    }
    await rm(localBase, { recursive: true, force: true });
  }

  async function endOf(id: string, of: string): Promise<DoneRecord> {
    let last = '';
    for (const until = performance.now() + options.maxWaitSeconds * 1000; performance.now() < until; ) {
      options.signal.throwIfAborted();
      const seen = await driver.look({ acks: [], pilots: [{ pilot: of, campaign: id }], waitSeconds: 0 }, options.signal);
      const record = seen?.ended.find((each) => each.campaign === id);
      if (record) return record;
      const job = seen?.pilots.find((each) => each.pilot === of);
      if (job?.state === 'ended') throw new DriverError('refused', 'HF-DIAG', `the job ended without an answer: ${endWords(job)}`);
      const note = job === undefined ? last : `${job.state}${job.comment === undefined ? '' : `: ${job.comment}`}`;
      if (note !== last) options.progress(note);
      last = note;
      await sleep(options.pollSeconds * 1000, undefined, { signal: options.signal });
    }
    throw new DriverError(
      'transport',
      'HF-DIAG',
      `the job did not end in ${options.maxWaitSeconds / 60} minutes (${last}). It was deleted.`,
    );
  }
}

function endWords({ end }: PilotSeen): string {
  return end?.message ?? 'no reason given';
}

function specOf(profile: PbsProfile, name: string, localBase: string, options: NodeDiagnosisOptions): CampaignSpec {
  const needsDevice = DEVICE_VARIABLES.some((variable) => variable in profile.slots.env);
  return {
    version: 1,
    name,
    // A job of one trial ends with it; a pilot would wait for more.
    system: { name: profile.name, kind: 'pbs', settings: { ...options.settings, mode: 'job' } },
    objectives: [{ metric: 'failed', direction: 'minimize', reduce: 'result' }],
    space: { parameters: [{ name: 'check', type: 'int', min: 1, max: 2 }] },
    sampler: { type: 'random', options: {} },
    enqueue: [],
    training: {
      command: [
        '{python}',
        '{code}/check_node.py',
        ...(needsDevice ? ['--needs-device'] : []),
        ...(options.dataDir === undefined ? [] : ['--data-dir', options.dataDir]),
      ],
      bundle: join(packageRoot(), 'remote', 'diag'),
      env: {},
      slots: 1,
    },
    budget: { trials: 1 },
    stop: { minDelta: 0 },
    limits: { hangFactor: 0, hangMinSeconds: 600, graceSeconds: 5, logBytes: 1_000_000 },
    retries: { infrastructure: 0, trial: 0 },
    workingDirs: { localBase, launchIterationPattern: '{campaign}', jobPattern: '{job_id}' },
    allowDuplicates: false,
    seed: 1,
  };
}

async function checksOf(record: DoneRecord, folder: string): Promise<readonly NodeCheck[]> {
  const text = await readFile(join(folder, record.directory, 'results.json'), 'utf8').catch(() => undefined);
  if (text !== undefined) return results.parse(JSON.parse(text)).checks;
  const { error } = record;
  throw new DriverError('refused', 'HF-DIAG', `the node gave no answer (${error?.class ?? record.status}): ${error?.message ?? ''}`);
}
