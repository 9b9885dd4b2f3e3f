import { join } from 'node:path';
import { packageRoot } from '../../package-root.ts';
import { type DeployPlan, inBase } from '../../spec/deploy-plan.ts';
import { sshError } from '../../ssh/errors.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import { type DetachedStep, deployScript, lastWords, runDetached, type StepEnd, type StepIo } from './detached-step.ts';

export const DEPLOY_ACTIONS = ['repo', 'python', 'dataset', 'verify', 'all'] as const;
export type DeployAction = (typeof DEPLOY_ACTIONS)[number];

/** A plan with everything that the profile and the user's own git know filled in. */
export interface DeployTask {
  readonly system: string;
  readonly plan: DeployPlan;
  readonly repository?: { readonly url: string; readonly branch: string; readonly path: string };
  readonly setup: readonly string[];
  readonly interpreter: string;
  readonly action: DeployAction;
}

export interface DeployIo {
  readonly shell: RemoteShell;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** Default 5. */
  readonly pollSeconds?: number;
}

type PartStatus = 'ok' | 'error';

/** The result of row D4: keys as scripts read them. A part that was not asked for, or that a failure before it stopped, is absent. */
export interface DeployReport {
  readonly ok: boolean;
  readonly system: string;
  readonly base: string;
  repository?: {
    status: PartStatus;
    action?: string;
    repo_url: string;
    repo_branch: string;
    repo_path: string;
    commit?: string;
    verification?: PartStatus;
    error?: string;
  };
  python?: { status: PartStatus; action?: string; venv: string; python?: string; packages: readonly string[]; error?: string };
  dataset?: { status: PartStatus; action?: string; data_dir: string; synthetic?: boolean; error?: string };
  verification?: { status: PartStatus; checks: Record<string, string>; error?: string };
}

const LIMIT_SECONDS = { repository: 3_600, python: 2 * 3_600, dataset: 12 * 3_600, verify: 1_800 };

/** What travels to the system for the data set. */
const DATA_TOOL = [
  'data.py',
  'payload/__init__.py',
  'payload/archive.py',
  'payload/download.py',
  'payload/files.py',
  'payload/synthetic.py',
];

/**
 * Brings a system to what the plan says: repository, Python environment, data set, then a look at all of it. Each step is detached, may be
 * repeated, and leaves alone what is right already. The first failure stops the rest and is in the report. Throws DriverError for what is
 * not a step's own failure (no login, a dead step).
 */
export async function deploy(task: DeployTask, io: DeployIo): Promise<DeployReport> {
  const base = await absoluteBase(task.plan.base, io);
  const stepIo: StepIo = { ...io, folder: `${base}/.holdfast/deploy`, pollSeconds: io.pollSeconds ?? 5 };
  const parts: Omit<DeployReport, 'ok' | 'system' | 'base'> = {};
  const wanted = (action: DeployAction) => task.action === 'all' || task.action === action;
  const end = (ok: boolean): DeployReport => ({ ok, system: task.system, base, ...parts });

  if (task.repository && wanted('repo')) {
    parts.repository = await deployRepository(task, task.repository, base, stepIo);
    if (parts.repository.status === 'error') return end(false);
  }
  if (task.plan.python && wanted('python')) {
    parts.python = await deployPython(task, task.plan.python, base, stepIo);
    if (parts.python.status === 'error') return end(false);
  }
  if (task.plan.data && wanted('dataset')) {
    parts.dataset = await deployData(task, task.plan.data, base, stepIo);
    if (parts.dataset.status === 'error') return end(false);
  }
  if (wanted('verify')) {
    parts.verification = await verify(task, base, parts.repository?.commit, stepIo);
    if (parts.repository) parts.repository.verification = parts.verification.checks.repository === 'ok' ? 'ok' : 'error';
    if (parts.verification.status === 'error') return end(false);
  }
  return end(true);
}

async function absoluteBase(base: string, io: DeployIo): Promise<string> {
  if (base.startsWith('/')) return base.replace(/\/+$/, '') || '/';
  const answer = await io.shell.run({ script: 'printf %s "$HOME"' }, io.signal);
  const home = answer.kind === 'exited' ? answer.stdout.toString('utf8') : '';
  if (!home.startsWith('/'))
    throw sshError('HF-SSH-CUT', 'The home folder on the system is not known: no whole answer came. Run holdfast deploy again.');
  return `${home}${base.slice(1).replace(/\/+$/, '')}`;
}

/** A step's script with the site's setup in front. */
function detached(task: DeployTask, name: keyof typeof LIMIT_SECONDS, script: string, args: readonly string[]): DetachedStep {
  const setup = task.setup.map((line) => `${line}\n`).join('');
  return { name, script: `${setup}${script}`, args, needsLoginShell: task.setup.length > 0, limitSeconds: LIMIT_SECONDS[name] };
}

/** What failed, in the step's words or its log's. */
function failure(step: string, end: StepEnd): string | undefined {
  if (end.code === 0) return undefined;
  const own = end.result.get('error')?.at(-1);
  return `${own ?? `Step ${step} ended with exit status ${end.code}.`}${lastWords(end.log)}`;
}

async function deployRepository(
  task: DeployTask,
  repository: NonNullable<DeployTask['repository']>,
  base: string,
  io: StepIo,
): Promise<NonNullable<DeployReport['repository']>> {
  const repoPath = inBase(base, repository.path);
  const end = await runDetached(
    detached(task, 'repository', await deployScript('repository'), [repository.url, repository.branch, repoPath]),
    io,
  );
  const error = failure('repository', end);
  const action = end.result.get('action')?.at(-1);
  const commit = end.result.get('commit')?.at(-1);
  return {
    status: error === undefined ? 'ok' : 'error',
    ...(action === undefined ? {} : { action }),
    repo_url: repository.url,
    repo_branch: repository.branch,
    repo_path: repoPath,
    ...(commit === undefined ? {} : { commit }),
    ...(error === undefined ? {} : { error }),
  };
}

async function deployPython(
  task: DeployTask,
  python: NonNullable<DeployPlan['python']>,
  base: string,
  io: StepIo,
): Promise<NonNullable<DeployReport['python']>> {
  const venv = inBase(base, python.venv);
  const requirements = python.requirements === undefined ? '' : inBase(inBase(base, task.repository?.path ?? ''), python.requirements);
  const args = [
    venv,
    python.interpreter ?? task.interpreter,
    python.systemSitePackages ? 'system' : 'own',
    requirements,
    ...python.packages,
  ];
  const end = await runDetached(detached(task, 'python', await deployScript('python'), args), io);
  const error = failure('python', end);
  const action = end.result.get('action')?.at(-1);
  const version = end.result.get('python')?.at(-1);
  return {
    status: error === undefined ? 'ok' : 'error',
    ...(action === undefined ? {} : { action }),
    venv,
    ...(version === undefined ? {} : { python: version }),
    packages: end.result.get('package') ?? [],
    ...(error === undefined ? {} : { error }),
  };
}

async function stageDataTool(base: string, io: StepIo): Promise<string> {
  const there = `${base}/.holdfast/cifar100`;
  const here = join(packageRoot(), 'remote', 'training', 'cifar100');
  for (const file of DATA_TOOL) await io.shell.upload(join(here, file), `${there}/${file}`, { signal: io.signal });
  return `${there}/data.py`;
}

/** A row of data.py's answer. */
interface DataAnswer {
  readonly folder?: string;
  readonly action?: string;
  readonly synthetic?: boolean;
  readonly error?: string;
}

async function deployData(
  task: DeployTask,
  data: NonNullable<DeployPlan['data']>,
  base: string,
  io: StepIo,
): Promise<NonNullable<DeployReport['dataset']>> {
  const folder = inBase(base, data.cifar100);
  const tool = await stageDataTool(base, io);
  const words = [
    ...(data.from === undefined ? [] : ['--from', inBase(base, data.from)]),
    ...(data.url === undefined ? [] : ['--url', data.url]),
    ...(data.generate ? ['--generate'] : []),
    ...(data.trainImages === undefined ? [] : ['--train-images', String(data.trainImages)]),
    ...(data.testImages === undefined ? [] : ['--test-images', String(data.testImages)]),
  ];
  // The virtual environment has numpy where there is one; checking needs the standard library only.
  const python = task.plan.python && data.generate ? `${inBase(base, task.plan.python.venv)}/bin/python` : task.interpreter;
  const end = await runDetached(detached(task, 'dataset', 'exec "$@" >"$HF_RESULT"\n', [python, tool, folder, '--json', ...words]), io);
  const answer = dataAnswer(end.resultText);
  const error = end.code === 0 ? undefined : (answer.error ?? failure('dataset', end));
  return {
    status: error === undefined ? 'ok' : 'error',
    ...(answer.action === undefined ? {} : { action: answer.action }),
    data_dir: answer.folder ?? folder,
    ...(answer.synthetic === undefined ? {} : { synthetic: answer.synthetic }),
    ...(error === undefined ? {} : { error }),
  };
}

function dataAnswer(text: string): DataAnswer {
  try {
    return JSON.parse(text) as DataAnswer;
  } catch {
    // It ended before it could say anything; the log has the reason.
    return {};
  }
}

async function verify(
  task: DeployTask,
  base: string,
  commit: string | undefined,
  io: StepIo,
): Promise<NonNullable<DeployReport['verification']>> {
  const { plan } = task;
  const tool = plan.data ? await stageDataTool(base, io) : '';
  const args = [
    task.repository ? inBase(base, task.repository.path) : '',
    commit ?? '',
    plan.python ? inBase(base, plan.python.venv) : '',
    tool,
    plan.data ? inBase(base, plan.data.cifar100) : '',
    ...plan.verify.files,
  ];
  // Its lines are the result; the setup's own words go to the log.
  const script = `{\n${await deployScript('verify')}\n} >"$HF_RESULT"\n`;
  const end = await runDetached(detached(task, 'verify', script, args), io);
  const checks: Record<string, string> = {};
  for (const line of end.resultText.split('\n')) {
    const [name = '', found] = line.split('\t');
    if (found !== undefined) checks[name] = found;
  }
  const wrong = Object.entries(checks).filter(([, found]) => found !== 'ok');
  const error = end.code === 0 ? wrong.map(([name, found]) => `${name}: ${found}`).join('; ') : failure('verify', end);
  return { status: error ? 'error' : 'ok', checks, ...(error ? { error } : {}) };
}
