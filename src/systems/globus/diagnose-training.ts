import { resolve } from 'node:path';
import type { CampaignSpec } from '../../domain/campaign.ts';
import { trialName } from '../../domain/ids.ts';
import type { Point } from '../../domain/space.ts';
import type { DoneRecord } from '../../domain/spool.ts';
import { packageRoot } from '../../package-root.ts';
import type { LookRequest, SystemDriver } from '../driver.ts';
import type { AuthMethod } from './authorizer.ts';
import { type Diagnosis, guarded, round } from './diagnosis.ts';
import { randomTraining, trainingProblems } from './diagnostic-points.ts';
import { sleep } from './request-budget.ts';

/** Which training `diag training` runs. */
export interface DiagnosticTraining {
  readonly bundle: string;
  readonly command: readonly string[];
  readonly metric: string;
  readonly dataDir?: string;
  /** Parameters of trial n, from the seed. */
  readonly point: (seed: number, number: number, epochs: number) => Point;
}

/** Trainings that ship with Holdfast. */
export const DIAGNOSTIC_TRAININGS: Readonly<Record<string, DiagnosticTraining>> = {
  cifar100: { bundle: 'remote/training/cifar100', command: ['{python}', '{code}/train.py'], metric: 'objective', point: randomTraining },
  digits: {
    bundle: 'remote/training/digits',
    command: ['{python}', '{code}/train.py'],
    metric: 'val_accuracy',
    point: (seed, number) => {
      const { learning_rate } = randomTraining(seed, number, 1);
      return {
        learning_rate: learning_rate as number,
        hidden_units: 32,
        hidden_layers: 1,
        batch_size: 64,
        alpha: 1e-4,
        activation: 'relu',
        momentum: 0.9,
      };
    },
  },
};

export interface TrainingDiagnosis {
  readonly endpointId: string;
  readonly authMethod: AuthMethod;
  readonly training: DiagnosticTraining;
  readonly jobs: number;
  readonly epochs: number;
  readonly seed: number;
  readonly maxWaitMinutes: number;
  /** Launch folders lie here on the endpoint; shared with its compute nodes. */
  readonly base?: string;
  readonly id: string;
}

/** Least share of trainings that must complete (row V4). */
const PASS_SHARE = 0.8;

/** A small campaign of random points through the real driver (rows V1–V4): fails as soon as too many have failed, and when the wait is over. */
export async function diagnoseTraining(
  driver: SystemDriver,
  plan: TrainingDiagnosis,
  progress: (note: string) => void,
): Promise<Diagnosis> {
  return guarded('training', async () => {
    const points = Array.from({ length: plan.jobs }, (_, index) => plan.training.point(plan.seed, index + 1, plan.epochs));
    const problems = points.flatMap((point) => trainingProblems(point));
    if (problems.length > 0) return { verdict: 'fail', message: `${problems.join('; ')}. Choose other settings.`, rows: [] };
    const prepared = await driver.prepareLaunch(
      {
        campaign: plan.id,
        launch: plan.id,
        reportSteps: [],
        owner: { namespace: 'diag', workflow_id: plan.id, epoch: 1 },
        spec: diagnosticSpec(plan),
      },
      progress,
    );
    const ended = new Map<string, DoneRecord>();
    try {
      await driver.send(
        points.map((params, index) => ({
          kind: 'offer',
          campaign: plan.id,
          offer: { version: 1, campaign: plan.id, trial: trialName(index + 1), attempt: 1, params, resume_from: null, target_step: null },
        })),
      );
      await waitForEnds(driver, plan, ended, progress);
    } finally {
      await driver.closeLaunch(plan.id);
    }
    const rows = points.map((params, index) => {
      const record = ended.get(trialName(index + 1));
      return {
        trial: trialName(index + 1),
        status: record?.status ?? 'pending',
        value: record?.values?.[0] ?? null,
        seconds: record === undefined ? null : round(record.run_seconds),
        host: record?.host ?? null,
        error: record?.error?.message ?? null,
        parameters: JSON.stringify(params),
      };
    });
    const completed = rows.filter((row) => row.status === 'completed').length;
    const values = rows.flatMap((row) => row.value ?? []);
    const mean = values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
    const summary = `${completed} of ${plan.jobs} trainings completed`;
    if (completed < PASS_SHARE * plan.jobs) {
      const why = rows.find((row) => row.error !== null)?.error ?? `the others had no end within ${plan.maxWaitMinutes} min`;
      return {
        verdict: 'fail',
        message: `${summary}, at least ${Math.ceil(PASS_SHARE * plan.jobs)} must: ${why}. Logs: ${prepared.directory}.`,
        rows,
      };
    }
    return {
      verdict: 'pass',
      message: `${summary}, mean objective ${mean.toFixed(4)}${mean < 0.01 ? ' (hardly more than nothing: train longer)' : ''}.`,
      rows,
    };
  });
}

async function waitForEnds(
  driver: SystemDriver,
  plan: TrainingDiagnosis,
  ended: Map<string, DoneRecord>,
  progress: (note: string) => void,
): Promise<void> {
  const deadline = performance.now() + plan.maxWaitMinutes * 60_000;
  const { lookIntervalSeconds } = await driver.describe();
  const mayFail = plan.jobs - Math.ceil(PASS_SHARE * plan.jobs);
  let acks: LookRequest['acks'] = [];
  while (ended.size < plan.jobs && performance.now() < deadline) {
    const look = await driver.look({ acks, pilots: [], waitSeconds: 0 }, new AbortController().signal);
    const mine = look?.ended.filter((record) => record.campaign === plan.id) ?? [];
    for (const record of mine) ended.set(record.trial, record);
    acks = mine.map(({ campaign, trial, attempt }) => ({ campaign, trial, attempt }));
    if ([...ended.values()].filter((record) => record.status !== 'completed').length > mayFail) return;
    progress(`${ended.size} of ${plan.jobs} trainings have ended`);
    if (ended.size < plan.jobs) await sleep(lookIntervalSeconds * 1000);
  }
}

function diagnosticSpec(plan: TrainingDiagnosis): CampaignSpec {
  const { training } = plan;
  return {
    version: 1,
    name: plan.id,
    system: {
      name: 'diag',
      kind: 'globus_compute',
      settings: {
        endpointId: plan.endpointId,
        authMethod: plan.authMethod,
        functionTimeoutSeconds: plan.maxWaitMinutes * 60,
        maxRetries: 1,
      },
    },
    objectives: [{ metric: training.metric, direction: 'maximize', reduce: 'result' }],
    space: { parameters: [] },
    sampler: { type: 'random', options: {} },
    enqueue: [],
    training: {
      command: training.command,
      bundle: resolve(packageRoot(), training.bundle),
      env: {},
      slots: 1,
      ...(training.dataDir === undefined ? {} : { dataDir: training.dataDir }),
    },
    budget: { trials: plan.jobs },
    stop: { minDelta: 0 },
    limits: { hangFactor: 0, hangMinSeconds: 600, graceSeconds: 10, logBytes: 10_000_000 },
    retries: { infrastructure: 0, trial: 0 },
    workingDirs: {
      localBase: 'results/diag',
      launchIterationPattern: '{campaign}',
      jobPattern: '{job_id}',
      ...(plan.base === undefined ? {} : { remoteBase: plan.base }),
    },
    allowDuplicates: true,
    seed: plan.seed,
  };
}
