import { type Client, WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import { type CampaignFate, type CleanVerdict, judgeLaunches } from '../clean/policy.ts';
import { type FoundLaunch, listLaunches, removeLaunch } from '../clean/store.ts';
import { parseDuration } from '../spec/durations.ts';
import { loadProfile } from '../spec/load-profile.ts';
import { localCarrier } from '../ssh/local-carrier.ts';
import { openShell } from '../ssh/open-shell.ts';
import { makeRemoteShell } from '../ssh/shell.ts';
import type { RemoteShell } from '../ssh/transport.ts';
import { DriverError } from '../systems/driver.ts';
import { columns, plural } from '../view/format.ts';
import { clip } from '../view/width.ts';
import { askEnd } from './ask-campaign.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { sizeText } from './size-text.ts';
import { confirm } from './steer-commands.ts';
import { systemShell } from './system-shell.ts';

export interface CleanOptions extends CommonOptions {
  readonly system: string;
  readonly olderThan: string;
  readonly keepBest: number;
  readonly archive?: boolean;
  /** Of a Globus Compute system whose profile names none. */
  readonly endpointId?: string;
  readonly yes?: boolean;
}

interface Done {
  readonly folder: string;
  readonly archive: string | null;
  readonly bytes: number;
  readonly error?: string;
}

/**
 * `holdfast clean [BASE]`: launch folders of campaigns that ended long ago. Lists what would go and why the rest stays; with --yes it goes (or is packed
 * with --archive). Temporal is asked about every campaign, so that a live one is never touched.
 */
export async function clean(base: string | undefined, options: CleanOptions, io: CliIo): Promise<Exit> {
  const olderThanSeconds = parseDuration(options.olderThan);
  if (olderThanSeconds === undefined)
    throw new CliError('usage', 'HF-USAGE', `--older-than ${options.olderThan} is no time. Write 24h, 7d or 30d.`);
  const place = await placeOf(base, options, io);
  try {
    return await withClient<Exit>(async (client) => {
      const { base: folder, launches } = await listLaunches(place.shell, place.base, io.interrupted);
      const fates = new Map<FoundLaunch, CampaignFate>();
      for (const launch of launches) fates.set(launch, await fateOf(client, launch));
      const rules = { olderThanSeconds, keepBest: options.keepBest };
      const verdicts = judgeLaunches(launches, (launch) => fates.get(launch) as CampaignFate, rules, Date.now());
      const going = verdicts.filter(({ isRemoved }) => isRemoved);
      const bytes = going.reduce((sum, { launch }) => sum + launch.bytes, 0);
      const verb = options.archive === true ? 'packed and removed' : 'removed';
      const isAsked =
        options.yes !== true && options.json !== true && going.length > 0 && io.input.isTTY === true && io.output.isTTY === true;
      const listed = listText(folder, verdicts);
      if (isAsked) print(io, options, undefined, listed);
      const isAct =
        options.yes === true ||
        (isAsked && (await confirm(io, `${plural(going.length, 'folder')}, ${sizeText(bytes)}, will be ${verb}. Go on?`)));
      const done = isAct ? await removeAll(place.shell, folder, going, options.archive === true, io) : [];
      const document = { base: folder, system: options.system, dryRun: !isAct, launches: verdicts.map(jsonOf), removed: done };
      print(io, options, document, [...(isAsked ? [] : [listed]), endText(going.length, bytes, verb, isAct, done)].join('\n'));
      return done.some(({ error }) => error !== undefined) ? 'failed' : 'ok';
    });
  } finally {
    await place.shell.close();
  }
}

/** Seconds that a task of an endpoint may wait for a worker: its batch job may have to start. */
const QUEUE_SECONDS = 1800;

/** Where the folders lie and the way there; an endpoint's are reached by tasks, since it has no login node. */
async function placeOf(
  base: string | undefined,
  { system, endpointId }: CleanOptions,
  io: CliIo,
): Promise<{ readonly shell: RemoteShell; readonly base: string }> {
  const env = { ...process.env, ...io.env };
  const profile = loadProfile(system, { env: io.env });
  if (endpointId !== undefined && profile.kind !== 'globus_compute')
    throw new CliError('usage', 'HF-USAGE', `--endpoint-id is for Globus Compute; ${system} is of kind ${profile.kind}.`);
  if (profile.kind === 'local') return { shell: makeRemoteShell(localCarrier({ env })), base: base ?? 'results' };
  if (profile.kind === 'globus_compute')
    return {
      shell: await systemShell(system, endpointId === undefined ? {} : { endpointId }, io, QUEUE_SECONDS),
      base: base ?? profile.base ?? '~/holdfast',
    };
  const folder = base ?? profile.base;
  if (folder === undefined)
    throw new CliError(
      'usage',
      'HF-USAGE',
      `The profile of ${system} names no base folder. Name one: holdfast clean FOLDER --system ${system}`,
    );
  return { shell: openShell(profile.name, profile.ssh, env).shell, base: folder };
}

/** What Temporal knows of a launch folder's campaign. */
async function fateOf(client: Client, { owner }: FoundLaunch): Promise<CampaignFate> {
  if (owner.namespace !== client.options.namespace) return { kind: 'foreign', namespace: owner.namespace };
  try {
    const { status, closeTime } = await client.workflow.getHandle(owner.workflow_id).describe();
    if (status.name === 'RUNNING' || closeTime === undefined) return { kind: 'running' };
    const end = await askEnd(client, owner.workflow_id);
    const best = end.result?.best?.values[0];
    return { kind: 'ended', endedAt: closeTime.getTime(), ...(best === undefined ? {} : { best }) };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { kind: 'unknown' };
    if (error instanceof WorkflowFailedError) return { kind: 'unknown' };
    throw error;
  }
}

async function removeAll(
  shell: RemoteShell,
  base: string,
  going: readonly CleanVerdict[],
  isArchived: boolean,
  io: CliIo,
): Promise<Done[]> {
  const done: Done[] = [];
  for (const { launch } of going) {
    if (io.interrupted.aborted) break;
    try {
      const { archive } = await removeLaunch(shell, base, launch, isArchived);
      done.push({ folder: launch.folder, archive, bytes: launch.bytes });
    } catch (error) {
      if (!(error instanceof DriverError) || error.class !== 'refused') throw error;
      done.push({ folder: launch.folder, archive: null, bytes: 0, error: error.message });
    }
  }
  return done;
}

function jsonOf({ launch, isRemoved, reason, endedAt, best }: CleanVerdict) {
  const { folder, campaign, launch: name, owner, trials, bytes, files } = launch;
  const startedAt = typeof owner.epoch === 'number' ? new Date(owner.epoch).toISOString() : null;
  return {
    folder,
    launch: name,
    campaign,
    namespace: owner.namespace,
    started_at: startedAt,
    ended_at: endedAt === undefined ? null : new Date(endedAt).toISOString(),
    trials,
    files,
    bytes,
    best: best ?? null,
    remove: isRemoved,
    reason,
  };
}

function listText(base: string, verdicts: readonly CleanVerdict[]): string {
  if (verdicts.length === 0) return `There is no launch folder in ${base}.`;
  const rows = verdicts.map(({ launch, isRemoved, reason }) => [
    isRemoved ? 'goes' : 'stays',
    launch.folder.startsWith(`${base}/`) ? launch.folder.slice(base.length + 1) : launch.folder,
    clip(launch.campaign, 30),
    String(launch.trials),
    sizeText(launch.bytes),
    reason,
  ]);
  return [`launch folders in ${base}`, '', ...columns([['', 'folder', 'campaign', 'trials', 'size', 'why'], ...rows])].join('\n');
}

function endText(count: number, bytes: number, verb: string, isAct: boolean, done: readonly Done[]): string {
  if (count === 0) return '\nNothing is to be cleaned.';
  if (!isAct) return `\n${plural(count, 'folder')}, ${sizeText(bytes)}, would be ${verb}. Nothing was done; --yes does it.`;
  const errors = done.flatMap(({ folder, error }) => (error === undefined ? [] : [`! ${folder}: ${error}`]));
  const good = done.filter(({ error }) => error === undefined);
  const freed = good.reduce((sum, { bytes: size }) => sum + size, 0);
  return [...errors, `\n${plural(good.length, 'folder')}, ${sizeText(freed)}, ${good.length === 1 ? 'is' : 'are'} ${verb}.`].join('\n');
}
