import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Makes a folder with its parents; one that is there is fine. In place of Node's own `recursive`, which never comes back where a folder that is there
 * says ENOENT to everything new (/proc), and says ENOENT itself on read-only file systems. Throws what the system said, ENOTSUP for the former.
 */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(folder, { mode });
  } catch (error) {
    if (await isFolder(folder)) return;
    if (codeOf(error) !== 'ENOENT') throw error;
    const parent = path.dirname(folder);
    if (!(await isFolder(parent))) await makeFolder(parent, mode);
    // Tried again in any case: somebody else may have made the parent meanwhile.
    await mkdir(folder, { mode }).catch(async (again: unknown) => {
      if (await isFolder(folder)) return;
      throw codeOf(again) === 'ENOENT' && (await isFolder(parent)) ? takesNothing(parent, again) : again;
    });
  }
}

/** The same at once, for what happens before there is anything to wait for. */
export function makeFolderSync(folder: string, mode = 0o777): void {
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (isFolderSync(folder)) return;
    if (codeOf(error) !== 'ENOENT') throw error;
    const parent = path.dirname(folder);
    if (!isFolderSync(parent)) makeFolderSync(parent, mode);
    try {
      mkdirSync(folder, { mode });
    } catch (again) {
      if (isFolderSync(folder)) return;
      throw codeOf(again) === 'ENOENT' && isFolderSync(parent) ? takesNothing(parent, again) : again;
    }
  }
}

/** False also where nobody may look: then the answer to the making is what counts. */
async function isFolder(place: string): Promise<boolean> {
  return (await stat(place).catch(() => undefined))?.isDirectory() === true;
}

function isFolderSync(place: string): boolean {
  try {
    return statSync(place).isDirectory();
  } catch {
    return false;
  }
}

function takesNothing(parent: string, cause: unknown): Error {
  return Object.assign(new Error(`No folder can be made in ${parent}.`, { cause }), { code: 'ENOTSUP' });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
