import { DriverError } from '../driver.ts';
import { type CheckAnswer, checkAnswer, probeAnswer } from './answers.ts';
import { type AuthMethod, createAuthorizer, resolveLogin } from './authorizer.ts';
import type { GlobusClient } from './client.ts';
import { control, type TaskTarget } from './control-tasks.ts';
import type { RunProgram } from './endpoint-command.ts';
import { endpointLogs, lastError, readEndpoint } from './endpoint-folder.ts';
import { localMachine } from './endpoint-machine.ts';
import type { EndpointSettings } from './endpoint-settings.ts';
import { concurrencyWarning } from './endpoint-settings.ts';
import { type Environment, globusEnvironment } from './environment.ts';
import { dayOf, loginEnd, loginWarning } from './login-end.ts';
import { COMPUTE_RESOURCE_SERVER } from './oauth.ts';
import { remoteFunction } from './remote-function.ts';
import { codePoints, packFunction, packPayload, unpackBuffers } from './serialize.ts';
import { openTokenStore } from './token-store.ts';
import { judgeVersions, type SeenVersions, versionsSeen } from './version-skew.ts';

export type DoctorVerdict = 'OK' | 'WARN' | 'FAIL' | 'SKIP';

/** One finding. `fix` is the one command that mends it. */
export interface DoctorFinding {
  readonly verdict: DoctorVerdict;
  readonly message: string;
  readonly fix?: string;
  /** Versions seen, by name. */
  readonly versions?: Readonly<Record<string, string>>;
}

export interface DoctorCheck {
  /** Row of the features table. */
  readonly id: string;
  readonly title: string;
  /** offline: needs neither a login nor a network. worker: runs a task on the endpoint. */
  readonly needs: 'offline' | 'service' | 'worker';
  /** Also a row of the scheduled health check, which runs no tasks: `login` rows once, `endpoint` rows for each endpoint in use. */
  readonly watch?: 'login' | 'endpoint';
  readonly run: (context: DoctorContext) => Promise<DoctorFinding>;
}

export interface DoctorContext {
  readonly env: Environment;
  readonly authMethod: AuthMethod;
  /** Days after which the site ends a login; 30 when absent. */
  readonly loginDays?: number;
  /** Runs programs on this machine; the scheduler's rows use it where the scheduler is. */
  readonly run: RunProgram;
  readonly endpointName?: string;
  readonly endpointId?: string;
  readonly endpointSettings?: EndpointSettings;
  readonly maxConcurrent?: number;
  readonly client?: GlobusClient;
  readonly target?: TaskTarget;
  readonly base?: string;
  readonly python?: string;
  readonly setup?: readonly string[];
  readonly modules?: readonly string[];
  readonly dataDir?: string;
  readonly dataset?: 'cifar100';
  /** Seconds for a task of the checks to run. */
  readonly taskSeconds: number;
}

const ok = (message: string): DoctorFinding => ({ verdict: 'OK', message });
const skip = (message: string): DoctorFinding => ({ verdict: 'SKIP', message });
const warn = (message: string, fix?: string): DoctorFinding => ({ verdict: 'WARN', message, ...(fix === undefined ? {} : { fix }) });
const fail = (message: string, fix: string): DoctorFinding => ({ verdict: 'FAIL', message, fix });

const LOGIN = 'holdfast login globus';
const usesClient = (context: DoctorContext) => context.authMethod !== 'native_client';

/** The guide's troubleshooting items and prerequisites, each with what detects it (rows TS1–TS20, S4). */
export const GLOBUS_CHECKS: readonly DoctorCheck[] = [
  { id: 'S4.account', title: 'Globus account and login', needs: 'offline', run: storedLogin },
  { id: 'S4.python', title: 'Python 3.8 or newer on the worker', needs: 'worker', run: workerPython },
  { id: 'S4.project', title: 'project folder on the machine can be written', needs: 'worker', run: projectFolder },
  { id: 'TS1', title: 'logged in to Globus', needs: 'offline', run: storedLogin },
  { id: 'TS2', title: 'login still valid', needs: 'service', watch: 'login', run: liveLogin },
  { id: 'R12', title: 'login lasts', needs: 'offline', watch: 'login', run: lastingLogin },
  { id: 'TS3', title: 'client id and secret', needs: 'service', run: clientLogin },
  { id: 'TS4', title: 'PBS queue open', needs: 'offline', run: queueOpen },
  { id: 'TS5', title: 'account and limits at the scheduler', needs: 'offline', run: schedulerRefusals },
  { id: 'TS6', title: 'errors in the endpoint log', needs: 'offline', run: endpointErrors },
  { id: 'TS7', title: 'worker_init runs', needs: 'worker', run: workerInit },
  { id: 'TS8', title: 'endpoint online', needs: 'service', watch: 'endpoint', run: endpointOnline },
  { id: 'TS9', title: 'batch jobs of the endpoint start', needs: 'service', watch: 'endpoint', run: blocksStart },
  { id: 'TS10', title: 'function and versions fit', needs: 'service', watch: 'endpoint', run: functionAndVersions },
  { id: 'TS11', title: 'data set there', needs: 'worker', run: (context) => dataRow(context, /does not exist/, 'holdfast data fetch') },
  { id: 'TS12', title: 'modules of the training', needs: 'worker', run: modulesRow },
  { id: 'TS13', title: 'Python environment of the worker', needs: 'worker', run: environmentRow },
  {
    id: 'TS14',
    title: "training's own modules found",
    needs: 'offline',
    run: async () => ok('the training travels as a bundle and stands in PYTHONPATH; nothing needs to be importable on the worker'),
  },
  { id: 'TS15', title: 'data folder resolved', needs: 'worker', run: dataFolder },
  { id: 'TS16', title: 'data set undamaged', needs: 'worker', run: (context) => dataRow(context, /is damaged/, 'holdfast data fetch') },
  {
    id: 'TS17',
    title: 'data readable on a compute node',
    needs: 'worker',
    run: (context) => dataRow(context, /Permission denied|cannot be read/, 'chmod -R a+rX DATA_DIR'),
  },
  {
    id: 'TS18',
    title: 'all files of the data set there',
    needs: 'worker',
    run: (context) => dataRow(context, /No such file/, 'holdfast data fetch'),
  },
  { id: 'TS19', title: 'ssh', needs: 'offline', run: async () => skip('a Globus Compute system uses no ssh') },
  { id: 'TS20', title: 'workers and trials at once', needs: 'offline', run: concurrencyRow },
];

/** Runs the checks whose needs are met, in order. An error of a check is its finding, except that nothing is hidden: the message is the error's own. */
export async function runDoctor(
  context: DoctorContext,
  checks: readonly DoctorCheck[] = GLOBUS_CHECKS,
): Promise<(DoctorFinding & Pick<DoctorCheck, 'id' | 'title'>)[]> {
  const findings: (DoctorFinding & Pick<DoctorCheck, 'id' | 'title'>)[] = [];
  for (const { id, title, needs, run } of checks) {
    const finding = isMet(needs, context) ? await run(context).catch((error: unknown) => asFinding(error)) : skip(missing(needs));
    findings.push({ id, title, ...finding });
  }
  return findings;
}

function isMet(needs: DoctorCheck['needs'], context: DoctorContext): boolean {
  return needs === 'offline' || (needs === 'service' ? context.client !== undefined : context.target !== undefined);
}

function missing(needs: DoctorCheck['needs']): string {
  return needs === 'service'
    ? 'offline: not asked'
    : 'needs a login and an endpoint that is online (endpoint_id of the profile, or HOLDFAST_ENDPOINT_ID)';
}

function asFinding(error: unknown): DoctorFinding {
  if (!(error instanceof DriverError)) throw error;
  if (error.class === 'needs_login') return fail(error.message, LOGIN);
  return error.class === 'transport' ? warn(error.message) : fail(error.message, 'holdfast endpoint logs NAME --errors');
}

async function storedLogin(context: DoctorContext): Promise<DoctorFinding> {
  const environment = globusEnvironment(context.env);
  const login = resolveLogin(context.authMethod, environment, context.env);
  if (login.secret !== undefined) return ok(`client ${login.clientId} from the environment`);
  const store = await openTokenStore(environment);
  const record = await store.read(login.namespace, COMPUTE_RESOURCE_SERVER);
  if (!record) return fail(`no Globus login (${store.path})`, LOGIN);
  if (!record.refresh_token) return warn('the login has no refresh token: it ends with its access token', LOGIN);
  return ok(`login stored in ${store.path}`);
}

async function lastingLogin(context: DoctorContext): Promise<DoctorFinding> {
  if (usesClient(context)) return skip('a client of its own: its login has no end');
  const end = await loginEnd(context.authMethod, context.env, context.loginDays);
  if (end === undefined) return skip('no login that is renewed');
  const warning = loginWarning(end);
  return warning === undefined ? ok(`until ${dayOf(end.endsAt)}`) : warn(warning, LOGIN);
}

async function liveLogin(context: DoctorContext): Promise<DoctorFinding> {
  await context.client?.version();
  return ok('the service takes the login');
}

async function clientLogin(context: DoctorContext): Promise<DoctorFinding> {
  if (!usesClient(context)) return skip('globus_compute.auth_method is native_client');
  const environment = globusEnvironment(context.env);
  await createAuthorizer({ method: context.authMethod, environment, env: context.env }).token();
  return ok('Globus Auth takes client id and secret');
}

async function queueOpen({ endpointSettings, run }: DoctorContext): Promise<DoctorFinding> {
  const queue = endpointSettings?.scheduler === 'pbs' ? endpointSettings.queue : undefined;
  if (queue === undefined) return skip('no PBS queue is named in the endpoint file');
  const answer = await run(['qstat', '-Q', '-f', queue]);
  if (answer.kind === 'missing') return skip(`no qstat on this machine: run this on the login node for queue ${queue}`);
  if (answer.code !== 0) return fail(`queue ${queue} is unknown: ${(answer.stderr || answer.stdout).trim()}`, 'qstat -Q');
  const closed = ['enabled', 'started'].filter((key) => new RegExp(`^\\s*${key}\\s*=\\s*False`, 'm').test(answer.stdout));
  return closed.length === 0
    ? ok(`queue ${queue} is enabled and started`)
    : fail(`queue ${queue} is not ${closed.join(' and not ')}`, `qstat -Q -f ${queue}`);
}

/** Refusals of qsub, in the scheduler's words as they stand in the endpoint's log. */
const REFUSALS =
  /(Unauthorized Request|invalid account|Job violates queue and\/or server resource limits|Job exceeds queue resource limits|would exceed|Account.*(not|in)valid|Unknown queue)[^\n]*/i;

async function logsOf({ env, endpointName }: DoctorContext) {
  if (endpointName === undefined) return undefined;
  const machine = localMachine(env);
  const endpoint = await readEndpoint(machine, endpointName);
  return endpoint === undefined ? undefined : endpointLogs(machine, endpoint, 5_000);
}

async function schedulerRefusals(context: DoctorContext): Promise<DoctorFinding> {
  const logs = await logsOf(context);
  if (logs === undefined) return skip('the endpoint is not on this machine: run this where it is');
  const found = logs.flatMap((log) => log.lines).findLast((line) => REFUSALS.test(line));
  return found === undefined
    ? ok('no refusal of qsub in the endpoint logs')
    : fail(
        `the scheduler refused: ${REFUSALS.exec(found)?.[0]}`,
        `holdfast endpoint init ${context.endpointName} (with account, queue, walltime mended)`,
      );
}

async function endpointErrors(context: DoctorContext): Promise<DoctorFinding> {
  const logs = await logsOf(context);
  if (logs === undefined) return skip('the endpoint is not on this machine: run this where it is');
  const error = lastError(logs);
  return error === undefined
    ? ok('no ERROR in the endpoint logs')
    : warn(`last error: ${error.split('\n')[0]}`, `holdfast endpoint logs ${context.endpointName} --errors`);
}

const answers = new WeakMap<DoctorContext, Promise<CheckAnswer>>();

/** One task for all rows about the worker. */
function askWorker(context: DoctorContext): Promise<CheckAnswer> {
  let asked = answers.get(context);
  if (!asked) {
    const request = {
      op: 'check',
      python: context.python ?? null,
      setup: context.setup ?? [],
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

async function workerPython(context: DoctorContext): Promise<DoctorFinding> {
  const { python, host } = await askWorker(context);
  if (python === undefined) return fail(`python does not start on ${host}`, 'holdfast endpoint init NAME (with worker_init mended)');
  const [major = 0, minor = 0] = python.split('.').map(Number);
  return major > 3 || minor >= 8
    ? ok(`Python ${python} on ${host}`)
    : fail(`Python ${python} on ${host} is older than 3.8`, 'holdfast endpoint init NAME (with a newer Python in worker_init)');
}

async function projectFolder(context: DoctorContext): Promise<DoctorFinding> {
  const [answer] = await control(context.target as TaskTarget, [{ op: 'probe', base: context.base ?? '~/holdfast' }], probeAnswer, {
    timeoutSeconds: context.taskSeconds,
    pollSeconds: 3,
  });
  return ok(`${answer?.base} can be written on ${answer?.host}, ${Math.round((answer?.free_bytes ?? 0) / 1e9)} GB free`);
}

async function workerInit(context: DoctorContext): Promise<DoctorFinding> {
  const { problems, host } = await askWorker(context);
  const broken = problems.find((problem) => problem.code === 'environment');
  return broken
    ? fail(broken.message, 'holdfast endpoint init NAME (with worker_init mended)')
    : ok(`worker_init and setup ran on ${host}`);
}

async function endpointOnline({ client, endpointId }: DoctorContext): Promise<DoctorFinding> {
  if (endpointId === undefined) return skip('no endpoint id is configured');
  const { status } = await (client as GlobusClient).endpointStatus(endpointId);
  return status === 'online'
    ? ok(`endpoint ${endpointId} is online`)
    : fail(`endpoint ${endpointId} is ${status}`, 'holdfast endpoint start NAME');
}

async function blocksStart({ client, endpointId }: DoctorContext): Promise<DoctorFinding> {
  if (endpointId === undefined) return skip('no endpoint id is configured');
  const { details } = await (client as GlobusClient).endpointStatus(endpointId);
  const waiting = (details?.pending_tasks ?? 0) + (details?.outstanding_tasks ?? 0);
  if (waiting > 0 && (details?.managers ?? 0) === 0) return warn(`${waiting} tasks wait for nodes and no batch job runs`, 'qstat -u $USER');
  return ok(`${details?.total_workers ?? 0} workers, ${waiting} tasks`);
}

async function functionAndVersions({ client, endpointId }: DoctorContext): Promise<DoctorFinding> {
  const { name, source } = remoteFunction();
  const [buffer] = unpackBuffers(packFunction(name, source));
  if (
    buffer === undefined ||
    codePoints(buffer) !== codePoints(source) + codePoints(name) + 4 ||
    unpackBuffers(packPayload([{}])).length !== 2
  ) {
    return fail('our function does not survive packing', 'npm ci');
  }
  if (endpointId === undefined || client === undefined) return ok('our function survives packing');
  const [service, endpoint] = await Promise.all([client.version(), client.endpoint(endpointId)]);
  const seen: SeenVersions = {
    api: service.api,
    leastSdk: service.min_sdk_version,
    leastEndpoint: service.min_ep_version,
    endpoint: endpoint.endpoint_version ?? undefined,
    endpointPython: endpoint.python_version ?? undefined,
  };
  const allowed = await client.allowedFunctions(endpointId).catch(() => undefined);
  const skew = judgeVersions(seen);
  const versions = versionsSeen(seen);
  if (allowed?.restricted && skew.verdict !== 'FAIL')
    return {
      ...warn(
        `the endpoint allows ${allowed.functions?.length ?? 0} functions only; ours must be among them`,
        'holdfast diag connectivity -e ID',
      ),
      versions,
    };
  return { ...skew, versions };
}

async function dataRow(context: DoctorContext, match: RegExp, fix: string): Promise<DoctorFinding> {
  if (context.dataDir === undefined) return skip('no data folder is configured (data.dir)');
  const { problems, data_dir: folder } = await askWorker(context);
  const broken = problems.find((problem) => problem.code === 'data' && match.test(problem.message));
  return broken ? fail(broken.message, fix.replace('DATA_DIR', context.dataDir)) : ok(`${folder ?? context.dataDir}: nothing wrong`);
}

async function dataFolder(context: DoctorContext): Promise<DoctorFinding> {
  if (context.dataDir === undefined) return skip('no data folder is configured (data.dir)');
  const { data_dir: folder } = await askWorker(context);
  return ok(`${context.dataDir} resolves to ${folder}`);
}

async function modulesRow(context: DoctorContext): Promise<DoctorFinding> {
  const { modules = {} } = await askWorker(context);
  const absent = Object.entries(modules).flatMap(([name, found]) => (found ? [] : [name]));
  return absent.length === 0
    ? ok(`found: ${Object.keys(modules).join(', ')}`)
    : fail(
        `missing on the worker: ${absent.join(', ')}`,
        'holdfast endpoint init NAME (with `module load` or the virtual environment in worker_init)',
      );
}

async function environmentRow(context: DoctorContext): Promise<DoctorFinding> {
  const { prefix } = await askWorker(context);
  if (prefix === undefined) return fail('python does not start', 'holdfast endpoint init NAME (with worker_init mended)');
  const wants = context.endpointSettings?.worker_init.match(/^\s*(?:source|\.)\s+(\S+)\/bin\/activate/m)?.[1];
  if (wants !== undefined && prefix !== wants)
    return fail(`worker_init activates ${wants}, but Python runs from ${prefix}`, 'holdfast endpoint restart NAME');
  return ok(`Python runs from ${prefix}`);
}

async function concurrencyRow({ endpointSettings, maxConcurrent }: DoctorContext): Promise<DoctorFinding> {
  if (endpointSettings === undefined || maxConcurrent === undefined) return skip('no endpoint file or no concurrency is given');
  const warning = concurrencyWarning(endpointSettings, maxConcurrent);
  return warning === undefined
    ? ok('the endpoint has a worker for each trial')
    : warn(warning, 'holdfast endpoint init NAME (with max_blocks raised)');
}
