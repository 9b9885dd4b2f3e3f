import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proposeWithLlm } from '../../../src/llm/propose.ts';
import { type ConnectProxy, startConnectProxy } from '../../support/connect-proxy.ts';
import { type LlmEndpoint, startLlmEndpoint } from '../../support/llm-endpoint.ts';
import { llm, OBJECTIVES, SPACE } from './campaign.ts';

const HOST = 'models.holdfast.test';
const POINT = '{"points": [{"params": {"lr": 0.01, "layers": 2, "batch_size": 64, "model": "vgg16"}, "reasoning": "r"}]}';
let endpoint: LlmEndpoint;
let proxy: ConnectProxy;

beforeAll(async () => {
  endpoint = await startLlmEndpoint(
    () => POINT,
    () => ({ body: JSON.stringify({ running: [{ Models: 'loaded' }] }) }),
  );
  proxy = await startConnectProxy(HOST, Number(new URL(endpoint.baseUrl).port));
});
afterAll(async () => {
  await proxy.end();
  await endpoint.close();
});

/** The name resolves nowhere: without the proxy nothing is reached. */
const ask = (env: Record<string, string>) =>
  proposeWithLlm(
    {
      llm: {
        ...llm(`https://${HOST}/v1`, {
          jobsUrl: `https://${HOST}/jobs`,
          fallback: [{ baseUrl: `https://${HOST}/v1`, model: 'loaded', jobsUrl: `https://${HOST}/jobs` }],
        }),
        apiKey: 'env:KEY',
      },
      space: SPACE,
      objectives: OBJECTIVES,
      trials: [],
      count: 1,
      seed: 1,
    },
    { env: { KEY: 'secret', ...env }, pauseSeconds: 0.01 },
  );

describe('an inference service behind the site’s proxy', () => {
  it('is reached through a tunnel, its list of loaded models too: the proxy sees a host, no key', async () => {
    const { suggestions } = await ask({ HTTPS_PROXY: proxy.url });
    expect(suggestions).toHaveLength(1);
    expect(endpoint.requests.map(({ body, authorization }) => [body.model, authorization])).toEqual([['loaded', 'Bearer secret']]);
    expect(endpoint.looked).toEqual([{ path: '/jobs', authorization: 'Bearer secret' }]);
    expect(new Set(proxy.tunnels)).toEqual(new Set([`${HOST}:443`]));
    expect(proxy.plain).toEqual([]);
  });

  it('is asked straight where NO_PROXY says so, and a proxy that is none is told; the sampler goes on', async () => {
    const before = proxy.tunnels.length;
    const straight = await ask({ HTTPS_PROXY: proxy.url, NO_PROXY: '.holdfast.test' });
    expect(straight.events.at(-1)).toMatchObject({ kind: 'fell_back', reason: 'service' });
    expect(proxy.tunnels.length).toBe(before);
    const wrong = await ask({ HTTPS_PROXY: 'socks5://x:1' });
    expect(wrong.events.at(-1)).toMatchObject({ kind: 'fell_back', message: expect.stringContaining('HTTPS_PROXY is no URL') });
  });
});
