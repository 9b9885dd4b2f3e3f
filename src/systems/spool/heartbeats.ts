import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { z } from 'zod';
import type { HeartbeatRecord } from '../../domain/spool.ts';
import { isMissing } from './durable-write.ts';
import { type AgentIdentity, agentIdentitySchema, heartbeatSchema, parseRecord } from './records.ts';

/** One agent of a pilot (a pilot has one per node) as its files tell of it. */
export interface AgentSeen {
  readonly pilotFolder: string;
  readonly identity: AgentIdentity;
  /** Absent until the first beat. */
  readonly heartbeat?: HeartbeatRecord;
}

/** All agents that ever ran in a launch folder. */
export async function readAgents(launchDirectory: string): Promise<AgentSeen[]> {
  const folder = path.join(launchDirectory, 'pilots');
  const pilots = await listed(folder);
  return (await Promise.all(pilots.map((pilot) => readPilot(path.join(folder, pilot))))).flat();
}

/** The agents of one pilot. */
export async function readPilot(pilotFolder: string): Promise<AgentSeen[]> {
  const agents: AgentSeen[] = [];
  for (const file of await listed(pilotFolder)) {
    const suffix = /^agent(-.+)?\.json$/.exec(file);
    if (suffix === null) continue;
    const identity = await readAs(agentIdentitySchema, path.join(pilotFolder, file));
    const heartbeat = await readAs(heartbeatSchema, path.join(pilotFolder, `heartbeat${suffix[1] ?? ''}.json`));
    if (identity !== undefined) agents.push({ pilotFolder, identity, ...(heartbeat === undefined ? {} : { heartbeat }) });
  }
  return agents;
}

async function listed(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** A record that is rewritten whole by rename: unreadable means that a foreign hand was there, and counts as absent. */
async function readAs<T>(schema: z.ZodType<T>, file: string): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const parsed = parseRecord(schema, text);
  return 'record' in parsed ? parsed.record : undefined;
}
