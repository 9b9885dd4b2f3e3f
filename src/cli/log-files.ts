import { closeSync, createReadStream, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CliIo } from './io.ts';

const CHUNK_BYTES = 64 * 1024;
const POLL_MILLISECONDS = 500;

/** The last lines of a file of any size, read from its end; at most 1 MiB. */
export function lastLines(file: string, lines: number): string {
  const descriptor = openSync(file, 'r');
  try {
    const size = fstatSync(descriptor).size;
    let text = '';
    for (let end = size; end > 0 && text.split('\n').length <= lines + 1 && text.length < 1024 * 1024; ) {
      const start = Math.max(0, end - CHUNK_BYTES);
      const buffer = Buffer.alloc(end - start);
      readSync(descriptor, buffer, 0, buffer.length, start);
      text = buffer.toString('utf8') + text;
      end = start;
    }
    const all = text.split('\n');
    const isTerminated = all.at(-1) === '';
    return all.slice(isTerminated ? -lines - 1 : -lines).join('\n');
  } finally {
    closeSync(descriptor);
  }
}

/** Prints a whole file, or its last lines. */
export async function printFile(file: string, io: CliIo, lines?: number): Promise<void> {
  if (lines !== undefined) {
    io.output.write(lastLines(file, lines));
    return;
  }
  for await (const chunk of createReadStream(file, { signal: io.interrupted })) io.output.write(chunk as Buffer);
}

/** Prints a file as it grows until `hasEnded`, then its rest. A rotated file (smaller than what was read) is read from its beginning. */
export async function followFile(file: string, io: CliIo, hasEnded: () => Promise<boolean>): Promise<void> {
  let position = 0;
  let identity = 0;
  for (let isLast = false; !io.interrupted.aborted; ) {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined) {
      if (stat.ino !== identity || stat.size < position) position = 0;
      identity = stat.ino;
      position = await copyFrom(file, position, io);
    }
    if (isLast) return;
    isLast = await hasEnded();
    if (!isLast) await sleep(POLL_MILLISECONDS, undefined, { signal: io.interrupted }).catch(() => undefined);
  }
}

async function copyFrom(file: string, from: number, io: CliIo): Promise<number> {
  const handle = await open(file, 'r');
  try {
    let position = from;
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return position;
      // A copy: the stream may keep the buffer until it is written.
      io.output.write(Buffer.from(buffer.subarray(0, bytesRead)));
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
}
