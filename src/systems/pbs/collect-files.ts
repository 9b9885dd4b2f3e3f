import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import type { DoneRecord } from '../../domain/spool.ts';
import { makeFolder } from '../../make-folder.ts';
import type { SshErrorCode } from '../../ssh/errors.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import { DriverError } from '../driver.ts';

/** Files up to this size come with a look, or many in one answer; larger ones one by one. */
export const COLLECT_ALONG_BYTES = 4 * 1024 * 1024;

interface SmallFile {
  /** Relative to the attempt's folder. */
  readonly path: string;
  readonly base64: string;
}

/** Where an attempt's files are to be had. */
export interface FileSource {
  /** What came with the look that brought its end. */
  readonly cameAlong: readonly SmallFile[];
  readonly fetchSmall: (paths: readonly string[]) => Promise<readonly SmallFile[]>;
  /** `path` is relative to the launch folder. */
  readonly download: (path: string, target: string, check: Parameters<RemoteShell['download']>[2]) => Promise<void>;
}

/**
 * Brings the files of an ended attempt into the launch folder on this computer, and its done record last; what is here already is not fetched again. Checkpoints and
 * files of more than `maxFileBytes` stay on the system, and so do files whose path leads out of the launch folder.
 */
export async function collectFiles(
  record: DoneRecord,
  localLaunchDirectory: string,
  maxFileBytes: number,
  source: FileSource,
): Promise<void> {
  const place = (path: string) => join(localLaunchDirectory, record.directory, path);
  const wanted = record.files.filter(
    (file) => file.size <= maxFileBytes && !file.path.startsWith('checkpoint/') && !leadsOut(`${record.directory}/${file.path}`),
  );
  const lacking: typeof wanted = [];
  for (const file of wanted) if (!(await hasContent(place(file.path), file.sha256))) lacking.push(file);
  let small = source.cameAlong;
  if (small.length === 0 && lacking.some((file) => file.size < COLLECT_ALONG_BYTES))
    small = await source.fetchSmall(lacking.map((file) => file.path));
  for (const { path, sha256 } of lacking) {
    const target = place(path);
    const bytes = small.find((each) => each.path === path);
    if (bytes && (await writeChecked(target, Buffer.from(bytes.base64, 'base64'), sha256))) continue;
    await makeFolder(dirname(target));
    try {
      await source.download(`${record.directory}/${path}`, target, { ...(sha256 === '' ? {} : { sha256 }), maxBytes: maxFileBytes });
    } catch (error) {
      // A file that vanished or changed since its record is left out: the result, and everything else on the system, must not wait for it.
      if (!(error instanceof DriverError) || !IS_NO_LONGER_THERE.has(error.code)) throw error;
    }
  }
  if (!leadsOut(record.directory)) await writeChecked(place('done.json'), Buffer.from(`${JSON.stringify(record, null, 1)}\n`), '');
}

/** What a copy says of a file that is not what its record says. */
const IS_NO_LONGER_THERE: ReadonlySet<string> = new Set<SshErrorCode>(['HF-SSH-REMOTE-FILE', 'HF-SSH-TOO-LARGE', 'HF-SSH-CORRUPT']);

/** Whether a path leads out of its launch folder: done records come from a file system that others can write to. */
function leadsOut(path: string): boolean {
  return isAbsolute(path) || path.includes('\0') || path.split('/').includes('..');
}

/** Whether this file is here already; of a file without a checksum nobody knows. */
async function hasContent(file: string, sha256: string): Promise<boolean> {
  if (sha256 === '') return false;
  try {
    return (
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex') === sha256
    );
  } catch {
    // Missing or unreadable: it is fetched.
    return false;
  }
}

/** Writes the bytes by rename; false where they are not what the record says. */
async function writeChecked(file: string, bytes: Buffer, sha256: string): Promise<boolean> {
  if (sha256 !== '' && createHash('sha256').update(bytes).digest('hex') !== sha256) return false;
  await makeFolder(dirname(file));
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, bytes);
  await rename(temporary, file);
  return true;
}
