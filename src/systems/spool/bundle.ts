import { createHash, randomBytes } from 'node:crypto';
import { chmod, copyFile, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { DriverError } from '../driver.ts';
import { errorCode, isMissing, isThere, syncFile, syncFolder } from './durable-write.ts';

const SKIPPED_FOLDERS = new Set([
  '__pycache__',
  '.git',
  '.venv',
  'node_modules',
  '.ipynb_checkpoints',
  '.pytest_cache',
  '.ruff_cache',
  '.mypy_cache',
]);
const MOST_FILES = 10_000;
const MOST_BYTES = 512 * 1024 * 1024;

export interface BundleFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly isExecutable: boolean;
}

export interface Bundle {
  readonly folder: string;
  readonly sha256: string;
  readonly files: readonly BundleFile[];
}

/**
 * Reads a folder of training code: its files by path and one digest over paths, execute bits and contents. Caches and version control
 * (__pycache__, .git, *.pyc, …) don't belong to it. Throws DriverError `refused` (HF-BUNDLE-*) when it is missing, empty or too large.
 */
export async function readBundle(folder: string): Promise<Bundle> {
  const files = await listBundle(folder);
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (files.length === 0)
    throw refused('HF-BUNDLE-EMPTY', `Training code ${folder} has no files. Name the folder of your training in training.bundle.`);
  if (files.length > MOST_FILES || bytes > MOST_BYTES) {
    const size = `${files.length} files, ${Math.round(bytes / 1e6)} MB`;
    throw refused('HF-BUNDLE-TOO-LARGE', `Training code ${folder} is too large (${size}). Keep data out of it: name it in data.dir.`);
  }
  return { folder, files, sha256: await digest(folder, files) };
}

/** Its files, unread. Throws DriverError `refused` as `readBundle` does. */
export async function listBundle(folder: string): Promise<BundleFile[]> {
  const files: BundleFile[] = [];
  async function visit(relative: string, above: readonly string[]): Promise<void> {
    const here = await realpath(path.join(folder, relative));
    if (above.includes(here))
      throw refused('HF-BUNDLE-LOOP', `Training code ${folder} has a symbolic link to a folder above itself (${relative}). Remove it.`);
    for (const name of (await readdir(here)).sort()) {
      if (SKIPPED_FOLDERS.has(name) || name.endsWith('.pyc')) continue;
      const child = relative === '' ? name : `${relative}/${name}`;
      const found = await stat(path.join(folder, child));
      if (found.isDirectory()) await visit(child, [...above, here]);
      else if (found.isFile()) files.push({ path: child, sizeBytes: found.size, isExecutable: (found.mode & 0o111) !== 0 });
      if (files.length > MOST_FILES) return;
    }
  }
  try {
    await visit('', []);
  } catch (error) {
    if (isMissing(error))
      throw refused('HF-BUNDLE-MISSING', `Training code ${folder} does not exist. Name the folder of your training in training.bundle.`);
    throw error;
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function digest(folder: string, files: readonly BundleFile[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = createHash('sha256')
      .update(await readFile(path.join(folder, file.path)))
      .digest('hex');
    hash.update(`${JSON.stringify(file.path)} ${file.isExecutable ? 'x' : '-'} ${content}\n`);
  }
  return hash.digest('hex');
}

/** Copies a bundle to `<launch>/bundle/<sha256>`: under a temporary name, verified, fsynced, renamed. What is there already is right by its name. */
export async function placeBundle(bundle: Bundle, launchDirectory: string): Promise<string> {
  const target = path.join(launchDirectory, 'bundle', bundle.sha256);
  if (await isThere(target)) return target;
  const temporary = `${target}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    for (const file of bundle.files) {
      const copy = path.join(temporary, file.path);
      await makeFolder(path.dirname(copy));
      await copyFile(path.join(bundle.folder, file.path), copy);
      await chmod(copy, file.isExecutable ? 0o755 : 0o644);
    }
    if ((await digest(temporary, bundle.files)) !== bundle.sha256) {
      throw new DriverError(
        'transport',
        'HF-BUNDLE-CHANGED',
        `Training code ${bundle.folder} changed while it was copied. It is copied again.`,
      );
    }
    await syncBundle(temporary, bundle.files);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Another call was faster: the same name has the same contents.
    if (errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST') return target;
    throw error;
  }
  await syncFolder(path.dirname(target));
  return target;
}

/** Files and folders of a copy, so that a power cut leaves none of them empty under a name that says that they are right. */
async function syncBundle(copy: string, files: readonly BundleFile[]): Promise<void> {
  for (const file of files) await syncFile(path.join(copy, file.path));
  const folders = new Set(files.flatMap((file) => foldersAbove(file.path)));
  for (const folder of folders) await syncFolder(path.join(copy, folder));
}

/** `a/b/c.py`: `a/b`, `a` and the bundle itself. */
function foldersAbove(file: string): string[] {
  const parts = file.split('/').slice(0, -1);
  return ['', ...parts.map((_, at) => parts.slice(0, at + 1).join('/'))];
}

function refused(code: string, message: string): DriverError {
  return new DriverError('refused', code, message);
}
