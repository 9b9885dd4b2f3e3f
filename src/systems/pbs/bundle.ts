import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { bundleArchive } from '../spool/archive.ts';

/** Training code as one file on this computer, ready to be uploaded. */
export interface PackedBundle {
  /** Digest over the names, modes and contents, the same on every kind of system: the name of the folder there. */
  readonly sha256: string;
  /** sha256 of the packed file. */
  readonly packedSha256: string;
  readonly file: string;
  readonly sizeBytes: number;
  readonly files: number;
}

/** Packs a folder into `intoFolder/<sha256>.tar.gz`. Throws DriverError `refused` (HF-BUNDLE-*) when it is missing, empty or too large. */
export async function packBundle(folder: string, intoFolder: string): Promise<PackedBundle> {
  const { name, bytes, sha256, files } = await bundleArchive(folder);
  const file = join(intoFolder, `${name}.tar.gz`);
  await makeFolder(intoFolder);
  await writeFile(`${file}.${process.pid}.tmp`, bytes);
  await rename(`${file}.${process.pid}.tmp`, file);
  return { sha256: name, packedSha256: sha256, file, sizeBytes: bytes.length, files };
}
