import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DriverError } from '../driver.ts';
import { readAgentSource } from '../spool/agent-files.ts';
import { readBundle } from '../spool/bundle.ts';

/** Files as one archive (ustar, gzip). `name` is the hash of their content, the same on every system; `sha256` is of the archive's own bytes. */
export interface Archive {
  readonly name: string;
  readonly bytes: Buffer;
  readonly sha256: string;
}

interface ArchivedFile {
  readonly path: string;
  readonly content: Buffer;
  readonly isExecutable: boolean;
}

/** Above this a bundle should be a data set or a repository on the system: it travels through a web service in pieces of 2 MB. */
const MAX_BYTES = 200_000_000;

/** The training code. Throws DriverError refused (HF-BUNDLE-*) when it is not there or too large. */
export async function bundleArchive(folder: string): Promise<Archive> {
  const bundle = await readBundle(folder);
  const files = await Promise.all(bundle.files.map(async (file) => ({ ...file, content: await readFile(join(folder, file.path)) })));
  return archive(bundle.sha256, files);
}

/** The agent and the helper that trainings import. */
export async function agentArchive(): Promise<Archive> {
  const source = await readAgentSource();
  return archive(
    source.sha256,
    source.files.map(({ name, text }) => ({ path: name, content: Buffer.from(text), isExecutable: true })),
  );
}

function archive(name: string, files: readonly ArchivedFile[]): Archive {
  const size = files.reduce((sum, file) => sum + file.content.length, 0);
  if (size > MAX_BYTES) {
    throw new DriverError(
      'refused',
      'HF-BUNDLE-TOO-LARGE',
      `Training code has ${Math.round(size / 1e6)} MB, Globus Compute carries at most ${MAX_BYTES / 1e6}. Keep data out of it: name it in data.dir.`,
    );
  }
  const parts = files.flatMap((file) => [header(file), file.content, Buffer.alloc((512 - (file.content.length % 512)) % 512)]);
  const bytes = gzipSync(Buffer.concat([...parts, Buffer.alloc(1024)]), { level: 6 });
  return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** A ustar header (POSIX.1-1988): names up to 255 bytes in two parts; times and owners are zero. */
function header(file: ArchivedFile): Buffer {
  const block = Buffer.alloc(512);
  const [prefix, rest] = splitName(file.path);
  block.write(rest, 0, 100, 'utf8');
  block.write(file.isExecutable ? '0000755\0' : '0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${file.content.length.toString(8).padStart(11, '0')}\0`, 124);
  block.write('00000000000\0', 136);
  block.write('        0', 148);
  block.write('ustar\x0000', 257);
  block.write(prefix, 345, 155, 'utf8');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function splitName(name: string): [prefix: string, rest: string] {
  if (Buffer.byteLength(name) <= 100) return ['', name];
  for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
    const [prefix, rest] = [name.slice(0, slash), name.slice(slash + 1)];
    if (Buffer.byteLength(rest) <= 100 && Buffer.byteLength(prefix) <= 155) return [prefix, rest];
  }
  throw new DriverError('refused', 'HF-BUNDLE-NAME', `File name ${name} is too long to travel. Shorten its path.`);
}
