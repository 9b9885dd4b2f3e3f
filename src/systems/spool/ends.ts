import { copyFile, readdir, readFile, rename, stat } from 'node:fs/promises';
import { parseAttemptName, trialName } from '../../domain/ids.ts';
import type { DoneRecord } from '../../domain/spool.ts';
import { brokenEnd } from './broken-end.ts';
import { isMissing, renameIfThere, writeJsonDurably } from './durable-write.ts';
import { readLaunch } from './launch-folder.ts';
import { attemptFolder, queueFile, queueFolder } from './paths.ts';
import { doneRecordSchema, parseRecord } from './records.ts';

/** A done record that waits in done/. `id` changes when the file is written or moved there again. */
export interface EndedAttempt {
  readonly name: string;
  readonly id: string;
  readonly record: DoneRecord;
  readonly sizeBytes: number;
}

export interface EndsRead {
  readonly ended: readonly EndedAttempt[];
  readonly broken: readonly { readonly name: string; readonly message: string }[];
}

/**
 * Done records in done/, oldest trial first, at most about `limitBytes` of them (at least one). A record that cannot be read is kept in broken/
 * and replaced by one that says so (failed, bad_result), so that its trial goes on.
 */
export async function readEnded(launchDirectory: string, campaign: string, limitBytes = Number.POSITIVE_INFINITY): Promise<EndsRead> {
  const ended: EndedAttempt[] = [];
  const broken: { name: string; message: string }[] = [];
  let bytes = 0;
  for (const name of await doneNames(launchDirectory)) {
    const file = queueFile(launchDirectory, 'done', name);
    let text: string;
    let id: string;
    try {
      text = await readFile(file, 'utf8');
      id = `${name}@${(await stat(file)).ctimeMs}`;
    } catch (error) {
      if (isMissing(error)) continue;
      throw error;
    }
    const parsed = parseRecord(doneRecordSchema, text);
    const problem = 'problem' in parsed ? parsed.problem : misplaced(name, campaign, parsed.record);
    if (problem !== undefined) {
      broken.push({ name, message: problem });
      const replacement = await replaceBroken(launchDirectory, campaign, name, problem);
      if (replacement !== undefined) ended.push({ name, id: `${name}@broken`, record: replacement, sizeBytes: 1000 });
      continue;
    }
    if (!('record' in parsed)) continue;
    bytes += text.length;
    if (bytes > limitBytes && ended.length > 0) break;
    ended.push({ name, id, record: parsed.record, sizeBytes: text.length });
  }
  return { ended, broken };
}

async function doneNames(launchDirectory: string): Promise<string[]> {
  let files: string[];
  try {
    files = await readdir(queueFolder(launchDirectory, 'done'));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
  return names.sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
}

function order(name: string): number {
  return parseAttemptName(name)?.number ?? Number.MAX_SAFE_INTEGER;
}

function misplaced(name: string, campaign: string, record: DoneRecord): string | undefined {
  const own = `${record.trial}.${record.attempt}`;
  if (own !== name) return `it is the record of ${own}`;
  if (record.campaign !== campaign) return `it is of campaign ${record.campaign}`;
  return undefined;
}

/** Keeps the bytes in broken/ first and only then replaces the record, so that a crash in between loses nothing. */
async function replaceBroken(launchDirectory: string, campaign: string, name: string, problem: string): Promise<DoneRecord | undefined> {
  const file = queueFile(launchDirectory, 'done', name);
  const kept = queueFile(launchDirectory, 'broken', name);
  const attempt = parseAttemptName(name);
  if (attempt === undefined) {
    await rename(file, kept);
    return undefined;
  }
  await copyFile(file, kept);
  const launch = await readLaunch(launchDirectory);
  const trial = trialName(attempt.number);
  const directory = attemptFolder(launch?.job_pattern ?? '{job_id}', trial, attempt.attempt);
  const record = brokenEnd(
    { campaign, trial, attempt: attempt.attempt, directory },
    `The done record cannot be read: ${problem}. It is kept in spool/broken/.`,
  );
  await writeJsonDurably(file, record);
  return record;
}

/** Takes done records out of done/ (to collected/) after the workflow has taken them in. Safe to repeat. */
export async function acknowledge(launchDirectory: string, names: readonly string[]): Promise<void> {
  for (const name of names) await renameIfThere(queueFile(launchDirectory, 'done', name), queueFile(launchDirectory, 'collected', name));
}
