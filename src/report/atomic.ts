import { open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from '../make-folder.ts';

/** A report that could not be written, in words a person can act on. */
export class ReportError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ReportError';
    this.code = code;
  }
}

const ADVICE: Readonly<Record<string, readonly [code: string, what: string]>> = {
  EACCES: ['HF-REPORT-NOT-WRITABLE', 'is not writable. Give yourself write permission or choose another working_dirs.local_base'],
  EPERM: ['HF-REPORT-NOT-WRITABLE', 'is not writable. Give yourself write permission or choose another working_dirs.local_base'],
  EROFS: ['HF-REPORT-NOT-WRITABLE', 'is on a read-only file system. Choose another working_dirs.local_base'],
  ENOTDIR: [
    'HF-REPORT-NOT-A-FOLDER',
    'cannot be a folder: a file has this name or one of its parents’. Move that file or choose another folder',
  ],
  EEXIST: ['HF-REPORT-NOT-A-FOLDER', 'cannot be a folder: a file has this name. Move that file or choose another folder'],
  ENOTSUP: ['HF-REPORT-NOT-WRITABLE', 'lies where no folder can be made. Choose another working_dirs.local_base'],
  ENOSPC: ['HF-REPORT-FULL', 'is on a full file system. Free space, then run `holdfast report` to make the report again'],
  EDQUOT: ['HF-REPORT-FULL', 'is over its quota. Free space or files, then run `holdfast report` to make the report again'],
};

/**
 * Writes a file so that a reader sees the old text or the new one, never half of it: temporary file, fsync, rename, fsync of the folder.
 * Makes missing folders. A link stays a link, and what is no file (a pipe, a terminal, /dev/stdout) is written into, never replaced. Throws ReportError when the folder is not writable, not a folder, or full; the old file then still stands.
 */
export async function writeAtomically(path: string, text: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined || there.isDirectory()) await replaceWhole(path, text);
  else if (there.isFile()) await replaceWhole(await realpath(path).catch(() => path), text);
  else await writeFile(path, text);
}

async function replaceWhole(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${process.pid}-${Math.random().toString(36).slice(2)}.tmp`);
  try {
    await makeFolder(dirname(path));
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw explained(error, path);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems (FUSE, NFS) refuse fsync on folders; the rename itself is done.
    if (!['EINVAL', 'ENOTSUP', 'EISDIR'].includes(codeOf(error))) throw error;
  } finally {
    await handle.close();
  }
}

function explained(error: unknown, path: string): unknown {
  const row = ADVICE[codeOf(error)];
  if (row === undefined) return error;
  return new ReportError(row[0], `The results folder ${dirname(path)} ${row[1]}.`, { cause: error });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
