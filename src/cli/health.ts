import { type Client, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import type { HealthInput } from '../../workflows/health.ts';
import { healthScheduleId } from '../domain/health.ts';
import { TASK_QUEUE } from '../domain/ids.ts';
import { parseDuration } from '../spec/durations.ts';
import { loadProfile } from '../spec/load-profile.ts';
import { readWatched, type WatchedSystem } from '../temporal/health-schedule.ts';
import { age, columns, instant } from '../view/format.ts';
import { HEALTH_WORDS, healthHeadline } from '../view/health.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';

export interface HealthOptions extends CommonOptions {
  /** Time between checks: creates or changes the schedule. */
  readonly every?: string;
  readonly off?: boolean;
  /** One check at once, waited for. */
  readonly now?: boolean;
  readonly endpointId?: string;
}

/** Checks closer together than this would eat the service's request budget (20 in 10 s for everything the user does). */
const LEAST_SECONDS = 60;
const PATIENCE_SECONDS = 120;

/**
 * `holdfast health [system] [--every 10m | --off | --now]`: the Temporal Schedule that checks a system, and its last report; without a system all
 * of them. Exit `failed` when the last check says so or nothing is scheduled. Throws CliError for a system that has nothing to be checked.
 */
export function health(system: string | undefined, options: HealthOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    if (system === undefined) return overview(client, options, io);
    if (options.off === true) return unwatch(client, system, options, io);
    if (options.every !== undefined) {
      checkKind(system, io);
      await watchSystem(client, system, secondsOf(options.every), options.endpointId);
    }
    if (options.now === true && (await readWatched(client, system)) !== undefined) await checkNow(client, system);
    const watched = await readWatched(client, system);
    if (watched === undefined) {
      print(io, options, { system, scheduled: false }, `${system} is not watched. Run \`holdfast health ${system} --every 10m\`.`);
      return 'failed';
    }
    print(io, options, watched, describeWatched(watched));
    return watched.report?.verdict === 'fail' ? 'failed' : 'ok';
  });
}

function secondsOf(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds < LEAST_SECONDS)
    throw new CliError('usage', 'HF-USAGE', `--every ${text} is no time of at least ${LEAST_SECONDS} s. Write 10m, 1h or 1d.`);
  return seconds;
}

function checkKind(system: string, io: CliIo): void {
  const { kind } = loadProfile(system, { env: io.env });
  if (kind !== 'globus_compute')
    throw new CliError(
      'usage',
      'HF-USAGE',
      `${system} is of kind ${kind} and has no service to watch: its own look shows all. Name a Globus Compute system (holdfast systems list).`,
    );
}

/** Creates the schedule, with a check at once, or gives it another interval or endpoint. */
export async function watchSystem(client: Client, system: string, everySeconds: number, endpoint?: string): Promise<void> {
  const scheduleId = healthScheduleId(system);
  const input: HealthInput = { system, patienceSeconds: PATIENCE_SECONDS, ...(endpoint === undefined ? {} : { endpoint }) };
  const spec = { intervals: [{ every: everySeconds * 1000 }] };
  const action = {
    type: 'startWorkflow' as const,
    workflowType: 'systemHealth',
    workflowId: scheduleId,
    taskQueue: TASK_QUEUE,
    args: [input],
    staticSummary: `health of ${system}`,
  };
  // After an outage one check is enough; a check that waits for its worker is not joined by others.
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' as const };
  const handle = client.schedule.getHandle(scheduleId);
  try {
    await handle.update((known) => ({ ...known, spec, action, policies: { ...known.policies, ...policies } }));
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
    await client.schedule.create({ scheduleId, spec, action, policies, state: { triggerImmediately: true } });
  }
}

async function unwatch(client: Client, system: string, options: CommonOptions, io: CliIo): Promise<Exit> {
  const isThere = await client.schedule
    .getHandle(healthScheduleId(system))
    .delete()
    .then(
      () => true,
      (error: unknown) => {
        if (error instanceof ScheduleNotFoundError) return false;
        throw error;
      },
    );
  print(io, options, { system, scheduled: false }, isThere ? `${system} is not watched any more.` : `${system} was not watched.`);
  return 'ok';
}

/** Triggers a check and waits for its report. */
async function checkNow(client: Client, system: string): Promise<void> {
  const end = Date.now() + (PATIENCE_SECONDS + 30) * 1000;
  const until = async (isDone: () => Promise<boolean>) => {
    while (!(await isDone())) {
      if (Date.now() > end)
        throw new CliError('unreachable', 'HF-NO-WORKER', `No worker has made the check of ${system}. Start one with \`holdfast worker\`.`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  };
  // Not beside one that runs: its report is what this one's events are counted from.
  await until(async () => (await lastRun(client, system))?.isRunning !== true);
  const before = await lastRun(client, system);
  // A schedule that has just been made begins with a check of its own.
  if (before !== undefined) await client.schedule.getHandle(healthScheduleId(system)).trigger(ScheduleOverlapPolicy.BUFFER_ONE);
  await until(async () => {
    const last = await lastRun(client, system);
    return last !== undefined && last.runId !== before?.runId && !last.isRunning;
  });
}

async function lastRun(client: Client, system: string): Promise<{ runId: string; isRunning: boolean } | undefined> {
  const { info } = await client.schedule.getHandle(healthScheduleId(system)).describe();
  const last = info.recentActions.at(-1)?.action.workflow;
  if (last === undefined) return undefined;
  const { status } = await client.workflow.getHandle(last.workflowId, last.firstExecutionRunId).describe();
  return { runId: last.firstExecutionRunId, isRunning: status.name === 'RUNNING' };
}

async function overview(client: Client, options: CommonOptions, io: CliIo): Promise<Exit> {
  const found: WatchedSystem[] = [];
  const prefix = healthScheduleId('');
  for await (const { scheduleId } of client.schedule.list()) {
    const watched = scheduleId.startsWith(prefix) ? await readWatched(client, scheduleId.slice(prefix.length)) : undefined;
    if (watched !== undefined) found.push(watched);
  }
  const text =
    found.length === 0
      ? 'No system is watched. Run `holdfast health SYSTEM --every 10m`.'
      : columns([
          ['system', 'health', 'checked', 'every'],
          ...found.map(({ system, report, everySeconds }) => [
            system,
            report === undefined ? 'not yet' : HEALTH_WORDS[report.verdict],
            report === undefined ? '' : `${age((Date.now() - report.checkedAt) / 1000)} ago`,
            age(everySeconds),
          ]),
        ]).join('\n');
  print(io, options, found, text);
  return found.some(({ report }) => report?.verdict === 'fail') ? 'failed' : 'ok';
}

/** The report for a terminal: headline, one line a finding with its advice below, the last ten events. */
function describeWatched({ system, everySeconds, isPaused, report }: WatchedSystem): string {
  const rhythm = isPaused ? 'paused' : `checked every ${age(everySeconds)}`;
  if (report === undefined) return `${system} is ${rhythm}; no check has finished yet.`;
  return [
    `${healthHeadline(report)}`,
    `${rhythm}, the last time ${age((Date.now() - report.checkedAt) / 1000)} ago`,
    ...report.findings.flatMap(({ status, title, about, found, advice, since }) => [
      `${HEALTH_WORDS[status].padEnd(4)} ${title}${about === undefined ? '' : ` (${about})`}: ${found}${status === 'ok' ? '' : ` (since ${instant(since)})`}`,
      ...(advice === undefined ? [] : [`     ${advice}`]),
    ]),
    ...(report.events.length === 0 ? [] : ['events']),
    ...report.events.slice(-10).map(({ at, title, from, to, text }) => {
      const change = from === to ? '' : ` ${HEALTH_WORDS[from]} -> ${HEALTH_WORDS[to]}`;
      return `  ${instant(at)} ${title}${change}: ${text}`;
    }),
  ].join('\n');
}
