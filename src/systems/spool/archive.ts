import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { readBundle } from './bundle.ts';

/** Files as one tar.gz. The same contents give the same bytes: no times, no owners. */
export interface Archive {
  /** Digest of names, modes and contents, the same on every kind of system: the name of the folder there. */
  readonly name: string;
  readonly bytes: Buffer;
  /** Of the archive's own bytes. */
  readonly sha256: string;
  readonly files: number;
}

export interface ArchivedFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly content: Buffer;
  readonly isExecutable: boolean;
}

/** The training code of a folder. Throws DriverError `refused` (HF-BUNDLE-*) when it is missing, empty or too large. */
export async function bundleArchive(folder: string): Promise<Archive> {
  const bundle = await readBundle(folder);
  const files = await Promise.all(bundle.files.map(async (file) => ({ ...file, content: await readFile(path.join(folder, file.path)) })));
  return packArchive(bundle.sha256, files);
}

/** Packs files in the order given. */
export async function packArchive(name: string, files: readonly ArchivedFile[]): Promise<Archive> {
  const blocks = files.flatMap((file) => [...tarHeaders(file), ...padded(file.content)]);
  const bytes = await promisify(gzip)(Buffer.concat([...blocks, Buffer.alloc(1024)]), { level: 6 });
  return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex'), files: files.length };
}

function padded(content: Buffer): Buffer[] {
  return [content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}

/** ustar header; names of more than 100 bytes get a PAX header in front (POSIX.1-2001, pax, "ustar Interchange Format"). */
function tarHeaders({ path: name, content, isExecutable }: ArchivedFile): Buffer[] {
  const bytes = Buffer.from(name);
  const mode = isExecutable ? '0000755' : '0000644';
  if (bytes.length <= 100) return [tarHeader(bytes, content.length, mode, '0')];
  const pairs = paxRecord('path', name);
  return [
    tarHeader(Buffer.from('pax'), pairs.length, '0000644', 'x'),
    ...padded(pairs),
    tarHeader(bytes.subarray(0, 100), content.length, mode, '0'),
  ];
}

function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length += 1;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function tarHeader(name: Buffer, size: number, mode: string, type: '0' | 'x'): Buffer {
  const header = Buffer.alloc(512);
  name.copy(header, 0);
  header.write(`${mode}\0`, 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
