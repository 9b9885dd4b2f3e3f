import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { packageRoot } from '../package-root.ts';
import type { RemoteShell } from '../ssh/transport.ts';
import { DriverError } from '../systems/driver.ts';

const objectives = z.array(z.looseObject({ metric: z.string(), direction: z.enum(['maximize', 'minimize']) }));

const found = z.object({
  /** Absolute, on the system. */
  folder: z.string(),
  campaign: z.string(),
  launch: z.string().nullable(),
  system: z.string().nullable(),
  owner: z.looseObject({ namespace: z.string(), workflow_id: z.string(), epoch: z.number().nullish() }),
  objectives: objectives.catch([]),
  /** Job folders in it. */
  trials: z.int(),
  bytes: z.int(),
  files: z.int(),
  /** Of the last heartbeat of an agent that has not said goodbye. */
  beatAgeSeconds: z.number().nullable(),
  /** Seconds since the epoch at which the launch was closed, where that left a mark. */
  closedAt: z.number().nullable(),
  hasRepository: z.boolean(),
  isInUse: z.boolean(),
  summary: z
    .looseObject({
      campaign: z.string().exactOptional(),
      status: z.string().exactOptional(),
      ended_at: z.string().exactOptional(),
      best: z.looseObject({ values: z.record(z.string(), z.number()) }).nullish(),
    })
    .nullable()
    .catch(null),
});

/** One launch folder as it lies on a system; which campaign it is, is read from its launch.json and never from its name. */
export type FoundLaunch = z.output<typeof found>;

const listing = z.object({ base: z.string(), launches: z.array(found) });
const removal = z.object({ folder: z.string(), archive: z.string().nullable(), archiveBytes: z.int() });

/** Walking a large folder on a shared file system takes its time. */
const PATIENCE_SECONDS = 3600;

/** Every launch folder below a base folder (`~` is the home folder there). Changes nothing. Throws DriverError. */
export async function listLaunches(shell: RemoteShell, base: string, signal?: AbortSignal): Promise<z.output<typeof listing>> {
  return listing.parse(await call(shell, ['list', base], signal));
}

/** Removes one launch folder, or packs it into `<folder>.tar.gz` first; refused when it is no longer what was listed. Throws DriverError. */
export async function removeLaunch(
  shell: RemoteShell,
  base: string,
  launch: FoundLaunch,
  isArchived: boolean,
): Promise<z.output<typeof removal>> {
  return removal.parse(await call(shell, [isArchived ? 'archive' : 'remove', base, launch.folder, JSON.stringify(launch.owner)]));
}

async function call(shell: RemoteShell, words: readonly string[], signal?: AbortSignal): Promise<unknown> {
  const program = await readFile(path.join(packageRoot(), 'remote/clean.py'), 'utf8');
  const answer = await shell.run(
    { script: 'exec python3 -I -c "$@"', args: [program, ...words], timeoutSeconds: PATIENCE_SECONDS },
    signal,
  );
  if (answer.kind === 'unknown')
    throw new DriverError(
      'transport',
      'HF-CLEAN-ANSWER',
      `${words[0]} ${words[2] ?? words[1]} gave no whole answer (${answer.why}). Run it again.`,
    );
  if (answer.code !== 0)
    throw new DriverError('refused', 'HF-CLEAN-REFUSED', `${words[0]} failed: ${answer.stderr.toString('utf8').trim().slice(-500)}`);
  return JSON.parse(answer.stdout.toString('utf8'));
}
