import { randomBytes } from 'node:crypto';
import { chmod, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../make-folder.ts';
import { DriverError } from '../driver.ts';
import type { GlobusEnvironment } from './environment.ts';
import { sleep } from './request-budget.ts';
import { openSdkStore } from './sdk-token-store.ts';

/** One token as the Python SDK stores it (globus_sdk TokenStorageData). */
export const tokenRecord = z.object({
  resource_server: z.string(),
  identity_id: z.string().nullable().default(null),
  scope: z.string(),
  access_token: z.string(),
  refresh_token: z.string().nullable().default(null),
  expires_at_seconds: z.number(),
  token_type: z.string().nullable().default(null),
});
export type TokenRecord = z.infer<typeof tokenRecord>;

/** Tokens by namespace (`user/production`, `clientprofile/production/ID`) and resource server. */
export interface TokenStore {
  /** Where it keeps them, for messages. */
  readonly path: string;
  read(namespace: string, resourceServer: string): Promise<TokenRecord | undefined>;
  write(namespace: string, records: readonly TokenRecord[]): Promise<void>;
  remove(namespace: string): Promise<void>;
}

/** The SDK's storage.db where this Node has SQLite (22.5 and newer), so that one login serves both; else our own file beside it. */
export async function openTokenStore(environment: GlobusEnvironment): Promise<TokenStore> {
  const own = fileTokenStore(join(environment.userDirectory, 'holdfast-tokens.json'));
  const sdk = await openSdkStore(join(environment.userDirectory, 'storage.db'));
  if (!sdk) return own;
  return {
    path: sdk.path,
    // A login made under an older Node stays usable.
    read: async (namespace, resourceServer) => (await sdk.read(namespace, resourceServer)) ?? (await own.read(namespace, resourceServer)),
    write: async (namespace, records) => {
      await sdk.write(namespace, records);
      await own.remove(namespace);
    },
    remove: async (namespace) => {
      await sdk.remove(namespace);
      await own.remove(namespace);
    },
  };
}

/** Throws DriverError needs_login for a token file whose mode lets anybody but its owner in. */
export function refuseOpenToOthers(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return;
  throw new DriverError(
    'needs_login',
    'HF-GLOBUS-TOKEN-MODE',
    `token file can be read by others (${path}). Run \`chmod 600 ${path}\`, or log in again.`,
  );
}

const tokenFile = z.record(z.string(), z.record(z.string(), tokenRecord));

/** A JSON file of mode 0600, replaced whole. A file that others can read is refused. */
export function fileTokenStore(path: string): TokenStore {
  async function load(): Promise<z.infer<typeof tokenFile>> {
    let text: string;
    try {
      refuseOpenToOthers(path, (await stat(path)).mode);
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw error;
    }
    const parsed = tokenFile.safeParse(safeJson(text));
    // A damaged file is as good as none: the next login replaces it.
    return parsed.success ? parsed.data : {};
  }

  async function save(content: z.infer<typeof tokenFile>): Promise<void> {
    await makeFolder(dirname(path), 0o700);
    const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify(content));
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(temporary, 0o600);
    await rename(temporary, path);
  }

  return {
    path,
    read: async (namespace, resourceServer) => (await load())[namespace]?.[resourceServer],
    write: async (namespace, records) => {
      const content = await load().catch(() => ({}) as z.infer<typeof tokenFile>);
      content[namespace] = { ...content[namespace], ...Object.fromEntries(records.map((record) => [record.resource_server, record])) };
      await save(content);
    },
    remove: async (namespace) => {
      const content = await load().catch(() => ({}) as z.infer<typeof tokenFile>);
      if (!(namespace in content)) return;
      delete content[namespace];
      await save(content);
    },
  };
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A lock older than this was left by a process that died. */
const STALE_LOCK_MS = 60_000;

/** Errors of a place where nothing can be written: a read-only mount, a full disk, somebody else's folder. */
const UNWRITABLE = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOTSUP']);

/** Whether an error says that the file system takes no writes here: full, read-only, no right. */
export function isUnwritable(error: unknown): boolean {
  return UNWRITABLE.has((error as NodeJS.ErrnoException | null)?.code ?? '');
}

/**
 * Runs `work` while holding `<path>.lock`, so that of many processes one refreshes the token (R12); without a lock where none can be written. Throws
 * DriverError transport after 90 s.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const lock = `${path}.lock`;
  for (let waited = 0; ; waited += 100) {
    try {
      await makeFolder(dirname(path), 0o700);
      await (await open(lock, 'wx', 0o600)).close();
      break;
    } catch (error) {
      if (isUnwritable(error)) return work();
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const age = await stat(lock).then(
      (found) => Date.now() - found.mtimeMs,
      () => 0,
    );
    if (age > STALE_LOCK_MS) await rm(lock, { force: true });
    if (waited > 90_000)
      throw new DriverError('transport', 'HF-GLOBUS-TOKEN-LOCK', `token lock is held by another process (${lock}). It is tried again.`);
    await sleep(100, signal);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}
