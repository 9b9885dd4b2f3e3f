import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthorizer } from '../../src/systems/globus/authorizer.ts';
import { globusEnvironment } from '../../src/systems/globus/environment.ts';
import { openSdkStore } from '../../src/systems/globus/sdk-token-store.ts';
import { openTokenStore, type TokenStore } from '../../src/systems/globus/token-store.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';
import { GlobusStandIn } from '../support/globus-service.ts';

/** Node 20 has no SQLite: there Holdfast keeps a file of its own, and this suite has nothing to prove. */
const HAS_SQLITE = Number(process.versions.node.split('.')[0]) >= 22;

const READ = `
import json, sys
from globus_sdk.token_storage import SQLiteTokenStorage
store = SQLiteTokenStorage(sys.argv[1], namespace=sys.argv[2])
print(json.dumps({key: value.to_dict() for key, value in store.get_token_data_by_resource_server().items()}))
`;
const WRITE = `
import sys
from globus_sdk.token_storage import SQLiteTokenStorage, TokenStorageData
store = SQLiteTokenStorage(sys.argv[1], namespace=sys.argv[2])
store.store_token_data_by_resource_server({"funcx_service": TokenStorageData(resource_server="funcx_service", identity_id="5b6d4a52-0000-4000-8000-000000000001", scope="s", access_token="from-python", refresh_token="r", expires_at_seconds=int(sys.argv[3]), token_type="Bearer")})
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
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

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
    const seen = JSON.parse(execFileSync(GLOBUS_PYTHON, ['-c', READ, path, 'user/production'], { encoding: 'utf8' })) as Record<
      string,
      { access_token: string }
    >;
    expect(seen.funcx_service?.access_token).toBe('from-node');
  });

  it('written by the SDK is read by us, and a logout removes it', async () => {
    execFileSync(GLOBUS_PYTHON, ['-c', WRITE, path, 'user/production', '2000000000']);
    expect(await store.read('user/production', 'funcx_service')).toMatchObject({ access_token: 'from-python', refresh_token: 'r' });
    expect(await store.read('user/preview', 'funcx_service')).toBeUndefined();
    await store.remove('user/production');
    expect(await store.read('user/production', 'funcx_service')).toBeUndefined();
  });

  it('whose token has expired is renewed once for all workers, and the SDK finds the new token', async () => {
    const service = await GlobusStandIn.start();
    try {
      const home = join(folder, 'home');
      mkdirSync(home);
      const env = {
        GLOBUS_SDK_ENVIRONMENT: 'local',
        GLOBUS_SDK_SERVICE_URL_COMPUTE: service.url,
        GLOBUS_SDK_SERVICE_URL_AUTH: service.url,
        GLOBUS_COMPUTE_USER_DIR: home,
      };
      const shared = join(home, 'storage.db');
      execFileSync(GLOBUS_PYTHON, ['-c', WRITE, shared, 'user/local', '1000']);
      service.refreshTokens.add('r');
      const worker = () => createAuthorizer({ method: 'native_client', environment: globusEnvironment(env), env });
      const tokens = await Promise.all([worker(), worker(), worker()].flatMap((each) => [each.token(), each.token()]));
      expect(new Set(tokens).size).toBe(1);
      expect(service.exchanges.filter(({ path: asked }) => asked === '/v2/oauth2/token')).toHaveLength(1);
      const seen = JSON.parse(execFileSync(GLOBUS_PYTHON, ['-c', READ, shared, 'user/local'], { encoding: 'utf8' })) as Record<
        string,
        { access_token: string; refresh_token: string }
      >;
      expect(seen.funcx_service).toMatchObject({ access_token: tokens[0], refresh_token: 'r' });
      expect(statSync(shared).mode & 0o777).toBe(0o600);
      expect((await openTokenStore(globusEnvironment(env))).path).toBe(shared);
    } finally {
      await service.end();
    }
  });

  it('is made for its owner alone whatever the umask, has no login before its first one, and is refused once others can read it', async () => {
    const before = process.umask(0);
    try {
      const fresh = join(folder, 'fresh.db');
      writeFileSync(fresh, '', { mode: 0o600 });
      const empty = (await openSdkStore(fresh)) as TokenStore;
      expect(await empty.read('user/production', 'funcx_service')).toBeUndefined();
      await empty.remove('user/production');
      const made = join(folder, 'made.db');
      const other = (await openSdkStore(made)) as TokenStore;
      await other.write('user/production', []);
      expect(statSync(made).mode & 0o777).toBe(0o600);
      chmodSync(made, 0o640);
      await expect(other.read('user/production', 'funcx_service')).rejects.toThrow(/chmod 600/);
    } finally {
      process.umask(before);
    }
  });
});
