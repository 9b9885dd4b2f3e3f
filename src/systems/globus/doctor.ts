import { DriverError } from '../driver.ts';
import {
  blocksStart,
  concurrencyRow,
  endpointErrors,
  endpointOnline,
  functionAndVersions,
  queueOpen,
  schedulerRefusals,
} from './doctor-endpoint.ts';
import { type DoctorContext, type DoctorFinding, fail, LOGIN, ok, skip, warn } from './doctor-findings.ts';
import { clientLogin, lastingLogin, liveLogin, storedLogin } from './doctor-login.ts';
import { dataFolder, dataRow, environmentRow, modulesRow, projectFolder, workerInit, workerPython } from './doctor-worker.ts';

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
  { id: 'TS7', title: 'worker_init runs', needs: 'offline', run: workerInit },
  { id: 'TS8', title: 'endpoint online', needs: 'service', watch: 'endpoint', run: endpointOnline },
  { id: 'TS9', title: 'batch jobs of the endpoint start', needs: 'service', watch: 'endpoint', run: blocksStart },
  { id: 'TS10', title: 'function and versions fit', needs: 'offline', watch: 'endpoint', run: functionAndVersions },
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
