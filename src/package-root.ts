import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of our package.json, whether this runs from sources or from dist/. */
export function packageRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'package.json'))) {
    const parent = path.dirname(folder);
    if (parent === folder) throw new Error('package.json of Holdfast is not above its code');
    folder = parent;
  }
  return folder;
}

/** What we install for ourselves (Temporal server, Python environments): never part of the repository. */
export function cacheFolder(): string {
  return path.join(packageRoot(), '.cache');
}
