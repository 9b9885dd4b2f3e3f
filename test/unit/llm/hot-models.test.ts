import { afterEach, describe, expect, it } from 'vitest';
import type { LlmConfig } from '../../../src/domain/campaign.ts';
import { hotFirst } from '../../../src/llm/hot-models.ts';
import { type Target, targetsOf } from '../../../src/llm/options.ts';
import { proposeWithLlm } from '../../../src/llm/propose.ts';
import { admitCampaign } from '../../../src/spec/admit.ts';
import { type LlmEndpoint, startLlmEndpoint } from '../../support/llm-endpoint.ts';
import { OBJECTIVES, SPACE } from './campaign.ts';

const POINT = '{"points": [{"params": {"lr": 0.01, "layers": 2, "batch_size": 64, "model": "vgg16"}, "reasoning": "r"}]}';
const endpoints: LlmEndpoint[] = [];
afterEach(async () => {
  await Promise.all(endpoints.splice(0).map((endpoint) => endpoint.close()));
});

type Lists = NonNullable<Parameters<typeof startLlmEndpoint>[1]>;
const jobs = (running: readonly object[]) => ({
  body: JSON.stringify({ running, queued: [{ Models: 'sophia-2' }], 'private-batch-running': [] }),
});

/** A stand-in for the gateway: two models on Sophia, one on Metis, as config/llm/alcf.yaml has them. */
async function gateway(lists: Lists) {
  const endpoint = await startLlmEndpoint(() => POINT, lists);
  endpoints.push(endpoint);
  const origin = new URL(endpoint.baseUrl).origin;
  const target = (cluster: string, model: string): Target => ({
    baseUrl: `${origin}/${cluster}/v1`,
    model,
    apiKey: 'env:KEY',
    jobsUrl: `${origin}/${cluster}/jobs`,
  });
  const targets = [target('sophia', 'sophia-1'), target('sophia', 'sophia-2'), target('metis', 'metis-1')];
  const order = async (some: readonly Target[] = targets) =>
    (await hotFirst(some, { env: { KEY: 'secret' } })).targets.map(({ model }) => model);
  return { endpoint, targets, order };
}

describe('the models that are loaded now', () => {
  it.each<[string, Lists, string[]]>([
    [
      'as the profile has them, when all are',
      (path) => jobs([{ Models: path.includes('metis') ? 'metis-1' : 'sophia-1, sophia-2' }]),
      ['sophia-1', 'sophia-2', 'metis-1'],
    ],
    [
      'a loaded one before a cold one of the same cluster',
      (path) => jobs([{ Models: path.includes('metis') ? 'metis-1' : 'sophia-2,other' }]),
      ['sophia-2', 'metis-1', 'sophia-1'],
    ],
    [
      'another cluster before two cold ones',
      (path) => jobs(path.includes('metis') ? [{ Models: 'metis-1' }] : []),
      ['metis-1', 'sophia-1', 'sophia-2'],
    ],
    [
      'one that is still loading is not loaded',
      (path) =>
        jobs([
          path.includes('metis') ? { Models: 'metis-1' } : { Models: 'sophia-1', 'Model Status': 'starting' },
          { Models: 'sophia-2', 'Model Status': 'running' },
        ]),
      ['sophia-2', 'metis-1', 'sophia-1'],
    ],
    [
      'under the older name of the key',
      (path) => jobs([{ 'Models Served': path.includes('metis') ? 'metis-1' : 'sophia-2' }]),
      ['sophia-2', 'metis-1', 'sophia-1'],
    ],
    [
      'a cluster that does not tell, between loaded and cold',
      (path) => (path.includes('metis') ? { status: 503 } : jobs([{ Models: 'sophia-2' }])),
      ['sophia-2', 'metis-1', 'sophia-1'],
    ],
    ['as the profile has them, when none tells', () => ({ status: 500 }), ['sophia-1', 'sophia-2', 'metis-1']],
    ['nor on a page that is no JSON', () => ({ body: '<html>maintenance</html>' }), ['sophia-1', 'sophia-2', 'metis-1']],
    ['nor on JSON of another shape', () => ({ body: '{"running": "yes"}' }), ['sophia-1', 'sophia-2', 'metis-1']],
    ['nor when the connection breaks', () => ({ hangUp: true }), ['sophia-1', 'sophia-2', 'metis-1']],
  ])('come %s', async (_, lists, expected) => {
    const { order } = await gateway(lists);
    expect(await order()).toEqual(expected);
  });

  it('are asked of each cluster once, with the key of the service', async () => {
    const { endpoint, order } = await gateway(() => jobs([]));
    await order();
    expect(endpoint.looked).toEqual([
      { path: '/sophia/jobs', authorization: 'Bearer secret' },
      { path: '/metis/jobs', authorization: 'Bearer secret' },
    ]);
  });

  it('never cost another origin the key, and a login that is missing is left to the question itself', async () => {
    const { endpoint, targets } = await gateway(() => jobs([{ Models: 'sophia-2' }]));
    const elsewhere = targets.map((target) => ({ ...target, baseUrl: 'https://models.example.org/v1' }));
    expect((await hotFirst(elsewhere, { env: { KEY: 'secret' } })).targets).toEqual(elsewhere);
    expect((await hotFirst(targets, { env: {} })).targets).toEqual(targets);
    expect(endpoint.looked).toEqual([]);
  });

  it('are asked first in a campaign, and the log says why', async () => {
    const { endpoint, targets } = await gateway((path) => jobs(path.includes('metis') ? [{ Models: 'metis-1' }] : []));
    const [{ jobsUrl, baseUrl, model }, ...fallback] = targets as [Required<Target>, ...Target[]];
    const llm: LlmConfig = {
      baseUrl,
      model,
      apiKey: 'env:KEY',
      options: { initialSamples: 0, tools: false, timeout: 5, jobsUrl, fallback },
    };
    const { suggestions, events, usage } = await proposeWithLlm(
      { llm, space: SPACE, objectives: OBJECTIVES, trials: [], count: 1, seed: 1 },
      { env: { KEY: 'secret' } },
    );
    expect(suggestions).toHaveLength(1);
    expect(endpoint.requests.map(({ body }) => body.model)).toEqual(['metis-1']);
    expect(events).toContainEqual({ kind: 'reordered', message: 'sophia-1 is not loaded; metis-1 is asked first.' });
    // Looking costs no call of the budget.
    expect(usage.calls).toBe(1);
  });

  it('of ALCF come from its own clusters; a model that the campaign names stays first', async () => {
    const admit = (llm: object) =>
      admitCampaign(
        {
          objective: { metric: 'x', direction: 'maximize' },
          search_space: { x: { type: 'float', min: 0, max: 1 } },
          training: { command: 'true' },
          budget: { trials: 1 },
          llm,
        },
        { env: {} },
      );
    const targets = targetsOf((await admit({ service: 'alcf' })).llm as LlmConfig);
    expect(targets.map(({ jobsUrl }) => jobsUrl)).toEqual(
      targets.map(
        ({ baseUrl }) => `https://inference-api.alcf.anl.gov/resource_server/${/resource_server\/(\w+)/.exec(baseUrl)?.[1]}/jobs`,
      ),
    );
    const named = targetsOf((await admit({ service: 'alcf', model: 'nemotron-3-ultra' })).llm as LlmConfig);
    expect(named[0]).toMatchObject({ model: 'nemotron-3-ultra' });
    expect(named[0]?.jobsUrl).toBeUndefined();
    const { order } = await gateway((path) => jobs(path.includes('metis') ? [{ Models: 'metis-1' }] : []));
    const { targets: own } = await gateway(() => jobs([]));
    const { jobsUrl: _, ...first } = own[0] as Target;
    expect((await order([first, ...own.slice(1)]))[0]).toBe('sophia-1');
  });
});
