import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { type Engine, eventually, shortHistories, startEngine } from '../support/engine.ts';
import { startLlmEndpoint } from '../support/llm-endpoint.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

/**
 * Records golden histories: HOLDFAST_RECORD=<name> npx vitest run test/replay/record.test.ts. Recorded ones are never changed: a new version of the
 * workflows must still replay all of them.
 */
const NAME = process.env.HOLDFAST_RECORD;

const GLOBUS = { enabled: true, endpoint_id: '4b116d3c-1703-4f8f-9f6f-39921e5864df' };

describe.runIf(NAME !== undefined)('recording golden histories', () => {
  it('keeps a campaign with failures and steering, one of its trials, and its system', async () => {
    const engine = await startEngine();
    const system = createScriptedDriver('local', {
      runMs: 50,
      end: (trial, attempt) =>
        trial === 'trial-0003' && attempt === 1
          ? { status: 'failed', values: null, error: { class: 'lost', message: 'the node died' } }
          : {},
    });
    await engine.startWorker({ local: system.driver });
    const id = `golden-${NAME}`;
    await engine.start(
      {
        version: 1,
        name: 'golden',
        system: 'local',
        objective: { metric: 'x', direction: 'maximize' },
        search_space: { x: { type: 'float', min: 0, max: 1 } },
        sampler: { type: 'random', seed: 7 },
        training: { command: ['true'] },
        budget: { trials: 16, wall_time: '1h' },
      },
      id,
    );
    const handle = engine.client.workflow.getHandle(id);
    await handle.executeUpdate('pause');
    await handle.executeUpdate('enqueue', { args: [{ x: 0.5 }] });
    await handle.signal('resume');
    await handle.result();
    for (const [file, workflowId] of [
      [`${NAME}-campaign`, id],
      [`${NAME}-trial`, `${id}/trial-0001`],
      [`${NAME}-trial-retried`, `${id}/trial-0003`],
      [`${NAME}-system`, 'system/local'],
    ] as const) {
      await keep(engine, workflowId, file);
    }
    await engine.close();
  });

  it('keeps a campaign whose trials all fail alike', async () => {
    const engine = await startEngine();
    const error = { class: 'exit_code', message: 'The training command ended with exit code 1.' } as const;
    const system = createScriptedDriver('local', { end: () => ({ status: 'failed', values: null, error }) });
    await engine.startWorker({ local: system.driver });
    const id = `golden-${NAME}-all-failed`;
    const source = specification({ budget: { trials: 14 }, concurrency: 2, retries: { trial: 0 } });
    await expect(engine.run(source, id)).rejects.toThrow();
    await keep(engine, id, `${NAME}-campaign-all-failed`);
    await engine.close();
  });

  it('keeps a campaign with a language model', async () => {
    const engine = await startEngine();
    const endpoint = await startLlmEndpoint((_, index) => ({ content: `{"x": ${(2 * index + 1) / 50}}`, delayMs: 500 }));
    await engine.startWorker({ local: createScriptedDriver('local', { runMs: 300 }).driver });
    const id = `golden-${NAME}-llm`;
    const llm = { base_url: endpoint.baseUrl, model: 'tiny', initial_samples: 3, tools: false };
    await engine.run(specification({ budget: { trials: 12 }, concurrency: 2, sampler: { type: 'tpe', seed: 7 }, llm }), id);
    await keep(engine, id, `${NAME}-campaign-llm`);
    await endpoint.close();
    await engine.close();
  });

  it('keeps a campaign that was changed while its code was staged, and one that was stopped while nobody held its system', async () => {
    const engine = await startEngine();
    const { driver } = createScriptedDriver('local');
    let release: () => void = () => undefined;
    const staged = new Promise<void>((resolve) => {
      release = resolve;
    });
    const prepareLaunch: typeof driver.prepareLaunch = async (...order) => {
      await staged;
      return driver.prepareLaunch(...order);
    };
    await engine.startWorker({ local: { ...driver, prepareLaunch } });
    const ids = { changed: `golden-${NAME}-changed-early`, stopped: `golden-${NAME}-stopped-early` };
    await engine.start(specification({ budget: { trials: 6 }, concurrency: 1 }), ids.changed);
    await eventually(async () => (await engine.client.workflow.getHandle(ids.changed).describe()).raw.pendingActivities?.length === 1);
    await engine.client.workflow.getHandle(ids.changed).executeUpdate('setConcurrency', { args: [3] });
    release();
    await engine.client.workflow.getHandle(ids.changed).result();
    await engine.start(specification({ system: 'globus-compute', globus_compute: GLOBUS, budget: { trials: 6 } }), ids.stopped);
    const stopped = engine.client.workflow.getHandle(ids.stopped);
    await eventually(async () => (await stopped.describe()).raw.pendingActivities?.[0]?.activityType?.name === 'prepareLaunch');
    await stopped.executeUpdate('stop', { args: ['nobody holds it'] });
    await stopped.result();
    await keep(engine, ids.changed, `${NAME}-campaign-changed-early`);
    await keep(engine, ids.stopped, `${NAME}-campaign-stopped-early`);
    await engine.close();
  });

  it('keeps a run that went on as new while a language model thought', async () => {
    const engine = await startEngine(shortHistories(200));
    const endpoint = await startLlmEndpoint(() => ({ content: '{"x": 0.5}', delayMs: 90_000 }));
    await engine.startWorker({ local: createScriptedDriver('local', { runMs: 100 }).driver });
    const id = `golden-${NAME}-question-left`;
    const llm = { base_url: endpoint.baseUrl, model: 'tiny', initial_samples: 3, tools: false, timeout: 120 };
    await engine.start(specification({ budget: { trials: 1000 }, concurrency: 2, llm }), id);
    const handle = engine.client.workflow.getHandle(id);
    const { runId } = await handle.describe();
    await eventually(async () => (await handle.describe()).runId !== runId, 120);
    await keep(engine, id, `${NAME}-campaign-question-left`, runId);
    await handle.terminate('recorded');
    await endpoint.close();
    await engine.close();
  });

  it('keeps a scheduled health check', async () => {
    const engine = await startEngine();
    const { driver } = createScriptedDriver('globus-compute');
    const health = async () => [{ id: 'TS8', title: 'endpoint online', about: 'e', status: 'fail' as const, found: 'offline' }];
    await engine.startWorker({ 'globus-compute': { ...driver, health } });
    const id = 'health/globus-compute-golden';
    const args = [{ system: 'globus-compute', patienceSeconds: 60 }];
    await engine.client.workflow.execute('systemHealth', { taskQueue: 'holdfast', workflowId: id, args });
    await keep(engine, id, `${NAME}-health`);
    await engine.close();
  });
});

async function keep(engine: Engine, workflowId: string, file: string, runId?: string): Promise<void> {
  const folder = path.join(packageRoot(), 'test', 'replay', 'histories');
  mkdirSync(folder, { recursive: true });
  const history = await engine.client.workflow.getHandle(workflowId, runId).fetchHistory();
  const text = JSON.stringify(JSON.parse(historyToJSON(history)), (key, value) => {
    if (key === 'identity' || key === 'sdkName') return 'worker';
    // Sticky queues are named after process and computer.
    return key === 'name' && /^\d+@/.test(String(value)) ? 'sticky' : value;
  });
  expect(text).toContain('EVENT_TYPE_WORKFLOW_EXECUTION_STARTED');
  writeFileSync(path.join(folder, `${file}.json`), `${text}\n`);
}
