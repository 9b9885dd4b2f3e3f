import { chmod, open as openFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { refuseOpenToOthers, type TokenRecord, type TokenStore, tokenRecord } from './token-store.ts';

/** The part of node:sqlite that we use; the module exists from Node 22.5 on. */
interface Database {
  exec(sql: string): void;
  prepare(sql: string): { get(...values: unknown[]): unknown; run(...values: unknown[]): unknown };
  close(): void;
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS token_storage (
  namespace VARCHAR NOT NULL, resource_server VARCHAR NOT NULL, token_data_json VARCHAR NOT NULL, PRIMARY KEY (namespace, resource_server));
CREATE TABLE IF NOT EXISTS sdk_storage_adapter_internal (attribute VARCHAR NOT NULL, value VARCHAR NOT NULL, PRIMARY KEY (attribute));
INSERT OR IGNORE INTO sdk_storage_adapter_internal(attribute, value) VALUES ('globus-sdk.version', '4.9.1'), ('globus-sdk.database_schema_version', '2');`;

/** The Python SDK's own storage.db (SQLite, schema 2): one login for both. Undefined where this Node has no SQLite. */
export async function openSdkStore(path: string): Promise<TokenStore | undefined> {
  const module = 'node:sqlite';
  let open: () => Database;
  try {
    const { DatabaseSync } = (await import(module)) as { DatabaseSync: new (path: string) => Database };
    open = () => new DatabaseSync(path);
  } catch {
    return undefined;
  }

  function use<T>(work: (database: Database) => T): T {
    const database = open();
    try {
      database.exec('PRAGMA busy_timeout = 10000');
      return work(database);
    } finally {
      database.close();
    }
  }

  return {
    path,
    read: async (namespace, resourceServer) => {
      if (!(await isThere(path))) return undefined;
      const row = use((database) => {
        // The SDK makes the file first and its tables with its first login.
        if (!hasTokens(database)) return undefined;
        return database
          .prepare('SELECT token_data_json AS json FROM token_storage WHERE namespace = ? AND resource_server = ?')
          .get(namespace, resourceServer);
      }) as { json: string } | undefined;
      return row === undefined ? undefined : parse(row.json);
    },
    write: async (namespace, records) => {
      await makeFolder(dirname(path), 0o700);
      // Made by us, so that no token ever lies in a file that others can read; SQLite would make it with the user's umask.
      await (await openFile(path, 'a', 0o600)).close();
      await chmod(path, 0o600);
      use((database) => {
        database.exec(SCHEMA);
        const statement = database.prepare('REPLACE INTO token_storage(namespace, resource_server, token_data_json) VALUES (?, ?, ?)');
        for (const record of records) statement.run(namespace, record.resource_server, JSON.stringify(record));
      });
    },
    remove: async (namespace) => {
      if (!(await isThere(path).catch(() => true))) return;
      use((database) => {
        if (hasTokens(database)) database.prepare('DELETE FROM token_storage WHERE namespace = ?').run(namespace);
      });
    },
  };
}

/** Whether the file is there. Throws DriverError needs_login for one that others can read. */
async function isThere(path: string): Promise<boolean> {
  try {
    refuseOpenToOthers(path, (await stat(path)).mode);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function hasTokens(database: Database): boolean {
  return database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'token_storage'").get() !== undefined;
}

function parse(json: string): TokenRecord | undefined {
  try {
    const parsed = tokenRecord.safeParse(JSON.parse(json));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
