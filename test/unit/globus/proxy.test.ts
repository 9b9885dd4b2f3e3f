import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthorizer } from '../../../src/systems/globus/authorizer.ts';
import { createGlobusClient, type GlobusClient } from '../../../src/systems/globus/client.ts';
import { globusEnvironment } from '../../../src/systems/globus/environment.ts';
import { proxyFor } from '../../../src/systems/globus/proxy.ts';
import { RequestBudget } from '../../../src/systems/globus/request-budget.ts';
import { packPayload } from '../../../src/systems/globus/serialize.ts';
import { type ConnectProxy, startConnectProxy } from '../../support/connect-proxy.ts';
import { StandInEndpoint } from '../../support/globus-endpoint.ts';
import type { GlobusSdkChild } from '../../support/globus-sdk-child.ts';
import { GlobusStandIn } from '../../support/globus-service.ts';

describe('the proxy of a service', () => {
  const PROXY = 'http://proxy.site:3128';
  it.each<[string, string, Record<string, string>, string | undefined]>([
    ['none is named', 'https://compute.api.globus.org', {}, undefined],
    ['upper case', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY }, PROXY],
    ['lower case wins', 'https://compute.api.globus.org', { https_proxy: PROXY, HTTPS_PROXY: 'http://other' }, PROXY],
    ['without a scheme, as curl takes it', 'https://compute.api.globus.org', { HTTPS_PROXY: 'proxy.site:3128' }, PROXY],
    ['HTTP_PROXY is for other URLs', 'https://compute.api.globus.org', { HTTP_PROXY: PROXY }, undefined],
    ['loopback without TLS is never proxied', 'http://127.0.0.1:5000', { HTTPS_PROXY: PROXY }, undefined],
    ['nor localhost with TLS', 'https://localhost:5000', { HTTPS_PROXY: PROXY }, undefined],
    ['exempt by name', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, NO_PROXY: 'a.b, compute.api.globus.org' }, undefined],
    ['exempt by domain', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, NO_PROXY: 'globus.org' }, undefined],
    ['exempt by domain with a dot', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, no_proxy: '.globus.org' }, undefined],
    ['exempt by domain with a star', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, NO_PROXY: '*.globus.org' }, undefined],
    ['exempt by a star', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, NO_PROXY: '*' }, undefined],
    ['exempt at this port', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, NO_PROXY: 'globus.org:443' }, undefined],
    ['exempt at another port', 'https://compute.api.globus.org', { HTTPS_PROXY: PROXY, NO_PROXY: 'globus.org:8443' }, PROXY],
    ['a name that only ends alike is not exempt', 'https://notglobus.org', { HTTPS_PROXY: PROXY, NO_PROXY: 'globus.org' }, PROXY],
  ])('%s', (_, url, env, expected) => {
    expect(proxyFor(url, env)).toBe(expected);
  });

  it('that is none is refused without telling its password', () => {
    for (const text of ['socks5://user:hunter2@proxy:1080', 'http://', 'http://user:hunter2@:x']) {
      const call = () => proxyFor('https://compute.api.globus.org', { HTTPS_PROXY: text });
      expect(call).toThrow(/HTTPS_PROXY is no URL of an HTTP proxy/);
      expect(call).not.toThrow(/hunter2/);
    }
  });
});

/** Makes the certificate of the service behind the proxy. */
const HAS_OPENSSL = spawnSync('openssl', ['version']).status === 0;
if (!HAS_OPENSSL) console.warn('the tests of a proxy are skipped: no openssl here');

describe.skipIf(!HAS_OPENSSL)('a client behind a proxy', () => {
  const HOST = 'services.holdfast.test';
  let service: GlobusStandIn;
  let proxy: ConnectProxy;
  let folder: string;
  let endpoint: StandInEndpoint;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-proxied-'));
    service = await GlobusStandIn.start();
    service.clients.set('c', 's');
    proxy = await startConnectProxy(HOST, Number(new URL(service.url).port));
    endpoint = new StandInEndpoint({} as GlobusSdkChild, folder);
    endpoint.online = false;
    service.endpoints.set(endpoint.id, endpoint);
  });
  afterAll(async () => {
    await proxy?.end();
    await service?.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  beforeEach(() => {
    proxy.refusals.length = 0;
    proxy.tunnels.length = 0;
    proxy.credentials.length = 0;
  });

  /** The name resolves nowhere: without the proxy nothing is reached. */
  function clientWith(more: Record<string, string>): GlobusClient {
    const env = {
      GLOBUS_SDK_SERVICE_URL_COMPUTE: `https://${HOST}`,
      GLOBUS_SDK_SERVICE_URL_AUTH: `https://${HOST}`,
      GLOBUS_COMPUTE_USER_DIR: mkdtempSync(join(folder, 'user-')),
      GLOBUS_COMPUTE_CLIENT_ID: 'c',
      GLOBUS_COMPUTE_CLIENT_SECRET: 's',
      ...more,
    };
    const environment = globusEnvironment(env);
    return createGlobusClient({
      baseUrl: environment.computeUrl,
      authorizer: createAuthorizer({ method: 'confidential_client', environment, env }),
      budget: new RequestBudget(10_000, 10),
      timeoutSeconds: 20,
      tries: 2,
      backoffMs: 5,
      ...(environment.computeProxy === undefined ? {} : { proxy: environment.computeProxy }),
    });
  }

  it('asks Globus Auth and the service through tunnels: the proxy sees a host, no token', async () => {
    const before = service.exchanges.length;
    expect(await clientWith({ HTTPS_PROXY: proxy.url }).version()).toMatchObject({ api: expect.any(String) });
    expect(proxy.tunnels.length).toBeGreaterThan(0);
    expect(new Set(proxy.tunnels)).toEqual(new Set([`${HOST}:443`]));
    expect(proxy.plain).toEqual([]);
    expect(service.exchanges.slice(before).map(({ path }) => path.replace(/\?.*/, ''))).toEqual(['/v2/oauth2/token', '/v2/version']);
    expect(service.exchanges.at(-1)?.headers['user-agent']).toMatch(/^holdfast\//);
  });

  it('gives the proxy its own user and password', async () => {
    await clientWith({ HTTPS_PROXY: proxy.url.replace('//', '//me:pass%20word@') }).version();
    expect(proxy.credentials[0]).toBe(`Basic ${Buffer.from('me:pass word').toString('base64')}`);
  });

  it('goes straight where NO_PROXY says so', async () => {
    const error = await clientWith({ HTTPS_PROXY: proxy.url, NO_PROXY: '.holdfast.test' })
      .version()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ class: 'transport', code: expect.stringMatching(/UNREACHABLE/) });
    expect(proxy.tunnels).toEqual([]);
  });

  it('whose tunnel is refused says what the proxy answered', async () => {
    const client = clientWith({ HTTPS_PROXY: proxy.url });
    await client.version();
    await cutAll();
    proxy.refusals.push(407, 407);
    await expect(client.version()).rejects.toMatchObject({
      class: 'transport',
      code: 'HF-GLOBUS-PROXY',
      message: expect.stringMatching(/the proxy 127\.0\.0\.1:\d+ answered 407\. Check HTTPS_PROXY/),
    });
    await cutAll();
    proxy.refusals.push(407);
    // The first token of another client: Globus Auth is behind the same proxy.
    await expect(clientWith({ HTTPS_PROXY: proxy.url }).version()).rejects.toThrow(
      /Globus Auth did not answer \(the proxy .* answered 407\)/,
    );
  });

  it('sends a submission again whose tunnel was refused: it never went out', async () => {
    const client = clientWith({ HTTPS_PROXY: proxy.url });
    const functionId = await client.registerFunction('f', 'def f(): pass', '');
    await cutAll();
    proxy.refusals.push(502);
    const { taskIds } = await client.submit({ endpointId: endpoint.id, functionId, payloads: [packPayload([])] }, { repeatable: false });
    expect(proxy.refusals).toEqual([]);
    expect([...service.tasks.keys()]).toEqual(taskIds);
  });

  /** Idle connections would be used again without asking the proxy. */
  async function cutAll(): Promise<void> {
    proxy.cut();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});
