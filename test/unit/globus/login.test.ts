import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginGlobus, logoutGlobus } from '../../../src/cli/login-globus.ts';
import { createAuthorizer, resolveLogin } from '../../../src/systems/globus/authorizer.ts';
import { checkedUrl, globusEnvironment } from '../../../src/systems/globus/environment.ts';
import { fileTokenStore, openTokenStore } from '../../../src/systems/globus/token-store.ts';
import { GlobusStandIn } from '../../support/globus-service.ts';

let service: GlobusStandIn;
let folder: string;
let env: Record<string, string>;
const CLIENT = '9c0d3a52-0000-4000-8000-00000000c11e';

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-login-'));
  service = await GlobusStandIn.start();
  env = {
    GLOBUS_SDK_ENVIRONMENT: 'local',
    GLOBUS_SDK_SERVICE_URL_COMPUTE: service.url,
    GLOBUS_SDK_SERVICE_URL_AUTH: service.url,
    GLOBUS_COMPUTE_USER_DIR: folder,
  };
});
afterEach(async () => {
  await service.end();
  rmSync(folder, { recursive: true, force: true });
});

const tokenRequests = () => service.exchanges.filter((exchange) => exchange.path === '/v2/oauth2/token');
const authorizer = (
  method: 'native_client' | 'confidential_client' | 'client_credentials' = 'native_client',
  more: Record<string, string> = {},
) => createAuthorizer({ method, environment: globusEnvironment(env), env: { ...env, ...more } });

/** The user at the terminal: opens the link, brings the code. */
async function login(change: (code: string) => string = (code) => code): Promise<string> {
  const input = new PassThrough();
  const output = new PassThrough();
  let printed = '';
  output.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    const link = /^http\S+$/m.exec(printed)?.[0];
    if (link && printed.includes('Code: ') && input.writable) input.end(`${change(service.consent(link))}\n`);
  });
  await loginGlobus({}, { input, output, env });
  return printed;
}

describe('holdfast login globus', () => {
  it('prints a PKCE link, takes the code, and keeps the tokens in a file that only the user can read', async () => {
    const printed = await login();
    const query = new URL(/^http\S+$/m.exec(printed)?.[0] ?? '').searchParams;
    expect(Object.fromEntries(query)).toMatchObject({ response_type: 'code', access_type: 'offline', code_challenge_method: 'S256' });
    expect(query.get('scope')?.split(' ')).toContain('openid');
    const { path } = await openTokenStore(globusEnvironment(env));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const token = await authorizer().token();
    expect(service.tokens.has(token)).toBe(true);
    expect(printed).not.toContain(token);
  });

  it('with a wrong code says so and keeps nothing', async () => {
    await expect(login((code) => `${code}x`)).rejects.toMatchObject({ class: 'needs_login', code: 'HF-GLOBUS-CODE' });
    await expect(authorizer().token()).rejects.toMatchObject({ code: 'HF-GLOBUS-LOGIN-MISSING' });
  });

  it('can be undone', async () => {
    await login();
    await logoutGlobus({ input: new PassThrough(), output: new PassThrough(), env });
    await expect(authorizer().token()).rejects.toMatchObject({ class: 'needs_login' });
  });
});

describe('a worker', () => {
  it('without a login asks nobody and says which command helps', async () => {
    await expect(authorizer().token()).rejects.toMatchObject({
      class: 'needs_login',
      message: expect.stringContaining('holdfast login globus'),
    });
    expect(tokenRequests()).toHaveLength(0);
  });

  it('refreshes once for many callers in several processes', async () => {
    service.tokenSeconds = 1;
    await login();
    service.tokenSeconds = 172_800;
    const before = tokenRequests().length;
    const workers = [authorizer(), authorizer(), authorizer()];
    const tokens = await Promise.all(workers.flatMap((worker) => [worker.token(), worker.token()]));
    expect(new Set(tokens).size).toBe(1);
    expect(tokenRequests().length - before).toBe(1);
    expect(existsSync(join(folder, 'holdfast-tokens.json.lock'))).toBe(false);
  });

  it('with a revoked refresh token stops asking until somebody logs in again', async () => {
    service.tokenSeconds = 1;
    await login();
    service.refreshTokens.clear();
    const worker = authorizer();
    const before = tokenRequests().length;
    for (let look = 0; look < 5; look++)
      await expect(worker.token()).rejects.toMatchObject({ class: 'needs_login', code: 'HF-GLOBUS-LOGIN-EXPIRED' });
    expect(tokenRequests().length - before).toBe(1);
    service.tokenSeconds = 172_800;
    await login();
    await expect(worker.token()).resolves.toMatch(/^Ag/);
  });

  it('takes another token after a 401 instead of the same one for ever', async () => {
    await login();
    const worker = authorizer();
    const first = await worker.token();
    const second = await worker.renew(first);
    expect(second).not.toBe(first);
    expect(await worker.token()).toBe(second);
  });

  it('breaks the lock of a process that died', async () => {
    service.tokenSeconds = 1;
    await login();
    service.tokenSeconds = 172_800;
    const { path } = await openTokenStore(globusEnvironment(env));
    writeFileSync(`${path}.lock`, '');
    const old = new Date(Date.now() - 120_000);
    (await import('node:fs')).utimesSync(`${path}.lock`, old, old);
    await expect(authorizer().token()).resolves.toMatch(/^Ag/);
  });
});

describe('a confidential client', () => {
  it.each(['confidential_client', 'client_credentials'] as const)('as %s uses the client credentials grant', async (method) => {
    const token = await authorizer(method, { GLOBUS_COMPUTE_CLIENT_ID: CLIENT, GLOBUS_COMPUTE_CLIENT_SECRET: 'client-secret' }).token();
    expect(service.tokens.has(token)).toBe(true);
    expect(String(tokenRequests()[0]?.body)).toContain('grant_type=client_credentials');
  });

  it.each([
    [{ GLOBUS_COMPUTE_CLIENT_ID: CLIENT }, /GLOBUS_COMPUTE_CLIENT_SECRET/],
    [{ GLOBUS_COMPUTE_CLIENT_SECRET: 'x' }, /GLOBUS_COMPUTE_CLIENT_ID/],
    [{}, /GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET/],
  ])('with %o names what is missing', (more, message) => {
    expect(() => resolveLogin('client_credentials', globusEnvironment(env), { ...env, ...more })).toThrow(message);
  });

  it('with a wrong secret says which variables to check', async () => {
    const worker = authorizer('confidential_client', { GLOBUS_COMPUTE_CLIENT_ID: CLIENT, GLOBUS_COMPUTE_CLIENT_SECRET: 'no' });
    await expect(worker.token()).rejects.toMatchObject({ class: 'needs_login', code: 'HF-GLOBUS-CLIENT-INVALID' });
  });
});

describe('the token file', () => {
  it('that others can read is refused', async () => {
    const path = join(folder, 'tokens.json');
    const store = fileTokenStore(path);
    await store.write('user/local', [
      {
        resource_server: 'funcx_service',
        identity_id: null,
        scope: 's',
        access_token: 't',
        refresh_token: null,
        expires_at_seconds: 1,
        token_type: 'Bearer',
      },
    ]);
    expect((await store.read('user/local', 'funcx_service'))?.access_token).toBe('t');
    chmodSync(path, 0o644);
    await expect(store.read('user/local', 'funcx_service')).rejects.toThrow(/chmod 600/);
  });

  it('that is damaged counts as no login', async () => {
    const path = join(folder, 'tokens.json');
    writeFileSync(path, '{"user/local": {"fun', { mode: 0o600 });
    expect(await fileTokenStore(path).read('user/local', 'funcx_service')).toBeUndefined();
    expect(readFileSync(path, 'utf8')).toContain('fun');
  });
});

describe('the environment', () => {
  it('names the services, and an unknown name needs both URLs', () => {
    expect(globusEnvironment({}).computeUrl).toBe('https://compute.api.globus.org');
    expect(globusEnvironment({ GLOBUS_SDK_ENVIRONMENT: 'local' }).computeUrl).toBe('http://localhost:5000');
    expect(() => globusEnvironment({ GLOBUS_SDK_ENVIRONMENT: 'mars' })).toThrow(/production, preview/);
    expect(globusEnvironment({ GLOBUS_SDK_SERVICE_URL_COMPUTE: 'https://other/' }).computeUrl).toBe('https://other');
    expect(globusEnvironment({ GLOBUS_SDK_HTTP_TIMEOUT: '7' }).httpTimeoutSeconds).toBe(7);
  });

  it.each(['http://compute.example', 'ftp://localhost', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'nonsense'])(
    'refuses %s',
    (url) => {
      expect(() => checkedUrl(url, 'Globus Compute')).toThrow(/Globus Compute URL/);
    },
  );
});
