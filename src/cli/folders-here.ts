import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import type { CampaignSpec } from '../domain/campaign.ts';
import { systemTaskQueue } from '../domain/ids.ts';
import { isMapping } from '../spec/source.ts';
import { pollersOf } from '../temporal/pollers.ts';

type Content = Readonly<Record<string, unknown>>;

/**
 * The content of a campaign file with its folders and its deploy plan as absolute paths, for a worker that was started in another folder of this computer:
 * whoever types `holdfast run mine.yaml` means what lies beside it. They are read on the worker's computer, so nothing is changed where that is another one
 * (or not known yet), nor what is not here. Data of other systems lies there, not here.
 */
export async function withFoldersHere(client: Client, content: Content, spec: CampaignSpec, folder = process.cwd()): Promise<Content> {
  if (!(await isWorkerHere(client, spec.system.name))) return content;
  const sections: Readonly<Record<string, readonly string[]>> =
    spec.system.kind === 'local' ? { training: ['bundle', 'data_dir'], data: ['dir'] } : { training: ['bundle'] };
  const found = Object.entries(sections).flatMap(([name, keys]) => {
    const section = content[name];
    return isMapping(section) ? [[name, placed(section, keys, folder)] as const] : [];
  });
  return { ...placed(content, ['deploy'], folder), ...Object.fromEntries(found) };
}

function placed(section: Content, keys: readonly string[], folder: string): Content {
  const here = keys.flatMap((key) => {
    const value = section[key];
    if (typeof value !== 'string' || isAbsolute(value)) return [];
    const absolute = resolve(folder, value);
    return existsSync(absolute) ? [[key, absolute] as const] : [];
  });
  return { ...section, ...Object.fromEntries(here) };
}

/** Whether a worker holds the system, and none of those that do is on another computer. */
async function isWorkerHere(client: Client, system: string): Promise<boolean> {
  const workers = await pollersOf(client, systemTaskQueue(system), 'activity');
  return workers.length > 0 && workers.every((worker) => worker.endsWith(`@${hostname()}`));
}
