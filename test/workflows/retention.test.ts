import { WorkflowNotFoundError } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trialWorkflowId } from '../../src/domain/ids.ts';
import { readHistory } from '../../src/report/history.ts';
import { trialRecords } from '../../src/report/trial-records.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

/** A namespace keeps ended workflows for some days; a campaign may take weeks. */
describe('a campaign whose first trials the server has forgotten', () => {
  let engine: Engine;
  const { driver } = createScriptedDriver('local', { runMs: 500 });
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  async function forget(workflowId: string): Promise<void> {
    const { client } = engine;
    await client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: { workflowId } });
    const isGone = (error: unknown) => error instanceof WorkflowNotFoundError;
    await eventually(
      () =>
        client.workflow
          .getHandle(workflowId)
          .describe()
          .then(() => false, isGone),
      60,
      'the deletion',
    );
  }

  it('is reported with what its last report says of them', async () => {
    const result = await engine.run(specification({ budget: { trials: 6 } }), 'long-ago');
    expect(result.reportPath).toBeDefined();
    const before = trialRecords(await readHistory(engine.client, 'long-ago'));
    expect(before.every(({ directory, host }) => directory !== null && host !== null)).toBe(true);
    for (const number of [1, 4]) await forget(trialWorkflowId('long-ago', number));
    expect(trialRecords(await readHistory(engine.client, 'long-ago'))).toEqual(before);
  });

  it('before any report was written still ends with one', async () => {
    await engine.start(specification({ budget: { trials: 6 }, concurrency: 1 }), 'forgetful');
    const handle = engine.client.workflow.getHandle('forgetful');
    await eventually(async () => (await engine.status('forgetful')).counts.completed === 1);
    await handle.signal('pause');
    await forget(trialWorkflowId('forgetful', 1));
    await handle.signal('resume');
    const result = await handle.result();
    expect(result).toMatchObject({ status: 'completed', reportPath: expect.stringContaining('report.html'), counts: { completed: 6 } });
    const [first] = trialRecords(await readHistory(engine.client, 'forgetful'));
    expect(first).toMatchObject({ state: 'completed', attempts: 1, directory: null, values: { x: expect.any(Number) } });
  });
});
