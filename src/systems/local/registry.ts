import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../make-folder.ts';
import { isMissing, writeJsonDurably } from '../spool/durable-write.ts';
import { parseRecord } from '../spool/records.ts';

const registeredSchema = z.object({
  campaign: z.string(),
  directory: z.string(),
  /** agent.py of this launch. */
  agent: z.string(),
  python: z.string(),
  slots: z.int().positive(),
});

/** A launch that this system looks after: what a pending look must see, though it started before the launch did. */
export type RegisteredLaunch = z.output<typeof registeredSchema>;

function file(registry: string, campaign: string): string {
  return path.join(registry, `${encodeURIComponent(campaign)}.json`);
}

/** Puts a launch on record, in place of an earlier one of the campaign. */
export async function register(registry: string, launch: RegisteredLaunch): Promise<void> {
  await makeFolder(registry);
  await writeJsonDurably(file(registry, launch.campaign), launch);
}

/** Takes a campaign's launch off the record. */
export async function deregister(registry: string, campaign: string): Promise<void> {
  await rm(file(registry, campaign), { force: true });
}

/** A campaign's launch; undefined when none is on record. Throws when the record cannot be read. */
export async function registered(registry: string, campaign: string): Promise<RegisteredLaunch | undefined> {
  let text: string;
  try {
    text = await readFile(file(registry, campaign), 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const parsed = parseRecord(registeredSchema, text);
  if ('record' in parsed) return parsed.record;
  throw new Error(`${file(registry, campaign)} cannot be read: ${parsed.problem}. Remove it and start the campaign again.`);
}

/** All launches on record, by file name. */
export async function allRegistered(registry: string): Promise<RegisteredLaunch[]> {
  let names: string[];
  try {
    names = (await readdir(registry)).filter((name) => name.endsWith('.json')).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const launches = await Promise.all(names.map((name) => registered(registry, decodeURIComponent(name.slice(0, -'.json'.length)))));
  return launches.filter((launch) => launch !== undefined);
}
