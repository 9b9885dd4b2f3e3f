import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { readBundle } from '../spool/bundle.ts';

/** Training code as one file, named by its contents. */
export interface PackedBundle {
  /** Digest over the names, modes and contents, the same on every kind of system: the name of the folder there. */
  readonly sha256: string;
  /** sha256 of the packed file. */
  readonly packedSha256: string;
  readonly file: string;
  readonly sizeBytes: number;
  readonly files: number;
}

/**
 * Packs a folder as tar.gz into `intoFolder/<sha256>.tar.gz`. The same contents give the same bytes: names sorted, no times, no owners.
 * @throws DriverError `refused` (HF-BUNDLE-*) when it is missing, empty or too large.
 */
export async function packBundle(folder: string, intoFolder: string): Promise<PackedBundle> {
  const bundle = await readBundle(folder);
  const blocks: Buffer[] = [];
  for (const entry of bundle.files) {
    const bytes = await readFile(join(folder, entry.path));
    blocks.push(...tarHeaders(entry.path, bytes.length, entry.isExecutable), bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512));
  }
  const packed = await promisify(gzip)(Buffer.concat([...blocks, Buffer.alloc(1024)]), { level: 6 });
  const { sha256 } = bundle;
  const file = join(intoFolder, `${sha256}.tar.gz`);
  await mkdir(intoFolder, { recursive: true });
  await writeFile(`${file}.${process.pid}.tmp`, packed);
  await rename(`${file}.${process.pid}.tmp`, file);
  return {
    sha256,
    packedSha256: createHash('sha256').update(packed).digest('hex'),
    file,
    sizeBytes: packed.length,
    files: bundle.files.length,
  };
}

/** ustar header; names of more than 100 bytes get a PAX header in front (POSIX.1-2001, pax, "ustar Interchange Format"). */
function tarHeaders(name: string, size: number, isExecutable: boolean): Buffer[] {
  const bytes = Buffer.from(name);
  const mode = isExecutable ? '0000755' : '0000644';
  if (bytes.length <= 100) return [tarHeader(bytes, size, mode, '0')];
  const pairs = paxRecord('path', name);
  return [
    tarHeader(Buffer.from('pax'), pairs.length, '0000644', 'x'),
    pairs,
    Buffer.alloc((512 - (pairs.length % 512)) % 512),
    tarHeader(bytes.subarray(0, 100), size, mode, '0'),
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
