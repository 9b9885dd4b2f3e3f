import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../../make-folder.ts';
import type { PilotRequest, PilotStart } from '../driver.ts';
import { errorCode, isMissing, isThere, writeJsonDurably } from '../spool/durable-write.ts';
import { readPilot } from '../spool/heartbeats.ts';
import { pilotFolder } from '../spool/paths.ts';
import type { LocalSettings } from './options.ts';
import type { RegisteredLaunch } from './registry.ts';

/** A loaded computer may take long to start a Python. */
const START_SECONDS = 60;

/** Seconds between the agent's looks into ready/, and between its heartbeats, on a local disk. */
const AGENT_POLL = '0.02';
const AGENT_HEARTBEAT = '0.5';

/** Exit codes of the agent: another holds the name and is about to write who it is; there is no space for its own files. */
const NAME_IS_HELD = 3;
const NO_SPACE = 6;

/**
 * Starts an agent that outlives this process. The pilot's name is the key: where an agent of that name has ever come up, it is found and not
 * started again; of two that start at once, the lock in the pilot's folder lets one live.
 */
export async function startAgent(settings: LocalSettings, launch: RegisteredLaunch, request: PilotRequest): Promise<PilotStart> {
  const folder = pilotFolder(launch.directory, request.pilot);
  await makeFolder(folder);
  const found = await nativeId(folder);
  if (found !== undefined) return { kind: 'started', nativeId: found };

  const words = [
    launch.agent,
    'run',
    ...['--launch', launch.directory, '--pilot', request.pilot, '--slots', String(launch.slots)],
    ...['--poll', AGENT_POLL, '--heartbeat', AGENT_HEARTBEAT, '--idle-exit', String(settings.idleExitSeconds)],
    ...(request.walltimeSeconds === undefined ? [] : ['--walltime', String(request.walltimeSeconds)]),
    ...(await slotWords(settings, folder)),
  ];
  const output = openSync(path.join(folder, 'agent.out'), 'a');
  const child = spawn(launch.python, words, {
    cwd: launch.directory,
    detached: true,
    stdio: ['ignore', output, output],
    env: agentEnvironment(),
  });
  closeSync(output);
  const end = once(child, 'exit').then(
    ([code, signal]) => ({ code, how: `it ended with ${code === null ? signal : `exit code ${code}`}` }),
    (error: unknown) => ({ code: null, how: `it could not be started (${errorCode(error) ?? String(error)})` }),
  );
  let ended: { readonly code: number | null; readonly how: string } | undefined;
  end.then((found) => {
    ended = found;
  });
  child.unref();

  for (let waited = 0; waited < START_SECONDS * 1000; waited += 20) {
    const id = await nativeId(folder);
    if (id !== undefined) return { kind: 'started', nativeId: id };
    if (ended?.code === NO_SPACE) throw Object.assign(new Error(`${folder} takes no file`), { code: 'ENOSPC' });
    if (ended !== undefined && ended.code !== NAME_IS_HELD) return refused(launch, folder, ended.how);
    await sleep(20);
  }
  return { kind: 'unknown', message: `The agent of ${request.pilot} has not reported within ${START_SECONDS} s.` };
}

async function refused(launch: RegisteredLaunch, folder: string, reason: string): Promise<PilotStart> {
  const message = `The agent could not be started with ${launch.python}: ${reason}.`;
  return { kind: 'refused', failure: { class: 'environment_error', message: message.slice(0, 500), evidence: await lastOutput(folder) } };
}

async function lastOutput(folder: string): Promise<string> {
  try {
    return (await readFile(path.join(folder, 'agent.out'), 'utf8')).slice(-2000);
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

async function nativeId(folder: string): Promise<string | undefined> {
  const [agent] = await readPilot(folder);
  return agent === undefined ? undefined : String(agent.identity.pid);
}

async function slotWords(settings: LocalSettings, folder: string): Promise<string[]> {
  if (settings.slotSettings.length === 0) return [];
  const file = path.join(folder, 'slots.json');
  if (!(await isThere(file))) await writeJsonDurably(file, settings.slotSettings);
  return ['--slot-env', file];
}

/** Trainings need no way to Temporal: its address and keys stay with the worker. */
function agentEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}
