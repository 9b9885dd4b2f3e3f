import { type CheckAnswer, checkAnswer, probeAnswer } from './answers.ts';
import { control, type TaskTarget } from './control-tasks.ts';
import { type DoctorContext, type DoctorFinding, fail, ok, skip, warn } from './doctor-findings.ts';
import { firstFailingLine } from './failing-line.ts';

const answers = new WeakMap<DoctorContext, Promise<CheckAnswer>>();

/** One task for all rows about the worker. */
function askWorker(context: DoctorContext): Promise<CheckAnswer> {
  let asked = answers.get(context);
  if (!asked) {
    const request = {
      op: 'check',
      python: context.python ?? null,
      setup: context.setup ?? [],
      worker_init: context.endpointSettings?.worker_init ?? null,
      modules: context.modules ?? ['torch'],
      data_dir: context.dataDir ?? null,
      dataset: context.dataset ?? null,
    };
    asked = control(context.target as TaskTarget, [request], checkAnswer, { timeoutSeconds: context.taskSeconds, pollSeconds: 1 }).then(
      ([answer]) => answer as CheckAnswer,
    );
    answers.set(context, asked);
  }
  return asked;
}

export async function workerPython(context: DoctorContext): Promise<DoctorFinding> {
  const { python, host } = await askWorker(context);
  if (python === undefined) return fail(`python does not start on ${host}`, MEND_INIT);
  const [major = 0, minor = 0] = python.split('.').map(Number);
  return major > 3 || minor >= 8
    ? ok(`Python ${python} on ${host}`)
    : fail(`Python ${python} on ${host} is older than 3.8`, 'holdfast endpoint init NAME (with a newer Python in worker_init)');
}

export async function projectFolder(context: DoctorContext): Promise<DoctorFinding> {
  const [answer] = await control(context.target as TaskTarget, [{ op: 'probe', base: context.base ?? '~/holdfast' }], probeAnswer, {
    timeoutSeconds: context.taskSeconds,
    pollSeconds: 3,
  });
  return ok(`${answer?.base} can be written on ${answer?.host}, ${Math.round((answer?.free_bytes ?? 0) / 1e9)} GB free`);
}

/**
 * The first line that fails of the setup, which stops a trial, or of worker_init, which a batch job runs to its end all the same. Without a worker
 * worker_init runs on the machine itself where the endpoint is.
 */
export async function workerInit(context: DoctorContext): Promise<DoctorFinding> {
  const script = context.endpointSettings?.worker_init ?? '';
  if (context.target === undefined) {
    if (context.endpointName === undefined || script.trim() === '')
      return skip('needs a worker, or the machine of the endpoint with its file');
    return judgeLines(await firstFailingLine(context.run, script), 'this machine');
  }
  const { problems, host } = await askWorker(context);
  const broken = problems.find((problem) => problem.code === 'environment');
  if (broken) return fail(broken.message, MEND_INIT);
  return judgeLines(problems.find((problem) => problem.code === 'worker_init')?.message, host);
}

const MEND_INIT = 'holdfast endpoint init NAME (with worker_init mended)';

function judgeLines(failing: string | undefined, host: string): DoctorFinding {
  return failing === undefined ? ok(`worker_init and setup ran on ${host}`) : warn(`worker_init on ${host}: ${failing}`, MEND_INIT);
}

export async function dataRow(context: DoctorContext, match: RegExp, fix: string): Promise<DoctorFinding> {
  if (context.dataDir === undefined) return skip('no data folder is configured (data.dir)');
  const { problems, data_dir: folder } = await askWorker(context);
  const broken = problems.find((problem) => problem.code === 'data' && match.test(problem.message));
  return broken ? fail(broken.message, fix.replace('DATA_DIR', context.dataDir)) : ok(`${folder ?? context.dataDir}: nothing wrong`);
}

export async function dataFolder(context: DoctorContext): Promise<DoctorFinding> {
  if (context.dataDir === undefined) return skip('no data folder is configured (data.dir)');
  const { data_dir: folder } = await askWorker(context);
  return ok(`${context.dataDir} resolves to ${folder}`);
}

export async function modulesRow(context: DoctorContext): Promise<DoctorFinding> {
  const { modules = {} } = await askWorker(context);
  const absent = Object.entries(modules).flatMap(([name, found]) => (found ? [] : [name]));
  return absent.length === 0
    ? ok(`found: ${Object.keys(modules).join(', ')}`)
    : fail(
        `missing on the worker: ${absent.join(', ')}`,
        'holdfast endpoint init NAME (with `module load` or the virtual environment in worker_init)',
      );
}

export async function environmentRow(context: DoctorContext): Promise<DoctorFinding> {
  const { prefix } = await askWorker(context);
  if (prefix === undefined) return fail('python does not start', MEND_INIT);
  const wants = context.endpointSettings?.worker_init.match(/^\s*(?:source|\.)\s+(\S+)\/bin\/activate/m)?.[1];
  if (wants !== undefined && prefix !== wants)
    return fail(`worker_init activates ${wants}, but Python runs from ${prefix}`, 'holdfast endpoint restart NAME');
  return ok(`Python runs from ${prefix}`);
}
