import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { enqueueUpdate, resumeSignal, statusQuery, stopSignal, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, shortHistories, startEngine } from '../support/engine.ts';
import { type LlmEndpoint, type Scripted, startLlmEndpoint } from '../support/llm-endpoint.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';

const KEY = 'a-key-that-must-not-be-kept';

/** 16 trials, one at a time: the first six are the sampler's, the rest the model's turns. */
const spec = (endpoint: LlmEndpoint, { llm, ...change }: { readonly llm?: object; readonly [key: string]: unknown } = {}) => ({
  name: 'with a model',
  objective: { metric: 'x', direction: 'maximize' },
  search_space: { x: { type: 'float', min: 0, max: 1, step: 0.02 } },
  sampler: { type: 'gp', seed: 7, initial_points: 6 },
  llm: {
    base_url: endpoint.baseUrl,
    model: 'tiny',
    api_key: 'env:HOLDFAST_TEST_LLM_KEY',
    initial_samples: 6,
    tools: false,
    timeout: 20,
    ...llm,
  },
  training: { command: ['true'] },
  budget: { trials: 16 },
  concurrency: 1,
  ...change,
});

describe('a campaign with a language model', () => {
  let engine: Engine;
  const endpoints: LlmEndpoint[] = [];

  beforeAll(async () => {
    process.env.HOLDFAST_TEST_LLM_KEY = KEY;
    engine = await startEngine();
  }, 300_000);
  afterAll(async () => {
    delete process.env.HOLDFAST_TEST_LLM_KEY;
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
    await engine.close();
  });

  async function run(id: string, script: (index: number) => Scripted, change: Parameters<typeof spec>[1] = {}) {
    const endpoint = await startLlmEndpoint((_, index) => script(index));
    endpoints.push(endpoint);
    const worker = await engine.startWorker({ local: createScriptedDriver('local').driver });
    const result = await engine.run(spec(endpoint, change), id);
    const handle = engine.client.workflow.getHandle(id);
    const { rows } = await handle.query(trialsQuery);
    const { llm } = await handle.query(statusQuery);
    const events = await handle.fetchHistory();
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, events, id);
    const history = JSON.stringify(events);
    worker.shutdown();
    await worker.finished;
    return { endpoint, result, rows, history, llm };
  }

  it('runs the points that win under the sampler’s own acquisition, with the model’s words, and keeps no key', async () => {
    const { endpoint, result, rows, history, llm } = await run(
      'llm-good',
      (index) => `{"points": [{"params": {"x": ${(50 - index) / 50}}, "reasoning": "the best lie high"}]}`,
    );
    expect(result).toMatchObject({ status: 'completed', counts: { completed: 16 } });
    // One question a turn; what lies too near to a trial is sent back.
    expect(endpoint.requests.filter((request) => request.body.messages.length === 2)).toHaveLength(10);
    expect(endpoint.requests.every((request) => request.authorization === `Bearer ${KEY}`)).toBe(true);
    const proposed = rows.filter((row) => row.origin === 'llm');
    expect(proposed.length).toBeGreaterThan(0);
    expect(proposed[0]?.note).toMatch(/^the best lie high.* \[120 tokens\]$/);
    expect(rows.slice(0, 6).some((row) => row.origin === 'llm')).toBe(false);
    // The stand-in says 120 tokens a question.
    expect(llm).toMatchObject({ calls: endpoint.requests.length, trials: proposed.length, limit: { calls: 2000, tokens: 5_000_000 } });
    expect((llm?.promptTokens ?? 0) + (llm?.completionTokens ?? 0)).toBe(120 * endpoint.requests.length);
    expect(result.summary).toContain(`**Language model:** ${endpoint.requests.length} of 2000 calls`);
    expect(history).not.toContain(KEY);
    expect(history).not.toContain(Buffer.from(KEY).toString('base64').slice(0, 20));
  }, 300_000);

  it('runs to its end without the model when the service is down, and says so', async () => {
    const { endpoint, result, rows } = await run('llm-down', () => ({ status: 503, error: 'cluster_under_maintenance' }));
    expect(result).toMatchObject({ status: 'completed', counts: { completed: 16, failed: 0 } });
    expect(rows.some((row) => row.origin === 'llm')).toBe(false);
    // Ten turns, asked less and less often: the first, the third, the seventh.
    expect(endpoint.requests).toHaveLength(3);
  }, 300_000);

  it('takes the model’s points as they are beside a sampler that cannot weigh them', async () => {
    const { rows, result } = await run('llm-tpe', (index) => `{"x": ${(2 * index + 1) / 50}}`, { sampler: { type: 'tpe', seed: 7 } });
    expect(result).toMatchObject({ status: 'completed', counts: { completed: 16 } });
    expect(rows.map((row) => row.origin === 'llm')).toEqual(Array.from({ length: 16 }, (_, i) => i >= 6));
  }, 300_000);

  it('by the bandit runs the model’s points as they are, most of a good one’s and few of a bad one’s', async () => {
    const turns = async (id: string, x: (index: number) => number) => {
      const script = (index: number) => `{"points": [{"params": {"x": ${x(index)}}}]}`;
      const { rows, endpoint } = await run(id, script, { llm: { share: 'bandit' } });
      const own = rows.filter(({ origin }) => origin === 'llm');
      expect(own.map(({ number }) => number).every((number) => number > 6)).toBe(true);
      // Nothing is asked for that does not run.
      expect(own).toHaveLength(endpoint.requests.filter(({ body }) => body.messages.length === 2).length);
      return own.length;
    };
    const good = await turns('llm-bandit-good', (index) => (49 - 2 * index) / 50);
    const bad = await turns('llm-bandit-bad', (index) => (1 + 2 * index) / 50);
    expect(bad).toBeGreaterThan(0);
    expect(bad).toBeLessThan(5);
    expect(good).toBeGreaterThan(bad);
  }, 300_000);

  it('leaves no place free for a model that thinks long: the sampler fills it alone', async () => {
    const began = Date.now();
    const { endpoint, result, rows } = await run(
      'llm-slow',
      () => ({ content: '{"points": [{"params": {"x": 0.8}}]}', delayMs: 170_000 }),
      {
        llm: { timeout: 200 },
      },
    );
    expect(result).toMatchObject({ status: 'completed', counts: { completed: 16 } });
    expect(rows.some(({ origin }) => origin === 'llm')).toBe(false);
    // One question, still open when the campaign was done.
    expect(endpoint.requests).toHaveLength(1);
    expect(Date.now() - began).toBeLessThan(160_000);
  }, 300_000);

  it('goes on while the model thinks: the user’s own point runs, and stop ends what runs', async () => {
    const endpoint = await startLlmEndpoint(() => ({ content: '{"points": [{"params": {"x": 0.8}}]}', delayMs: 60_000 }));
    endpoints.push(endpoint);
    const worker = await engine.startWorker({ local: createScriptedDriver('local').driver });
    const change = { llm: { timeout: 90 }, budget: { trials: 10_000 } };
    await engine.start(spec(endpoint, change), 'llm-thinks');
    const handle = engine.client.workflow.getHandle('llm-thinks');
    await eventually(() => endpoint.requests.length === 1, 60, 'the question');

    const asked = Date.now();
    await handle.executeUpdate(enqueueUpdate, { args: [{ x: 0.5 }] });
    await eventually(
      async () => {
        const { rows } = await handle.query(trialsQuery);
        return rows.some(({ origin, state }) => origin === 'user' && state === 'completed');
      },
      40,
      'the user’s own trial',
    );
    await handle.signal(stopSignal);
    expect(await handle.result()).toMatchObject({ status: 'stopped' });
    // The answer, due a minute after the question, was not waited for.
    expect(Date.now() - asked).toBeLessThan(50_000);
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, await handle.fetchHistory(), 'llm-thinks');
    worker.shutdown();
    await worker.finished;
  }, 300_000);
});

describe('a campaign with a language model whose history has grown', () => {
  let engine: Engine;
  let runMs = 100;
  beforeAll(async () => {
    process.env.HOLDFAST_TEST_LLM_KEY = KEY;
    engine = await startEngine(shortHistories(200));
    await engine.startWorker({ local: createScriptedDriver('local', { runMs: () => runMs }).driver });
  }, 300_000);
  afterAll(async () => {
    delete process.env.HOLDFAST_TEST_LLM_KEY;
    await engine.close();
  });

  it('goes on as new when the answer is there, and knows what it has cost', async () => {
    let release: () => void = () => undefined;
    const after = new Promise<void>((resolve) => {
      release = resolve;
    });
    const endpoint = await startLlmEndpoint(() => ({ content: '{"points": [{"params": {"x": 0.8}}]}', after }));
    await engine.start(spec(endpoint, { llm: { timeout: 140 }, budget: { trials: 10_000 } }), 'llm-awaits');
    const handle = engine.client.workflow.getHandle('llm-awaits');
    await eventually(() => endpoint.requests.length === 1, 60, 'the question');
    runMs = 3_600_000;
    const { runId } = await handle.describe();
    for (let signals = 0; signals < 100 && (await handle.describe()).historyLength < 230; signals += 1) {
      await handle.signal(resumeSignal);
      // Answered after the signal was taken in.
      await handle.query(statusQuery);
    }
    expect((await handle.describe()).runId).toBe(runId);
    expect(endpoint.requests).toHaveLength(1);
    release();
    await eventually(async () => (await handle.describe()).runId !== runId, 80, 'the next run');
    expect((await handle.query(statusQuery)).llm).toMatchObject({ calls: 1, promptTokens: 100, completionTokens: 20 });
    await handle.signal(stopSignal);
    expect(await handle.result()).toMatchObject({ status: 'stopped', counts: { failed: 0 } });
    const grown = await engine.client.workflow.getHandle('llm-awaits', runId).fetchHistory();
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, grown, 'llm-awaits');
    await endpoint.close();
    runMs = 100;
  }, 300_000);

  it('twice over goes on as new while the model thinks: the question is left, and the next run asks again', async () => {
    const endpoint = await startLlmEndpoint(() => ({ content: '{"points": [{"params": {"x": 0.8}}]}', delayMs: 170_000 }));
    const change = { llm: { timeout: 200 }, budget: { trials: 10_000 }, allow_duplicates: true, sampler: { type: 'random', seed: 7 } };
    await engine.start(spec(endpoint, change), 'llm-renews');
    const handle = engine.client.workflow.getHandle('llm-renews');
    await eventually(() => endpoint.requests.length === 1, 60, 'the question');
    const asked = Date.now();
    const { runId } = await handle.describe();
    await eventually(async () => (await handle.describe()).runId !== runId, 150, 'the next run');
    const { counts } = await handle.query(statusQuery);
    await eventually(() => endpoint.requests.length === 2, 60, 'the next run’s question');
    await eventually(async () => (await handle.query(statusQuery)).counts.completed > counts.completed, 60, 'a trial of the next run');
    // The answer was due so long after the question.
    expect(Date.now() - asked).toBeLessThan(170_000);
    await handle.signal(stopSignal);
    expect(await handle.result()).toMatchObject({ status: 'stopped', counts: { failed: 0 } });
    const left = await engine.client.workflow.getHandle('llm-renews', runId).fetchHistory();
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, left, 'llm-renews');
    await endpoint.close();
  }, 300_000);
});
