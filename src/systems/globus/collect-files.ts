import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inflateSync } from 'node:zlib';
import type { DoneRecord } from '../../domain/spool.ts';
import { makeFolder } from '../../make-folder.ts';
import { fetchAnswer } from './answers.ts';
import { type ControlOptions, control, type TaskTarget } from './control-tasks.ts';
import { COLLECT_BYTES, COLLECT_LOG_BYTES } from './options.ts';
import { localPath } from './watch-trials.ts';

/** Times a file is fetched that does not come as its record says; damaged twice, it has changed over there. */
const TRIES = 2;
/** Bytes of one piece of a file; a task's result may have 10 MiB of text. */
const PIECE_BYTES = 4_000_000;

/**
 * Brings an ended attempt's files to this computer, checked by sha256: those that came with the end are there already, the rest is read by tasks in
 * pieces. Larger ones stay on the endpoint (checkpoints). A file that changed or vanished there since its record is left out.
 */
export async function collectFiles(
  target: TaskTarget,
  directory: string,
  record: DoneRecord,
  localDirectory: string,
  options: ControlOptions,
): Promise<void> {
  for (const file of record.files) {
    const path = localPath(localDirectory, record, file.path);
    if (path === undefined || file.size > largest(file.path) || (await isThere(path, file.size, file.sha256))) continue;
    const remote = join(record.directory, file.path);
    for (let tries = 1; tries <= TRIES; tries++)
      if (await fetchFile(target, directory, remote, file.size, file.sha256, path, options)) break;
  }
}

function largest(path: string): number {
  return /\.log(\.1)?$/.test(path) ? COLLECT_LOG_BYTES : COLLECT_BYTES;
}

/** False: what came is not what the record says. */
async function fetchFile(
  target: TaskTarget,
  directory: string,
  remote: string,
  size: number,
  sha256: string,
  path: string,
  options: ControlOptions,
): Promise<boolean> {
  const part = `${path}.part`;
  await makeFolder(dirname(path));
  // A part of an earlier call is whole up to its last piece.
  const have = await stat(part).then(
    (found) => Math.floor(Math.min(found.size, size) / PIECE_BYTES) * PIECE_BYTES,
    () => 0,
  );
  const file = await open(part, have > 0 ? 'r+' : 'w');
  try {
    await file.truncate(have);
    for (let offset = have; offset < size; offset += PIECE_BYTES) {
      const [answer] = await control(
        target,
        [{ op: 'fetch', directory, pieces: [[remote, offset, Math.min(PIECE_BYTES, size - offset)]] }],
        fetchAnswer,
        options,
      );
      const piece = answer?.pieces[0];
      if (piece === null || piece === undefined) return true;
      await file.write(inflateSync(Buffer.from(piece, 'base64')), 0, null, offset);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (!(await isThere(part, size, sha256))) {
    await rm(part, { force: true });
    return false;
  }
  await rename(part, path);
  return true;
}

async function isThere(path: string, size: number, sha256: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== size) return false;
  if (sha256 === '') return true;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex') === sha256;
}
