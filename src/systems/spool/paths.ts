import path from 'node:path';
import { attemptDirectory } from '../../domain/ids.ts';

/** The folders of a spool, in the order in which an offer moves through them. docs/spool.md says what lies where and why. */
export const QUEUES = ['ready', 'claimed', 'done', 'collected', 'stop', 'withdrawn', 'broken'] as const;
export type Queue = (typeof QUEUES)[number];

/** `<launch>/spool/<queue>`. */
export function queueFolder(launchDirectory: string, queue: Queue): string {
  return path.join(launchDirectory, 'spool', queue);
}

/** `<launch>/spool/<queue>/trial-0007.1.json`. */
export function queueFile(launchDirectory: string, queue: Queue, name: string): string {
  return path.join(queueFolder(launchDirectory, queue), `${name}.json`);
}

/** A pilot's name as one part of a path, as the agent spells it. */
export function pilotFolderName(pilot: string): string {
  return encodeURIComponent(pilot);
}

/** `<launch>/pilots/<pilot>`. */
export function pilotFolder(launchDirectory: string, pilot: string): string {
  return path.join(launchDirectory, 'pilots', pilotFolderName(pilot));
}

/** Stop files: one attempt (`trial-0007.1`), one pilot, or everything of the launch. */
export function stopFile(launchDirectory: string, what: { attempt: string } | { pilot: string } | 'all'): string {
  const name = what === 'all' ? 'all' : 'attempt' in what ? what.attempt : `pilot-${pilotFolderName(what.pilot)}`;
  return path.join(queueFolder(launchDirectory, 'stop'), name);
}

/** Folder of one attempt relative to the launch folder; `jobPattern` has {job_id}, which is the trial's name. */
export function attemptFolder(jobPattern: string, trial: string, attempt: number): string {
  return attemptDirectory(jobPattern.replaceAll('{job_id}', trial).replaceAll('{trial}', trial), attempt);
}
