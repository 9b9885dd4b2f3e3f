import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AUTH_METHODS, type AuthMethod } from '../systems/globus/authorizer.ts';
import { connect } from '../systems/globus/connection.ts';
import type { ControlOptions, TaskTarget } from '../systems/globus/control-tasks.ts';
import { diagnoseAurora } from '../systems/globus/diagnose-aurora.ts';
import { diagnoseConnectivity, diagnoseParallel, diagnoseTorch } from '../systems/globus/diagnose-tasks.ts';
import { DIAGNOSTIC_TRAININGS, type DiagnosticTraining, diagnoseTraining } from '../systems/globus/diagnose-training.ts';
import type { Diagnosis } from '../systems/globus/diagnosis.ts';
import { createGlobusDriver } from '../systems/globus/driver.ts';
import type { GlobusDriverOptions } from '../systems/globus/options.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, progressOf } from './io.ts';

export const DIAGNOSES = ['connectivity', 'torch', 'parallel', 'training', 'aurora', 'comprehensive'] as const;
export type DiagnosisKind = (typeof DIAGNOSES)[number];

/** Options of `holdfast diag <kind>`; commander gives them as texts or numbers. */
export interface DiagOptions {
  readonly endpointId: string;
  readonly auth?: AuthMethod;
  readonly numJobs?: number;
  readonly epochs?: number;
  readonly seed?: number;
  readonly tasks?: number;
  readonly maxWaitMinutes?: number;
  readonly training?: string;
  readonly dataDir?: string;
  readonly base?: string;
  readonly python?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly showDetailedErrors?: boolean;
}

/** For tests: another training, shorter times, another login. */
export interface DiagOverrides {
  readonly driver?: Partial<GlobusDriverOptions>;
  readonly training?: DiagnosticTraining;
  readonly taskSeconds?: number;
}

/**
 * `holdfast diag connectivity|torch|parallel|training|aurora|comprehensive -e ID`: runs real tasks and waits for them. `failed` when any verdict that must
 * pass does not; comprehensive runs the first four, of which torch and parallel may fail. Throws DriverError needs_login.
 */
export async function diag(
  kind: DiagnosisKind,
  options: DiagOptions,
  io: Pick<CliIo, 'env' | 'output' | 'errors'>,
  overrides: DiagOverrides = {},
): Promise<Exit> {
  const auth = options.auth ?? 'native_client';
  if (!AUTH_METHODS.includes(auth))
    throw new CliError('usage', 'HF-USAGE', `--auth ${auth} is unknown. Use one of ${AUTH_METHODS.join(', ')}.`);
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(options.endpointId)) {
    throw new CliError('usage', 'HF-USAGE', `--endpoint-id ${options.endpointId} is no UUID. \`holdfast endpoint show NAME\` prints it.`);
  }
  const driverOptions: GlobusDriverOptions = {
    name: 'diag',
    stateDirectory: join(io.env.XDG_STATE_HOME || tmpdir(), `holdfast-diag-${process.getuid?.() ?? ''}`),
    workers: options.numJobs ?? 5,
    // Somebody waits at the terminal; a quarter of what the service allows.
    pollSeconds: 2,
    processEnv: io.env,
    ...(options.base === undefined ? {} : { base: options.base }),
    ...(options.python === undefined ? {} : { python: options.python }),
    ...overrides.driver,
  };
  const target = connect(driverOptions).target(options.endpointId, auth);
  const progress = progressOf(io, options);
  const control: ControlOptions = {
    timeoutSeconds: 60 * (options.maxWaitMinutes ?? 30),
    pollSeconds: driverOptions.pollSeconds ?? 2,
    progress: once(progress),
  };
  const runs = plannedRuns(kind, options, { auth, target, control, driverOptions, progress: once(progress), overrides });
  const diagnoses: Diagnosis[] = [];
  for (const { run, mustPass } of runs) {
    const diagnosis = await run();
    diagnoses.push(diagnosis);
    if (!options.json) io.output.write(`${describe(diagnosis, options.showDetailedErrors === true)}\n`);
    // Nothing else can work without an answer at all.
    if (diagnosis.verdict === 'fail' && diagnosis.name === 'connectivity' && mustPass) break;
  }
  const isGood = runs.every(({ mustPass }, index) => !mustPass || (diagnoses[index] !== undefined && diagnoses[index].verdict !== 'fail'));
  if (options.json)
    io.output.write(`${JSON.stringify({ endpoint_id: options.endpointId, kind, passed: isGood, verdicts: diagnoses }, null, 2)}\n`);
  else if (kind === 'comprehensive') io.output.write(isGood ? 'The endpoint is ready.\n' : 'The endpoint is not ready.\n');
  return isGood ? 'ok' : 'failed';
}

interface Means {
  readonly auth: AuthMethod;
  readonly target: TaskTarget;
  readonly control: ControlOptions;
  readonly driverOptions: GlobusDriverOptions;
  readonly progress: (note: string) => void;
  readonly overrides: DiagOverrides;
}

interface PlannedRun {
  readonly mustPass: boolean;
  readonly run: () => Promise<Diagnosis>;
}

function plannedRuns(kind: DiagnosisKind, options: DiagOptions, means: Means): PlannedRun[] {
  const { target, control } = means;
  const all: Readonly<Record<Exclude<DiagnosisKind, 'comprehensive'>, () => Promise<Diagnosis>>> = {
    connectivity: () => diagnoseConnectivity(target, control),
    torch: () => diagnoseTorch(target, control, options.python),
    parallel: () => diagnoseParallel(target, options.tasks ?? 12, means.overrides.taskSeconds ?? 1, control),
    training: () => runTraining(options, means),
    aurora: () =>
      diagnoseAurora(target, control, {
        base: means.driverOptions.base ?? '~/holdfast',
        ...(means.driverOptions.python === undefined ? {} : { python: means.driverOptions.python }),
      }),
  };
  if (kind !== 'comprehensive') return [{ mustPass: true, run: all[kind] }];
  return [
    { mustPass: true, run: all.connectivity },
    { mustPass: false, run: all.torch },
    { mustPass: false, run: all.parallel },
    { mustPass: true, run: all.training },
  ];
}

async function runTraining(options: DiagOptions, means: Means): Promise<Diagnosis> {
  const name = options.training ?? 'cifar100';
  const training = means.overrides.training ?? DIAGNOSTIC_TRAININGS[name];
  if (!training)
    throw new CliError('usage', 'HF-USAGE', `--training ${name} is unknown. Use one of ${Object.keys(DIAGNOSTIC_TRAININGS).join(', ')}.`);
  const id = `diag-${new Date().toISOString().slice(0, 10)}-${randomBytes(3).toString('hex')}`;
  // Facts of its own: a diagnosis that was broken off is no business of the next one.
  const stateDirectory = join(means.driverOptions.stateDirectory, id);
  try {
    return await diagnoseTraining(
      createGlobusDriver({ ...means.driverOptions, stateDirectory }),
      {
        endpointId: options.endpointId,
        authMethod: means.auth,
        training: { ...training, ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }) },
        jobs: options.numJobs ?? 5,
        epochs: options.epochs ?? 3,
        seed: options.seed ?? 42,
        maxWaitMinutes: options.maxWaitMinutes ?? 30,
        id,
        ...(options.base === undefined ? {} : { base: options.base }),
      },
      means.progress,
    );
  } finally {
    await rm(stateDirectory, { recursive: true, force: true });
  }
}

/** The same note twice in a row is told once. */
function once(say: (note: string) => void): (note: string) => void {
  let last = '';
  return (note) => {
    if (note !== last) say(note);
    last = note;
  };
}

function describe(diagnosis: Diagnosis, isDetailed: boolean): string {
  const head = `${diagnosis.verdict.toUpperCase().padEnd(4)} ${diagnosis.name}: ${diagnosis.message}`;
  const columns = Object.keys(diagnosis.rows[0] ?? {}).filter((column) => isDetailed || column !== 'error');
  const cells = [columns, ...diagnosis.rows.map((row) => columns.map((column) => String(row[column] ?? '-')))];
  const widths = columns.map((_, index) => Math.min(60, Math.max(...cells.map((row) => row[index]?.length ?? 0))));
  const lines = cells.map((row) => `  ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')}`.trimEnd());
  return diagnosis.rows.length === 0 ? head : [head, ...lines].join('\n');
}
