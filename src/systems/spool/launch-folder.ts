import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { LaunchRecord } from '../../domain/spool.ts';
import { makeFolder } from '../../make-folder.ts';
import { DriverError } from '../driver.ts';
import { errorCode, isMissing, writeJsonDurably } from './durable-write.ts';
import { QUEUES, queueFolder } from './paths.ts';
import { type LaunchHead, launchSchema, parseRecord } from './records.ts';

/** What a refused write means, by errno. */
const WRITE_REFUSALS: Readonly<Record<string, string>> = {
  EACCES: 'is not writable',
  EPERM: 'is not writable',
  EROFS: 'lies on a read-only file system',
  ENOSPC: 'lies on a full disk',
  EDQUOT: 'is over its quota',
  ENAMETOOLONG: 'has too long a name',
  ENOTDIR: 'has a file among its parent folders',
  EEXIST: 'has a file among its parent folders',
  ENOTSUP: 'lies where no folder can be made',
};

/**
 * Makes a launch folder with its spool and writes launch.json. Safe to repeat. Throws DriverError `refused` when the folder cannot be written
 * (HF-SPOOL-NOT-WRITABLE) or belongs to another campaign or to a later start of this one (HF-SPOOL-OWNER).
 */
export async function makeLaunchFolder(launchDirectory: string, record: LaunchRecord): Promise<void> {
  const before = await readLaunch(launchDirectory);
  if (before !== undefined) refuseForeign(launchDirectory, before, record);
  await refusing(launchDirectory, async () => {
    for (const queue of QUEUES) await makeFolder(queueFolder(launchDirectory, queue));
    for (const name of ['trials', 'pilots', 'bundle', 'agent']) await makeFolder(path.join(launchDirectory, name));
    await writeJsonDurably(path.join(launchDirectory, 'launch.json'), record);
  });
}

function refuseForeign(launchDirectory: string, before: LaunchHead, record: LaunchRecord): void {
  const { owner } = before;
  const isSame = owner.namespace === record.owner.namespace && owner.workflow_id === record.owner.workflow_id;
  if (isSame && owner.epoch <= record.owner.epoch) return;
  throw new DriverError(
    'refused',
    'HF-SPOOL-OWNER',
    `Launch folder ${launchDirectory} belongs to ${isSame ? 'a later start of' : ''} campaign ${owner.workflow_id} in namespace ${owner.namespace}. ` +
      'Give this campaign another working_dirs.launch_iteration_pattern, or move that folder away.',
  );
}

/**
 * Runs a write into a folder; a refusal of the file system becomes a DriverError that says what to do. `whenFull`: a campaign that has not begun
 * is refused on a full disk, one that runs waits for space (`transport`: tried again for ever, with back-off).
 */
export async function refusing<T>(folder: string, write: () => Promise<T>, whenFull: 'refused' | 'transport' = 'refused'): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const code = errorCode(error) ?? '';
    const refusal = WRITE_REFUSALS[code];
    if (refusal === undefined) throw error;
    throw new DriverError(
      code === 'ENOSPC' || code === 'EDQUOT' ? whenFull : 'refused',
      'HF-SPOOL-NOT-WRITABLE',
      `Results folder ${folder} ${refusal} (${code}). Free or change it, or name another in working_dirs.local_base.`,
      { cause: error },
    );
  }
}

/** What launch.json says; undefined when there is none or it cannot be read. */
export async function readLaunch(launchDirectory: string): Promise<LaunchHead | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(launchDirectory, 'launch.json'), 'utf8');
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'EACCES') return undefined;
    throw error;
  }
  const parsed = parseRecord(launchSchema, text);
  return 'record' in parsed ? parsed.record : undefined;
}
