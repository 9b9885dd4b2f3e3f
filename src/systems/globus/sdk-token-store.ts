import { existsSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type TokenRecord, type TokenStore, tokenRecord } from './token-store.ts';

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
      if (!existsSync(path)) return undefined;
      const row = use((database) =>
        database
          .prepare('SELECT token_data_json AS json FROM token_storage WHERE namespace = ? AND resource_server = ?')
          .get(namespace, resourceServer),
      ) as { json: string } | undefined;
      return row === undefined ? undefined : parse(row.json);
    },
    write: async (namespace, records) => {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      use((database) => {
        database.exec(SCHEMA);
        const statement = database.prepare('REPLACE INTO token_storage(namespace, resource_server, token_data_json) VALUES (?, ?, ?)');
        for (const record of records) statement.run(namespace, record.resource_server, JSON.stringify(record));
      });
      await chmod(path, 0o600);
    },
    remove: async (namespace) => {
      if (!existsSync(path)) return;
      use((database) => database.prepare('DELETE FROM token_storage WHERE namespace = ?').run(namespace));
    },
  };
}

function parse(json: string): TokenRecord | undefined {
  try {
    const parsed = tokenRecord.safeParse(JSON.parse(json));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
