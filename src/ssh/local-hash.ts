import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** sha256 of a file's first `bytes` bytes (default: all), as 64 hex digits, and how many bytes it read. */
export async function hashFile(file: string, bytes = Number.POSITIVE_INFINITY): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  if (bytes > 0) {
    for await (const chunk of createReadStream(file, { end: bytes - 1 })) {
      hash.update(chunk as Buffer);
      sizeBytes += (chunk as Buffer).length;
    }
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}
