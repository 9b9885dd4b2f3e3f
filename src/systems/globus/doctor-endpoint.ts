import type { GlobusClient } from './client.ts';
import { type DoctorContext, type DoctorFinding, fail, ok, skip, warn } from './doctor-findings.ts';
import { endpointLogs, lastError, readEndpoint } from './endpoint-folder.ts';
import { localMachine } from './endpoint-machine.ts';
import { concurrencyWarning } from './endpoint-settings.ts';
import { remoteFunction } from './remote-function.ts';
import { codePoints, packFunction, packPayload, unpackBuffers } from './serialize.ts';
import { judgeVersions, type SeenVersions, versionsSeen } from './version-skew.ts';

/** Refusals of qsub, in the scheduler's words as they stand in the endpoint's log. */
const REFUSALS =
  /(Unauthorized Request|invalid account|Job violates queue and\/or server resource limits|Job exceeds queue resource limits|would exceed|Account.*(not|in)valid|Unknown queue)[^\n]*/i;

export async function queueOpen({ endpointSettings, run }: DoctorContext): Promise<DoctorFinding> {
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

async function logsOf({ env, endpointName }: DoctorContext) {
  if (endpointName === undefined) return undefined;
  const machine = localMachine(env);
  const endpoint = await readEndpoint(machine, endpointName);
  return endpoint === undefined ? undefined : endpointLogs(machine, endpoint, 5_000);
}

export async function schedulerRefusals(context: DoctorContext): Promise<DoctorFinding> {
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

export async function endpointErrors(context: DoctorContext): Promise<DoctorFinding> {
  const logs = await logsOf(context);
  if (logs === undefined) return skip('the endpoint is not on this machine: run this where it is');
  const error = lastError(logs);
  return error === undefined
    ? ok('no ERROR in the endpoint logs')
    : warn(`last error: ${error.split('\n')[0]}`, `holdfast endpoint logs ${context.endpointName} --errors`);
}

export async function endpointOnline({ client, endpointId }: DoctorContext): Promise<DoctorFinding> {
  if (endpointId === undefined) return skip('no endpoint id is configured');
  const { status } = await (client as GlobusClient).endpointStatus(endpointId);
  return status === 'online'
    ? ok(`endpoint ${endpointId} is online`)
    : fail(`endpoint ${endpointId} is ${status}`, 'holdfast endpoint start NAME');
}

export async function blocksStart({ client, endpointId }: DoctorContext): Promise<DoctorFinding> {
  if (endpointId === undefined) return skip('no endpoint id is configured');
  const { details } = await (client as GlobusClient).endpointStatus(endpointId);
  const waiting = (details?.pending_tasks ?? 0) + (details?.outstanding_tasks ?? 0);
  if (waiting > 0 && (details?.managers ?? 0) === 0) return warn(`${waiting} tasks wait for nodes and no batch job runs`, 'qstat -u $USER');
  return ok(`${details?.total_workers ?? 0} workers, ${waiting} tasks`);
}

export async function functionAndVersions({ client, endpointId }: DoctorContext): Promise<DoctorFinding> {
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

export async function concurrencyRow({ endpointSettings, maxConcurrent }: DoctorContext): Promise<DoctorFinding> {
  if (endpointSettings === undefined || maxConcurrent === undefined) return skip('no endpoint file or no concurrency is given');
  const warning = concurrencyWarning(endpointSettings, maxConcurrent);
  return warning === undefined
    ? ok('the endpoint has a worker for each trial')
    : warn(warning, 'holdfast endpoint init NAME (with max_blocks raised)');
}
