import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSdkStore } from '../../src/systems/globus/sdk-token-store.ts';
import type { TokenStore } from '../../src/systems/globus/token-store.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

/** Node 20 has no SQLite: there Holdfast keeps a file of its own, and this suite has nothing to prove. */
const HAS_SQLITE = Number(process.versions.node.split('.')[0]) >= 22;

const READ = `
import json, sys
from globus_sdk.token_storage import SQLiteTokenStorage
store = SQLiteTokenStorage(sys.argv[1], namespace="user/production")
print(json.dumps({key: value.to_dict() for key, value in store.get_token_data_by_resource_server().items()}))
`;
const WRITE = `
import sys
from globus_sdk.token_storage import SQLiteTokenStorage, TokenStorageData
store = SQLiteTokenStorage(sys.argv[1], namespace="user/production")
store.store_token_data_by_resource_server({"funcx_service": TokenStorageData(resource_server="funcx_service", identity_id="5b6d4a52-0000-4000-8000-000000000001", scope="s", access_token="from-python", refresh_token="r", expires_at_seconds=2000000000, token_type="Bearer")})
`;

describe.skipIf(!HAS_SQLITE || !HAS_GLOBUS_PYTHON)("the Python SDK's storage.db", () => {
  let folder: string;
  let path: string;
  let store: TokenStore;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
    path = join(folder, 'storage.db');
    store = (await openSdkStore(path)) as TokenStore;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('written by us is read by the SDK, and only the user can read the file', async () => {
    await store.write('user/production', [
      {
        resource_server: 'funcx_service',
        identity_id: null,
        scope: 's',
        access_token: 'from-node',
        refresh_token: 'r',
        expires_at_seconds: 2_000_000_000,
        token_type: 'Bearer',
      },
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const seen = JSON.parse(execFileSync(GLOBUS_PYTHON, ['-c', READ, path], { encoding: 'utf8' })) as Record<
      string,
      { access_token: string }
    >;
    expect(seen.funcx_service?.access_token).toBe('from-node');
  });

  it('written by the SDK is read by us, and a logout removes it', async () => {
    execFileSync(GLOBUS_PYTHON, ['-c', WRITE, path]);
    expect(await store.read('user/production', 'funcx_service')).toMatchObject({ access_token: 'from-python', refresh_token: 'r' });
    expect(await store.read('user/preview', 'funcx_service')).toBeUndefined();
    await store.remove('user/production');
    expect(await store.read('user/production', 'funcx_service')).toBeUndefined();
  });
});
