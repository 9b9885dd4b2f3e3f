import { copyFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { FileReference } from '../domain/trial.ts';
import { makeFolder } from '../make-folder.ts';
import { isMissing } from '../systems/spool/durable-write.ts';
import { columns } from '../view/format.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { printFile } from './log-files.ts';
import { writingTo } from './output-place.ts';
import { sizeText } from './size-text.ts';
import { systemShell } from './system-shell.ts';
import { type TrialFile, trialFile } from './trial-commands.ts';

export interface GetOptions extends CommonOptions {
  readonly out?: string;
  readonly attempt?: number;
  readonly maxBytes?: number;
}

/** Fetched without being asked twice; larger files need --max-bytes. */
const MOST_BYTES = 512 * 1024 * 1024;

/** One file of a trial: here, or only where the trial ran. */
interface Entry extends Partial<Omit<FileReference, 'path'>> {
  readonly path: string;
  readonly isHere: boolean;
}

/**
 * `holdfast get CAMPAIGN TRIAL [FILE]`: a file of a trial, from this computer or from the system through the connection that is open; without a file the
 * list of those there are. Checksums of the trial's record are kept.
 */
export function get(words: readonly string[], options: GetOptions, io: CliIo): Promise<Exit> {
  const { first, second, file } = argumentsOf(words);
  return withClient<Exit>(async (client) => {
    const trial = await trialFile(client, first, second, options.attempt);
    if (trial.folder === undefined || trial.remoteFolder === undefined)
      throw new CliError('failed', 'HF-NOT-PREPARED', `${trial.campaign} has no launch folder yet. See holdfast status ${trial.campaign}.`);
    const entries = await entriesOf(trial, trial.folder, options.attempt);
    if (file === undefined) {
      const rows = entries.map((entry) => [
        entry.path,
        entry.sizeBytes === undefined ? '' : sizeText(entry.sizeBytes),
        entry.isHere ? '' : trial.description.spec.system.name,
      ]);
      const where = [trial.folder, ...columns([['file', 'size', 'only on'], ...rows])].join('\n');
      const text = entries.length === 0 ? `Trial ${trial.number} of ${trial.campaign} has no file yet.` : where;
      print(
        io,
        options,
        { campaign: trial.campaign, trial: trial.number, folder: trial.folder, remote: trial.remoteFolder, files: entries },
        text,
      );
      return 'ok';
    }
    const inside = path.posix.normalize(file);
    if (inside.startsWith('..') || path.posix.isAbsolute(inside))
      throw new CliError(
        'usage',
        'HF-USAGE',
        `${file} leads out of the trial's folder. Name a file of holdfast get ${trial.campaign} ${trial.number}.`,
      );
    const source = path.join(trial.folder, inside);
    if (!(await isFile(source))) await fetchFile(trial, inside, source, entries, options.maxBytes ?? MOST_BYTES, io);
    if (options.out === '-') {
      await printFile(source, io);
      return 'ok';
    }
    const target = await writingTo('--out', options.out ?? path.basename(inside), async () => {
      const place = await targetOf(options.out, path.basename(inside));
      if (path.resolve(place) !== path.resolve(source)) await copyFile(source, place);
      return place;
    });
    const { size } = await stat(target);
    print(
      io,
      options,
      { campaign: trial.campaign, trial: trial.number, file: inside, out: path.resolve(target), bytes: size },
      `${target} (${sizeText(size)})`,
    );
    return 'ok';
  });
}

function argumentsOf(words: readonly string[]): { first: string; second?: string; file?: string } {
  const [first = '', second, third] = words;
  if (/\/(trial-)?\d+$/.test(first)) return { first, ...(second === undefined ? {} : { file: second }) };
  if (second === undefined)
    throw new CliError('usage', 'HF-NO-TRIAL', `Which trial? For example: holdfast get ${first} 7, or holdfast get ${first} 7 stdout.log`);
  return { first, second, ...(third === undefined ? {} : { file: third }) };
}

async function entriesOf(trial: TrialFile, folder: string, attempt: number | undefined): Promise<Entry[]> {
  const here = await filesBelow(folder);
  // The record is of the last attempt alone.
  const recorded = attempt === undefined || attempt === trial.view.attempt ? (trial.view.outcome?.files ?? []) : [];
  const known = new Map<string, Entry>(recorded.map((file) => [file.path, { ...file, isHere: false }]));
  for (const [name, sizeBytes] of here) known.set(name, { ...known.get(name), path: name, sizeBytes, isHere: true });
  return [...known.values()].sort((a, b) => a.path.localeCompare(b.path));
}

/** Sizes of the files below a folder by their relative paths. A training may be at work in it: what is gone by the time it is looked at is left out. */
export async function filesBelow(folder: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return found;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const seen = await stat(file).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      return undefined;
    });
    if (seen !== undefined) found.set(path.relative(folder, file), seen.size);
  }
  return found;
}

async function isFile(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isFile() === true;
}

/** A folder takes the file under its own name; anything else is the file's new name. */
async function targetOf(out: string | undefined, name: string): Promise<string> {
  if (out === undefined) return name;
  const isFolder = out.endsWith('/') || (await stat(out).catch(() => undefined))?.isDirectory() === true;
  const target = isFolder ? path.join(out, name) : out;
  await makeFolder(path.dirname(target));
  return target;
}

async function fetchFile(
  trial: TrialFile,
  file: string,
  into: string,
  entries: readonly Entry[],
  maxBytes: number,
  io: CliIo,
): Promise<void> {
  const { system } = trial.description.spec;
  if (system.kind === 'local') {
    const known =
      entries
        .map((entry) => entry.path)
        .slice(0, 8)
        .join(', ') || 'none yet';
    throw new CliError('failed', 'HF-NO-FILE', `Trial ${trial.number} of ${trial.campaign} has no file ${file}. There is: ${known}.`);
  }
  const recorded = entries.find((entry) => entry.path === file);
  const shell = await systemShell(system.name, system.settings, io);
  try {
    await shell.download(`${trial.remoteFolder}/${file}`, into, {
      maxBytes,
      signal: io.interrupted,
      ...(recorded?.sha256 === undefined || recorded.sha256 === '' ? {} : { sha256: recorded.sha256 }),
    });
  } finally {
    await shell.close();
  }
}
