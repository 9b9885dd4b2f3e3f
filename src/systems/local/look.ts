import path from 'node:path';
import type { BusySlot } from '../../domain/spool.ts';
import type { LookRequest, LookResult, PilotSeen } from '../driver.ts';
import { isThere } from '../spool/durable-write.ts';
import { acknowledge, readEnded } from '../spool/ends.ts';
import { type AgentSeen, readPilot } from '../spool/heartbeats.ts';
import { pilotFolder, queueFile, queueFolder } from '../spool/paths.ts';
import { type Cursor, cursorOf, isNews, readCursor } from './cursor.ts';
import { isAlive } from './processes.ts';
import { recoverClaims } from './recover.ts';
import { allRegistered, type RegisteredLaunch } from './registry.ts';
import { watchFolders } from './watch.ts';

/** Watching can miss things (network file systems, too few watches); then this is how old an answer may be. */
const POLL_MILLISECONDS = 1000;
/** An activity's result must stay well below Temporal's 2 MB. */
const ENDED_BYTES = 1_000_000;
const EMPTY = { finished: 0, allocatedSlotSeconds: 0, busySlotSeconds: 0 };

/** A look at all launches of this computer: waits until there is news, at most `waitSeconds`; undefined = none. Rejects when aborted. */
export async function lookAtLaunches(registry: string, request: LookRequest, signal: AbortSignal): Promise<LookResult | undefined> {
  const before = readCursor(request.cursor);
  await takeAcks(registry, request.acks);
  const watch = watchFolders((name) => name.endsWith('.json'));
  const deadline = performance.now() + request.waitSeconds * 1000;
  try {
    for (;;) {
      signal.throwIfAborted();
      const launches = await allRegistered(registry);
      watch.follow(foldersOf(registry, launches, request));
      const { seen, cursor } = await gather(launches, request);
      if (seen.broken.length > 0 || isNews(before, cursor, request.progressSeconds))
        return { cursor: JSON.stringify(keepProgress(before, cursor)), ...seen };
      const left = deadline - performance.now();
      if (left <= 0) return undefined;
      await watch.change(Math.min(left, POLL_MILLISECONDS), signal);
    }
  } finally {
    watch.close();
  }
}

/** The age of progress counts from when it last changed hands. */
function keepProgress(before: Cursor | undefined, cursor: Cursor): Cursor {
  return before !== undefined && before.progress === cursor.progress ? { ...cursor, progressAt: before.progressAt } : cursor;
}

function foldersOf(registry: string, launches: readonly RegisteredLaunch[], request: LookRequest): string[] {
  const pilots = request.pilots.flatMap(({ pilot, campaign }) => {
    const launch = launches.find((each) => each.campaign === campaign);
    return launch === undefined ? [] : [pilotFolder(launch.directory, pilot)];
  });
  return [registry, ...launches.map(({ directory }) => queueFolder(directory, 'done')), ...pilots];
}

async function takeAcks(registry: string, acks: LookRequest['acks']): Promise<void> {
  if (acks.length === 0) return;
  for (const { campaign, directory } of await allRegistered(registry)) {
    const names = acks.filter((ack) => ack.campaign === campaign).map(({ trial, attempt }) => `${trial}.${attempt}`);
    await acknowledge(directory, names);
  }
}

async function gather(
  launches: readonly RegisteredLaunch[],
  request: LookRequest,
): Promise<{ seen: Omit<LookResult, 'cursor'>; cursor: Cursor }> {
  const running: LookResult['running'][number][] = [];
  const pilots: PilotSeen[] = [];
  // Pilots first: what a dead one's recovery writes is then among the ends.
  for (const { pilot, campaign } of request.pilots) {
    const launch = launches.find((each) => each.campaign === campaign);
    const found = launch === undefined ? undefined : await seePilot(launch, pilot);
    pilots.push(
      found?.seen ?? {
        pilot,
        state: 'ended',
        slots: 0,
        end: { kind: 'lost', message: `${campaign} is not known here any more.` },
        ...EMPTY,
      },
    );
    if (found !== undefined && found.busy.length > 0) running.push({ campaign, pilot, busy: found.busy });
  }
  const ended: LookResult['ended'][number][] = [];
  const ids: string[] = [];
  const broken: LookResult['broken'][number][] = [];
  let budget = ENDED_BYTES;
  for (const { campaign, directory } of launches) {
    if (budget <= 0) break;
    const read = await readEnded(directory, campaign, budget);
    for (const end of read.ended) {
      ended.push(end.record);
      ids.push(`${campaign} ${end.id}`);
      budget -= end.sizeBytes;
    }
    broken.push(...read.broken.map((each) => ({ campaign, ...each })));
  }
  const seen = { ended, running, pilots, broken, notices: [] };
  return { seen, cursor: cursorOf(seen, ids, Date.now()) };
}

async function seePilot(launch: RegisteredLaunch, pilot: string): Promise<{ seen: PilotSeen; busy: BusySlot[] }> {
  const folder = pilotFolder(launch.directory, pilot);
  const [agent] = await readPilot(folder);
  // A start that is under way: startPilot itself tells when it fails.
  if (agent === undefined) return { seen: { pilot, state: 'requested', slots: launch.slots, ...EMPTY }, busy: [] };
  if (isAlive(agent.identity) && agent.heartbeat?.state !== 'ended') {
    return { seen: { ...counts(pilot, agent), state: 'running' }, busy: await stillRunning(launch, agent) };
  }
  // Read again: the end may have been written between the two looks at it.
  const [last = agent] = await readPilot(folder);
  // One that was told twice to go may have left claims, too.
  await recoverClaims(launch);
  if (last.heartbeat?.state === 'ended') {
    return {
      seen: { ...counts(pilot, last), state: 'ended', end: { kind: 'normal', message: last.heartbeat.reason ?? 'nothing was left to do' } },
      busy: [],
    };
  }
  const message = `The agent (process ${last.identity.pid}) died without a word; see ${path.relative(launch.directory, folder)}/agent.log.`;
  return { seen: { ...counts(pilot, last), state: 'ended', end: { kind: 'lost', message } }, busy: [] };
}

function counts(pilot: string, { identity, heartbeat }: AgentSeen): Omit<PilotSeen, 'state'> {
  return {
    pilot,
    nativeId: String(identity.pid),
    slots: identity.slots,
    finished: heartbeat?.finished ?? 0,
    allocatedSlotSeconds: heartbeat?.allocated_slot_seconds ?? 0,
    busySlotSeconds: heartbeat?.busy_slot_seconds ?? 0,
  };
}

/** The last heartbeat less what has ended since: a done record is newer than any heartbeat. */
async function stillRunning(launch: RegisteredLaunch, agent: AgentSeen): Promise<BusySlot[]> {
  const running: BusySlot[] = [];
  for (const slot of agent.heartbeat?.busy ?? []) {
    const name = `${slot.trial}.${slot.attempt}`;
    const hasEnd =
      (await isThere(queueFile(launch.directory, 'done', name))) || (await isThere(queueFile(launch.directory, 'collected', name)));
    if (!hasEnd) running.push(slot);
  }
  return running;
}
