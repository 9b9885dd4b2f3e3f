import { createHash } from 'node:crypto';
import { chmodSync, lstatSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolderSync } from '../make-folder.ts';
import { sshError } from './errors.ts';

/** Linux takes 107 characters for a socket's path; OpenSSH appends 17 while it makes one. */
const MAX_SOCKET_PATH = 107 - 17;

/**
 * Folder of this computer's sockets (masters, passcode sockets), mode 0700: $HOLDFAST_RUNTIME_DIR or ~/.holdfast/run/<host>. Home folders are
 * shared between login nodes and sockets are not, hence the host. Throws DriverError `refused` when it belongs to somebody else.
 */
export function runtimeFolder(env: NodeJS.ProcessEnv = process.env): string {
  const folder = env.HOLDFAST_RUNTIME_DIR ?? join(env.HOME ?? homedir(), '.holdfast', 'run', hostname());
  makeFolderSync(folder, 0o700);
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw sshError('HF-SSH-CONFIG', `${folder} is not a folder of your own. Set HOLDFAST_RUNTIME_DIR to one that is.`);
  if ((found.mode & 0o077) !== 0) chmodSync(folder, 0o700);
  return folder;
}

/** A socket's path in that folder: short and the same in every process. `kind` is `cm` (master) or `pw` (passcodes). */
export function socketPath(kind: 'cm' | 'pw', identity: string, env: NodeJS.ProcessEnv = process.env): string {
  const path = join(runtimeFolder(env), `${kind}-${createHash('sha256').update(identity).digest('hex').slice(0, 12)}`);
  if (path.length > MAX_SOCKET_PATH)
    throw sshError(
      'HF-SSH-CONFIG',
      `${path} is too long for a socket (${path.length} characters, at most ${MAX_SOCKET_PATH}). Set HOLDFAST_RUNTIME_DIR to a shorter folder of your own.`,
    );
  return path;
}
