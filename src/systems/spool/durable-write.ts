import { randomBytes } from 'node:crypto';
import { access, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** Writes a file so that readers see all of it or nothing, even after a power cut: temporary name, fsync, rename, fsync of the folder. */
export async function writeDurably(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/** As writeDurably, one line of JSON. */
export async function writeJsonDurably(file: string, record: unknown): Promise<void> {
  await writeDurably(file, `${JSON.stringify(record)}\n`);
}

/** Renames within one file system, durably. False when the source is not there: somebody else was faster. */
export async function renameDurablyIfThere(source: string, target: string): Promise<boolean> {
  if (!(await renameIfThere(source, target))) return false;
  await syncFolder(path.dirname(target));
  return true;
}

/** As renameDurablyIfThere, for renames that a power cut may undo. */
export async function renameIfThere(source: string, target: string): Promise<boolean> {
  try {
    await rename(source, target);
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return true;
}

/** Makes the content of a file durable. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes new names in a folder durable. Some file systems refuse fsync of a folder (EINVAL); they have no better to offer. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (errorCode(error) !== 'EINVAL' && errorCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

/** Whether there is a file or folder of this name. Throws when that cannot be known. */
export async function isThere(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** The code of a system call's error, `ENOENT` say. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Whether an error says that a file, or a folder above it, is not there. */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR';
}
