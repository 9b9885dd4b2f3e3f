import type { SFTPWrapper } from 'ssh2';
import type { FileCopy } from './carrier.ts';

/** Every server takes packets of 32 KiB (draft-ietf-secsh-filexfer-02, 3). */
const CHUNK_BYTES = 32_768;
/** Requests under way: 1 MiB, enough for 20 MB/s over 50 ms. */
const DEPTH = 32;

/**
 * Appends a local stream to a remote file from `copy.offset` on. Requests go out in order and sftp-server serves them in order, so what a cut
 * leaves is a beginning of the file. Rejects with the first error of the session, also when it just ends.
 */
export async function appendRemote(session: SFTPWrapper, source: AsyncIterable<Buffer>, copy: FileCopy): Promise<void> {
  const lost = sessionEnd(session);
  const handle = await Promise.race([open(session, copy.remoteFile, copy.offset === 0 ? 'w' : 'r+'), lost]);
  const underWay = new Set<Promise<void>>();
  let position = copy.offset;
  let done = copy.offset;
  for await (const chunk of source) {
    for (let start = 0; start < chunk.length && position < copy.size; start += CHUNK_BYTES) {
      const part = chunk.subarray(start, start + Math.min(CHUNK_BYTES, copy.size - position));
      const write: Promise<void> = writeAt(session, handle, part, position).then(() => {
        underWay.delete(write);
        done += part.length;
        copy.progress(done);
      });
      // Awaited below or in the race; a rejection meanwhile is not unhandled.
      write.catch(() => undefined);
      underWay.add(write);
      position += part.length;
      if (underWay.size >= DEPTH) await Promise.race([...underWay, lost]);
    }
    if (position >= copy.size) break;
  }
  await Promise.race([Promise.all(underWay), lost]);
  await Promise.race([closeHandle(session, handle), lost]);
}

/** The remote file's bytes from `copy.offset` to `copy.size`, in order, `DEPTH` requests ahead. Ends early where the file does. */
export async function* readRemote(session: SFTPWrapper, copy: FileCopy): AsyncGenerator<Buffer> {
  const lost = sessionEnd(session);
  const handle = await Promise.race([open(session, copy.remoteFile, 'r'), lost]);
  const ahead: Promise<Buffer>[] = [];
  let next = copy.offset;
  let done = copy.offset;
  while (done < copy.size) {
    while (ahead.length < DEPTH && next < copy.size) {
      const length = Math.min(CHUNK_BYTES, copy.size - next);
      const read = readWhole(session, handle, next, length);
      read.catch(() => undefined);
      ahead.push(read);
      next += length;
    }
    const head = ahead.shift();
    if (!head) break;
    const part = await Promise.race([head, lost]);
    if (part.length === 0) break;
    done += part.length;
    yield part;
    copy.progress(done);
  }
  await Promise.race([closeHandle(session, handle), lost]);
}

/** Rejects when the session ends; ssh2 leaves requests of a dead connection unanswered. */
function sessionEnd(session: SFTPWrapper): Promise<never> {
  const end = new Promise<never>((_, reject) => {
    session.on('error', (error: Error) => reject(error));
    session.on('close', () => reject(new Error('the connection ended')));
    session.on('end', () => reject(new Error('the connection ended')));
  });
  end.catch(() => undefined);
  return end;
}

function open(session: SFTPWrapper, file: string, flags: 'r' | 'r+' | 'w'): Promise<Buffer> {
  return new Promise((resolve, reject) => session.open(file, flags, (error, handle) => (error ? reject(error) : resolve(handle))));
}

function closeHandle(session: SFTPWrapper, handle: Buffer): Promise<void> {
  return new Promise((resolve, reject) => session.close(handle, (error) => (error ? reject(error) : resolve())));
}

function writeAt(session: SFTPWrapper, handle: Buffer, part: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) =>
    session.write(handle, part, 0, part.length, position, (error) => (error ? reject(error) : resolve())),
  );
}

/** Servers may answer with less than was asked for. */
async function readWhole(session: SFTPWrapper, handle: Buffer, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let have = 0;
  while (have < length) {
    const got = await readAt(session, handle, buffer, have, length - have, position + have);
    if (got === 0) break;
    have += got;
  }
  return buffer.subarray(0, have);
}

const SFTP_EOF = 1;

function readAt(session: SFTPWrapper, handle: Buffer, buffer: Buffer, start: number, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) =>
    session.read(handle, buffer, start, length, position, (error, bytes) => {
      if (!error) resolve(bytes);
      else if ((error as Error & { code?: number }).code === SFTP_EOF) resolve(0);
      else reject(error);
    }),
  );
}
