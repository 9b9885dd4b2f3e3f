import { resolve } from 'node:path';
import type { CampaignSpec } from '../../domain/campaign.ts';
import { trialName } from '../../domain/ids.ts';
import type { Point } from '../../domain/space.ts';
import type { DoneRecord } from '../../domain/spool.ts';
import { packageRoot } from '../../package-root.ts';
import { DriverError, type LookRequest, type SystemDriver } from '../driver.ts';
import { checkAnswer, helloAnswer } from './answers.ts';
import type { AuthMethod } from './authorizer.ts';
import { type ControlOptions, control, type TaskTarget } from './control-tasks.ts';
import { randomTraining, trainingProblems } from './diagnostic-points.ts';
import { sleep } from './request-budget.ts';

/** The outcome of one diagnosis: a table of what was seen, and whether it is good enough. */
export interface Diagnosis {
  readonly name: 'connectivity' | 'torch' | 'parallel' | 'training';
  readonly verdict: 'pass' | 'warn' | 'fail';
  /** One sentence; a failure says what to do next. */
  readonly message: string;
  readonly rows: readonly Readonly<Record<string, string | number | null>>[];
}

/** Registers the function, runs it, waits for its answer (row V5). */
export async function diagnoseConnectivity(target: TaskTarget, options: ControlOptions): Promise<Diagnosis> {
  return guarded('connectivity', async () => {
    const before = performance.now();
    const [hello] = await control(target, [{ op: 'hello' }], helloAnswer, options);
    const seconds = round((performance.now() - before) / 1000);
    const row = {
      message: hello?.message ?? '',
      host: hello?.host ?? '',
      timestamp: new Date((hello?.timestamp ?? 0) * 1000).toISOString(),
      seconds,
    };
    return { verdict: 'pass', message: row.message, rows: [row] };
  });
}

/** PyTorch and devices of a worker (row V6): missing torch fails, torch on processors only is a warning. */
export async function diagnoseTorch(target: TaskTarget, options: ControlOptions, python?: string): Promise<Diagnosis> {
  return guarded('torch', async () => {
    const [check] = await control(
      target,
      [{ op: 'check', python: python ?? null, modules: ['torch', 'intel_extension_for_pytorch'] }],
      checkAnswer,
      options,
    );
    const { torch } = check ?? {};
    const row = {
      host: check?.host ?? '',
      python: check?.python ?? '',
      torch: torch?.version ?? null,
      ipex: check?.modules?.intel_extension_for_pytorch ? 'yes' : 'no',
      device: torch?.device ?? (torch?.version === undefined ? null : 'cpu'),
      devices: torch?.count ?? 0,
      name: torch?.name ?? null,
    };
    if (check?.python === undefined)
      return {
        verdict: 'fail',
        message: `${check?.problems[0]?.message ?? 'python does not start'}. Mend worker_init of the endpoint.`,
        rows: [row],
      };
    if (torch === undefined)
      return {
        verdict: 'fail',
        message: `Python module torch is missing on ${row.host} (environment_error). Add it to worker_init's environment.`,
        rows: [row],
      };
    if (torch.error !== undefined)
      return {
        verdict: 'fail',
        message: `torch cannot be imported on ${row.host}: ${torch.error}. Mend worker_init's environment.`,
        rows: [row],
      };
    if (torch.device === undefined)
      return {
        verdict: 'warn',
        message: `torch ${torch.version} on ${row.host} sees no accelerator. Check available_accelerators and the modules of worker_init.`,
        rows: [row],
      };
    return {
      verdict: 'pass',
      message: `torch ${torch.version} with ${torch.count} × ${torch.name} (${torch.device}) on ${row.host}.`,
      rows: [row],
    };
  });
}

/** So many tasks at once: all must succeed (rows V7, V8). Shows the device each worker was pinned to. */
export async function diagnoseParallel(target: TaskTarget, count: number, seconds: number, options: ControlOptions): Promise<Diagnosis> {
  return guarded('parallel', async () => {
    const before = performance.now();
    const answers = await control(
      target,
      Array.from({ length: count }, (_, index) => ({ op: 'hello', index, seconds })),
      helloAnswer,
      options,
    );
    const elapsed = (performance.now() - before) / 1000;
    const rows = answers.map(({ host, pid, environment }, index) => ({
      task: index,
      host,
      pid,
      device: environment.ZE_AFFINITY_MASK ?? environment.CUDA_VISIBLE_DEVICES ?? environment.ROCR_VISIBLE_DEVICES ?? null,
      rank: environment.PMI_RANK ?? environment.PARSL_WORKER_RANK ?? null,
    }));
    const hosts = new Set(rows.map((row) => row.host)).size;
    const devices = new Set(rows.flatMap((row) => row.device ?? [])).size;
    return {
      verdict: 'pass',
      message: `${count} of ${count} tasks on ${hosts} hosts and ${devices} devices in ${round(elapsed)} s (${round(elapsed / count)} s each).`,
      rows,
    };
  });
}

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

/** A task that fails is the diagnosis; a login that is missing is not. */
async function guarded(name: Diagnosis['name'], work: () => Promise<Omit<Diagnosis, 'name'>>): Promise<Diagnosis> {
  try {
    return { name, ...(await work()) };
  } catch (error) {
    if (!(error instanceof DriverError) || error.class === 'needs_login') throw error;
    return { name, verdict: 'fail', message: error.message, rows: [] };
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
