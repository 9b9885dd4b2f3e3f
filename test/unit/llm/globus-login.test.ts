import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginInference } from '../../../src/cli/login-inference.ts';
import { keySource } from '../../../src/llm/credentials.ts';
import { inferenceToken, tokenFilePath } from '../../../src/llm/globus-token-file.ts';
import { finishInferenceLogin, startInferenceLogin } from '../../../src/llm/inference-login.ts';
import type { GlobusLogin } from '../../../src/llm/options.ts';
import { proposeWithLlm } from '../../../src/llm/propose.ts';
import { loadLlmService } from '../../../src/spec/llm-service.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../../support/globus-sdk-child.ts';
import { startLlmEndpoint } from '../../support/llm-endpoint.ts';
import { llm, OBJECTIVES, SPACE } from './campaign.ts';

const LOGIN = loadLlmService('alcf').globus as GlobusLogin;
const GOOD = '{"lr": 0.01, "layers": 2, "batch_size": 64, "model": "vgg16"}';

/** Written by globus-sdk 4.9.1 (JSONTokenStorage), tokens replaced. */
const RECORDED = readFileSync('test/fixtures/llm/tokens.json', 'utf8');

let auth: Server;
let refreshes: string[];
let refusesRefresh: boolean;
let env: Record<string, string>;

beforeEach(async () => {
  refreshes = [];
  refusesRefresh = false;
  auth = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    refreshes.push(form.get('refresh_token') ?? `code ${form.get('code')}`);
    const token = {
      access_token: `fresh-${refreshes.length}`,
      scope: LOGIN.scope,
      expires_in: 172_800,
      token_type: 'Bearer',
      resource_server: LOGIN.resourceServer,
    };
    response.writeHead(refusesRefresh ? 400 : 200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        refusesRefresh
          ? { error: 'invalid_grant' }
          : { ...token, ...(form.has('code') ? { refresh_token: 'new-refresh' } : {}), other_tokens: [] },
      ),
    );
  });
  await new Promise<void>((resolve) => {
    auth.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(auth.address() as AddressInfo).port}`;
  env = { HOME: mkdtempSync(path.join(tmpdir(), 'holdfast-home-')), GLOBUS_SDK_SERVICE_URL_AUTH: url, GLOBUS_SDK_SERVICE_URL_COMPUTE: url };
});

afterEach(() => {
  auth.closeAllConnections();
  auth.close();
});

/** The recorded file with an access token that is good for so many seconds. */
function logIn(seconds: number): string {
  const file = tokenFilePath(LOGIN, env);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, RECORDED.replace('"expires_at_seconds": 1', `"expires_at_seconds": ${Math.floor(Date.now() / 1000) + seconds}`));
  chmodSync(file, 0o600);
  return file;
}

describe('the token file of the inference service', () => {
  it('is the one that the service’s own script writes', () => {
    expect(tokenFilePath(LOGIN, { HOME: '/h' })).toBe('/h/.globus/app/58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944/inference_app/tokens.json');
  });

  it('gives its token as long as that is good, without asking anybody', async () => {
    logIn(3600);
    expect(await inferenceToken(LOGIN, env)).toBe('recorded-access');
    expect(refreshes).toEqual([]);
  });

  it.each([
    ['has run out', -5, undefined],
    ['is about to run out', 60, undefined],
    ['was refused', 3600, 'recorded-access'],
  ])('a token that %s is renewed, stored with mode 0600, and the rest of the file stays', async (_, seconds, rejected) => {
    const file = logIn(seconds);
    expect(await inferenceToken(LOGIN, env, rejected)).toBe('fresh-1');
    expect(refreshes).toEqual(['recorded-refresh']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const stored = JSON.parse(readFileSync(file, 'utf8'));
    expect(stored.data.DEFAULT[LOGIN.resourceServer]).toMatchObject({ access_token: 'fresh-1', refresh_token: 'recorded-refresh' });
    expect(stored.data.DEFAULT['other.service']).toEqual(JSON.parse(RECORDED).data.DEFAULT['other.service']);
    expect(await inferenceToken(LOGIN, env)).toBe('fresh-1');
  });

  it('is renewed once when ten ask at the same time', async () => {
    logIn(-5);
    const tokens = await Promise.all(Array.from({ length: 10 }, () => inferenceToken(LOGIN, env)));
    expect(new Set(tokens)).toEqual(new Set(['fresh-1']));
    expect(refreshes).toHaveLength(1);
  });

  it.each([
    ['there is none', () => undefined, 'There is no login for the inference service'],
    ['it is damaged', () => writeFileSync(logIn(3600), '{"data":'), 'There is no login for the inference service'],
    [
      'the refresh token is refused',
      () => {
        logIn(-5);
        refusesRefresh = true;
      },
      'The login for the inference service has ended',
    ],
  ])('needs a person when %s, and says with which identity', async (_, prepare, told) => {
    prepare();
    await expect(inferenceToken(LOGIN, env)).rejects.toMatchObject({ class: 'needs_login', message: expect.stringContaining(told) });
    await expect(inferenceToken(LOGIN, env)).rejects.toThrow('Run `holdfast login inference` with an identity of anl.gov or alcf.anl.gov.');
  });

  it('is renewed on a 401 in the middle of a campaign, and the question is asked again', async () => {
    logIn(3600);
    const endpoint = await startLlmEndpoint((request) =>
      request.authorization === 'Bearer fresh-1' ? GOOD : { status: 401, error: 'token revoked' },
    );
    const config = { ...llm(endpoint.baseUrl, { globus: LOGIN }), apiKey: 'globus' };
    const result = await proposeWithLlm({ llm: config, space: SPACE, objectives: OBJECTIVES, trials: [], count: 1, seed: 1 }, { env });
    await endpoint.close();
    expect(result.suggestions).toHaveLength(1);
    expect(endpoint.requests.map((request) => request.authorization)).toEqual(['Bearer recorded-access', 'Bearer fresh-1']);
    expect(JSON.stringify(result)).not.toMatch(/recorded-access|fresh-1/);
  });

  it('that stays refused after one renewal needs a person', async () => {
    logIn(3600);
    const endpoint = await startLlmEndpoint([{ status: 403, error: 'Forbidden' }]);
    const config = { ...llm(endpoint.baseUrl, { globus: LOGIN }), apiKey: 'globus' };
    const result = await proposeWithLlm({ llm: config, space: SPACE, objectives: OBJECTIVES, trials: [], count: 1, seed: 1 }, { env });
    await endpoint.close();
    expect(endpoint.requests).toHaveLength(2);
    expect(result.events.at(-1)).toMatchObject({ kind: 'fell_back', reason: 'needs_login', message: expect.stringContaining('anl.gov') });
  });
});

describe('a login that has ended', () => {
  const turn = (baseUrl: string, change: object = {}) =>
    proposeWithLlm(
      {
        llm: { ...llm(baseUrl, { globus: LOGIN, ...change }), apiKey: 'globus' },
        space: SPACE,
        objectives: OBJECTIVES,
        trials: [],
        count: 1,
        seed: 1,
      },
      { env },
    );

  it('is asked for once, not with every turn, until somebody logs in again', async () => {
    const file = logIn(-5);
    refusesRefresh = true;
    const endpoint = await startLlmEndpoint([GOOD]);
    for (let count = 0; count < 5; count++)
      expect((await turn(endpoint.baseUrl)).events.at(-1)).toMatchObject({ kind: 'fell_back', reason: 'needs_login' });
    expect([refreshes.length, endpoint.requests.length]).toEqual([1, 0]);
    refusesRefresh = false;
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('recorded-refresh', 'another-refresh'));
    const result = await turn(endpoint.baseUrl);
    await endpoint.close();
    expect(result.suggestions).toHaveLength(1);
  });

  it('for the service alone is tried once, not with every turn', async () => {
    logIn(3600);
    const endpoint = await startLlmEndpoint([{ status: 403, error: 'Permission denied from internal policies: high-assurance timeout' }]);
    for (let count = 0; count < 5; count++)
      expect((await turn(endpoint.baseUrl)).events.at(-1)).toMatchObject({ kind: 'fell_back', reason: 'needs_login' });
    await endpoint.close();
    expect([refreshes.length, endpoint.requests.length]).toEqual([1, 2]);
  });
});

describe('a home that fails', () => {
  const turn = (baseUrl: string) =>
    proposeWithLlm(
      {
        llm: { ...llm(baseUrl, { globus: LOGIN, jobsUrl: `${new URL(baseUrl).origin}/jobs` }), apiKey: 'globus' },
        space: SPACE,
        objectives: OBJECTIVES,
        trials: [],
        count: 1,
        seed: 1,
      },
      { env },
    );

  it('costs the model its turn, not the search its next trial', async () => {
    writeFileSync(path.join(env.HOME as string, '.globus'), 'a file in the folder’s place');
    const endpoint = await startLlmEndpoint([GOOD]);
    const result = await turn(endpoint.baseUrl);
    await endpoint.close();
    expect(result.events.at(-1)).toMatchObject({ kind: 'fell_back', reason: 'service', message: expect.stringContaining('ENOTDIR') });
  });

  it('a list of loaded models without end costs nothing either', async () => {
    logIn(3600);
    const endpoint = await startLlmEndpoint([GOOD], () => ({ body: `{"running": [${'1,'.repeat(3_000_000)}1]}` }));
    const result = await turn(endpoint.baseUrl);
    await endpoint.close();
    expect(result.suggestions).toHaveLength(1);
  });
});

describe('a login for the inference service', () => {
  it('asks for the gateway’s scope, a refresh token and the identities that the service accepts', () => {
    const { url } = startInferenceLogin(LOGIN, env);
    const query = new URL(url).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({
      client_id: LOGIN.clientId,
      scope: 'https://auth.globus.org/scopes/681c10cc-f684-4540-bcd7-0b4df3bc26ef/action_all',
      access_type: 'offline',
      code_challenge_method: 'S256',
      session_required_single_domain: 'anl.gov,alcf.anl.gov',
      session_required_policies: '83732ff2-9c42-4548-b5ce-17e498c84f6a',
    });
    expect(query.has('prompt')).toBe(false);
    expect(new URL(startInferenceLogin(LOGIN, env, true).url).searchParams.get('prompt')).toBe('login');
  });

  it('is stored where campaigns find it', async () => {
    const file = await finishInferenceLogin(LOGIN, env, startInferenceLogin(LOGIN, env), ' the-code ');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(refreshes).toEqual(['code the-code']);
    expect(await inferenceToken(LOGIN, env)).toBe('fresh-1');
  });

  it.skipIf(!HAS_GLOBUS_PYTHON)(
    'is read by globus-sdk itself',
    async () => {
      const file = await finishInferenceLogin(LOGIN, env, startInferenceLogin(LOGIN, env), 'c');
      const script = `from globus_sdk.token_storage import JSONTokenStorage as S
d = S(${JSON.stringify(file)}).get_token_data(${JSON.stringify(LOGIN.resourceServer)})
print(d.access_token, d.refresh_token)`;
      expect(execFileSync(GLOBUS_PYTHON, ['-c', script], { encoding: 'utf8' }).trim()).toBe('fresh-1 new-refresh');
    },
    120_000,
  );
});

describe('holdfast login inference', () => {
  it('shows the link and takes the code, and shows no token', async () => {
    const output = new PassThrough();
    const input = new PassThrough();
    input.write('the-code\n');
    const file = await loginInference('alcf', { input, output, env });
    const shown = String(output.read());
    expect(shown).toContain('Login to the inference service alcf. Open this link');
    expect(shown).toContain('Inference service alcf, Authorization Code: ');
    expect(shown).toContain('with an identity of anl.gov or alcf.anl.gov');
    expect(shown).toContain('/v2/oauth2/authorize?');
    expect(shown).not.toContain('fresh-1');
    expect(file).toBe(tokenFilePath(LOGIN, env));
    expect(refreshes).toEqual(['code the-code']);
  });
});

describe('a key', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-key-'));

  it.each([
    ['from the environment', 'env:MY_KEY', { MY_KEY: 'k1' }, 'k1'],
    ['of a service that asks for none', undefined, {}, 'none'],
  ])('%s', async (_, reference, variables, expected) => {
    expect(await keySource(reference, undefined, variables).key()).toBe(expected);
  });

  it('from a file, which nobody else may read', async () => {
    const file = path.join(folder, 'key');
    writeFileSync(file, 'k2\n', { mode: 0o600 });
    expect(await keySource(file, undefined, {}).key()).toBe('k2');
    expect(await keySource('~/key', undefined, { HOME: folder }).key()).toBe('k2');
    chmodSync(file, 0o644);
    await expect(keySource(file, undefined, {}).key()).rejects.toThrow('can be read by others');
    writeFileSync(path.join(folder, 'empty'), '', { mode: 0o600 });
    await expect(keySource(path.join(folder, 'empty'), undefined, {}).key()).rejects.toThrow('is empty');
  });
});
