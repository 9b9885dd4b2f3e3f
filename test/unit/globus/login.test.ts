import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginGlobus, logoutGlobus } from '../../../src/cli/login-globus.ts';
import { loadProfile } from '../../../src/spec/load-profile.ts';
import type { GlobusProfile } from '../../../src/spec/profile.ts';
import { createAuthorizer, resolveLogin } from '../../../src/systems/globus/authorizer.ts';
import { diagnoseGlobus } from '../../../src/systems/globus/diagnose-system.ts';
import { createGlobusDriver } from '../../../src/systems/globus/driver.ts';
import { checkedUrl, globusEnvironment } from '../../../src/systems/globus/environment.ts';
import { type LoginEnd, loginEnd, loginWarning } from '../../../src/systems/globus/login-end.ts';
import { fileTokenStore, openTokenStore } from '../../../src/systems/globus/token-store.ts';
import { GlobusStandIn } from '../../support/globus-service.ts';

let service: GlobusStandIn;
let folder: string;
let env: Record<string, string>;
/** A campaign that has nothing in flight. */
const FACTS = {
  version: 1,
  campaign: 'c',
  launch: 'l',
  directory: '/nowhere/l',
  localDirectory: '/nowhere/local',
  agent: '/nowhere/agent',
  python: 'python3',
  endpointId: '0e0e0e0e-1111-4222-8333-444444444444',
  authMethod: 'native_client',
  functionTimeoutSeconds: 60,
  graceSeconds: 1,
  maxRetries: 2,
  liveMetrics: false,
  groupId: '',
  groupTasks: [],
  attempts: {},
  acknowledged: [],
  uncollected: [],
};
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
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
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
    expect(printed).toContain('Login to Globus Compute. Open this link');
    expect(printed).toContain('Globus Compute, Authorization Code: ');
    const query = new URL(/^http\S+$/m.exec(printed)?.[0] ?? '').searchParams;
    expect(Object.fromEntries(query)).toMatchObject({ response_type: 'code', access_type: 'offline', code_challenge_method: 'S256' });
    expect(query.get('scope')?.split(' ')).toContain('openid');
    const { path } = await openTokenStore(globusEnvironment(env));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const token = await authorizer().token();
    expect(service.tokens.has(token)).toBe(true);
    expect(printed).not.toContain(token);
  });

  it.each(['', '\n', '  \n'])('that is given %j instead of a code says what to do and asks nobody', async (typed) => {
    const input = new PassThrough();
    input.end(typed);
    await expect(loginGlobus({}, { input, output: new PassThrough(), env })).rejects.toMatchObject({
      class: 'needs_login',
      code: 'HF-GLOBUS-CODE',
      message: expect.stringContaining('in a terminal'),
    });
    expect(tokenRequests()).toHaveLength(0);
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

describe('the end of a login', () => {
  const DAY = 86_400_000;
  const end = (now: number, days?: number) => loginEnd('native_client', env, days, now);

  it('is told from a week before it on, and a new login begins anew', async () => {
    await login();
    const made = Date.now();
    const found = await end(made);
    if (found === undefined) throw new Error('no end');
    expect(found.isExact).toBe(true);
    expect(Math.abs(found.endsAt - made - 30 * DAY)).toBeLessThan(60_000);
    expect(loginWarning(found, made + 22 * DAY)).toBeUndefined();
    const warning = loginWarning(found, made + 24 * DAY) ?? '';
    expect(warning).toContain(`ends on ${new Date(found.endsAt).toISOString().slice(0, 10)} (made on`);
    expect(warning).toContain('holdfast login globus');
    // The same all day: a system that shows it has no news from it.
    expect(loginWarning(found, made + 24 * DAY + 1_000)).toBe(warning);
    expect(loginWarning(found, made + 31 * DAY)).toContain('was to end on');
    expect(loginWarning((await end(made, 90)) as LoginEnd, made + 24 * DAY)).toBeUndefined();
    const before = found.madeAt;
    await login();
    expect((await end(Date.now()))?.madeAt).toBeGreaterThan(before);
  });

  it('outlasts the renewal of the access token, and keeps no token in its file', async () => {
    service.tokenSeconds = 1;
    await login();
    const made = (await end(Date.now()))?.madeAt;
    service.tokenSeconds = 172_800;
    const token = await authorizer().token();
    expect((await end(Date.now() + DAY))?.madeAt).toBe(made);
    const file = readFileSync(join(folder, 'holdfast-logins.json'), 'utf8');
    for (const secret of [token, ...service.refreshTokens]) expect(file).not.toContain(secret);
  });

  it('of a login that another program made counts from when it was first seen', async () => {
    await login();
    rmSync(join(folder, 'holdfast-logins.json'));
    const seen = await end(Date.now() + 3 * DAY);
    // Its access token says that it is no younger than that.
    expect(seen?.isExact).toBe(false);
    expect((seen?.madeAt ?? 0) - Date.now()).toBeLessThan(60_000);
    expect((await end(Date.now() + 10 * DAY))?.madeAt).toBe(seen?.madeAt);
  });

  it('is none for a client of its own, and none without a login', async () => {
    expect(await loginEnd('confidential_client', env)).toBeUndefined();
    expect(await end(Date.now())).toBeUndefined();
    expect(existsSync(join(folder, 'holdfast-logins.json'))).toBe(false);
  });

  it('is a warning of doctor and of the health check, and a notice of the system', async () => {
    await login();
    const file = join(folder, 'holdfast-logins.json');
    const noted = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { made_at: number }>;
    for (const entry of Object.values(noted)) entry.made_at -= 25 * DAY;
    writeFileSync(file, JSON.stringify(noted));
    const profile = { ...loadProfile('globus-compute'), endpointId: '0e0e0e0e-1111-4222-8333-444444444444' } as GlobusProfile;
    const found = await diagnoseGlobus(profile, { ...env, XDG_STATE_HOME: folder });
    expect(found.find(({ id }) => id === 'R12')).toMatchObject({
      status: 'warn',
      found: expect.stringMatching(/login ends on/),
      advice: 'Run: holdfast login globus',
    });
    const patient = await diagnoseGlobus({ ...profile, loginDays: 90 }, { ...env, XDG_STATE_HOME: folder });
    expect(patient.find(({ id }) => id === 'R12')?.status).toBe('ok');

    const driver = createGlobusDriver({ name: 'g', stateDirectory: join(folder, 'state'), workers: 1, processEnv: env });
    const facts = join(folder, 'state', 'campaigns');
    mkdirSync(facts, { recursive: true });
    writeFileSync(join(facts, 'c.json'), JSON.stringify(FACTS));
    const look = (cursor?: string) =>
      driver.look({ ...(cursor === undefined ? {} : { cursor }), acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
    const news = await look();
    expect(news?.notices).toEqual([expect.stringMatching(/^Globus login ends on .* Run `holdfast login globus` before\.$/)]);
    expect(await look(news?.cursor)).toBeUndefined();
    const health = (await driver.health?.()) ?? [];
    expect(health.find(({ id }) => id === 'R12')).toMatchObject({ status: 'warn', advice: 'Run: holdfast login globus' });
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

  it.each([
    [403, '<html>Attention Required! | Cloudflare</html>'],
    [404, '<html>404 (nginx)</html>'],
    [400, ''],
  ])('whose renewal a firewall or portal answers with %i is not parked: its login still stands', async (status, body) => {
    service.tokenSeconds = 1;
    await login();
    service.tokenSeconds = 172_800;
    const worker = authorizer();
    service.fault = () => ({ kind: 'status', status, body });
    await expect(worker.token()).rejects.toMatchObject({ class: 'transport', message: expect.stringContaining('firewall') });
    service.fault = () => undefined;
    await expect(worker.token()).resolves.toMatch(/^Ag/);
  });

  it('whose new login brings the same refresh token renews it again when its time comes', async () => {
    service.tokenSeconds = 1;
    await login();
    const kept = [...service.refreshTokens];
    service.refreshTokens.clear();
    const worker = authorizer();
    await expect(worker.token()).rejects.toMatchObject({ class: 'needs_login' });
    // The same one is good again, and another access token lies beside it.
    const store = await openTokenStore(globusEnvironment(env));
    const record = await store.read('user/local', 'funcx_service');
    if (record === undefined) throw new Error('no login');
    await store.write('user/local', [{ ...record, access_token: 'of the new login' }]);
    for (const token of kept) service.refreshTokens.add(token);
    service.tokenSeconds = 172_800;
    await expect(worker.token()).resolves.toMatch(/^Ag/);
  });

  it('that gives up waiting for a renewal does not end it for the others', async () => {
    service.tokenSeconds = 1;
    await login();
    service.tokenSeconds = 172_800;
    const worker = authorizer();
    service.fault = () => ({ kind: 'slow', milliseconds: 300 });
    const look = new AbortController();
    const first = worker.token(look.signal);
    const second = worker.token();
    look.abort(new Error('the look was left'));
    await expect(first).rejects.toThrow('the look was left');
    await expect(second).resolves.toMatch(/^Ag/);
  });

  it('whose home takes no file works with the token that it has renewed, and renews it once', async () => {
    service.tokenSeconds = 1;
    await login();
    service.tokenSeconds = 172_800;
    const there = await openTokenStore(globusEnvironment(env));
    const full = async () => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    };
    // Nothing can be made in /proc either: the lock.
    const store = { path: '/proc/holdfast/tokens.json', read: there.read, write: full, remove: full };
    const worker = createAuthorizer({ method: 'native_client', environment: globusEnvironment(env), env, store });
    const before = tokenRequests().length;
    const token = await worker.token();
    expect(service.tokens.has(token)).toBe(true);
    expect(await worker.token()).toBe(token);
    expect(tokenRequests().length - before).toBe(1);
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
