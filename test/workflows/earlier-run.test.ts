import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { carry, newCampaignState } from '../../src/domain/campaign-state.ts';
import { describeQuery, type TrialInput, trialQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { doneRecord } from '../support/records.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';
import { specification } from '../support/specification.ts';

/** A trial's workflow says its outcome and closes with its next task: on a busy machine the campaign may want to start its next run before that. */
describe('a trial that is started again while the workflow of its earlier run has not closed', () => {
  let engine: Engine;
  const system = createScriptedDriver('local', {
    runMs: 200,
    end: (trial, attempt) =>
      trial === 'trial-0001' && attempt === 1 ? { status: 'failed', values: null, error: { class: 'exit_code', message: 'exit 3' } } : {},
  });
  beforeAll(async () => {
    engine = await startEngine();
    await engine.startWorker({ local: system.driver });
  });
  afterAll(() => engine.close());

  it('waits for the earlier one to close, then runs its next attempt', async () => {
    const handle = engine.client.workflow.getHandle('busy');
    await engine.start(specification({ budget: { trials: 2000 }, concurrency: 2, retries: { trial: 0 } }), 'busy');
    const first = async () => (await handle.query(trialsQuery)).rows.find((row) => row.number === 1);
    const { params } = await eventually(async () => (await first())?.state === 'failed' && first(), 90, 'the failure');
    const trial = engine.client.workflow.getHandle('busy/trial-0001');
    await trial.result();

    // The earlier run, its end not said yet: of a system that does not answer.
    const { spec, launch } = await handle.query(describeQuery);
    const { objectives, retries } = spec;
    const earlier: TrialInput = {
      ...{ campaign: 'busy', number: 1, params: params ?? {}, origin: 'random', system: 'silent', objectives, retries },
      ...{ graceSeconds: 1, hasSearchAttributes: false, launch: launch?.launch ?? '' },
    };
    await engine.client.workflow.start('hpoTrial', { taskQueue: 'holdfast', workflowId: 'busy/trial-0001', args: [earlier] });
    await handle.executeUpdate('retry', { args: [{ numbers: [1] }] });
    const hasMet = async () =>
      (await handle.fetchHistory()).events?.some((event) => event.startChildWorkflowExecutionFailedEventAttributes);
    await eventually(hasMet, 90, 'the start that finds the earlier run');
    const record = doneRecord({ campaign: 'busy', status: 'failed', values: null, error: { class: 'exit_code', message: 'exit 3' } });
    await trial.signal('attemptEnded', { kind: 'record', record });

    const again = await eventually(async () => (await first())?.state === 'completed' && first(), 60, 'the end of the second attempt');
    expect(again).toMatchObject({ attempts: 2, params, values: [params?.x] });
    expect(system.starts).toMatchObject({ 'busy:trial-0001.1': 1, 'busy:trial-0001.2': 1 });
    expect((await trial.query(trialQuery)).outcome).toMatchObject({ attempts: 2, state: 'completed' });
    await handle.executeUpdate('stop', { args: ['seen'] });
    await handle.result();
  });

  it('and a campaign of an earlier version, which took the one for the other and waits for it, can be stopped', async () => {
    const source = specification({ budget: { trials: 1 } });
    await engine.run(source, 'old');
    const handle = engine.client.workflow.getHandle('old');
    const { spec, launch } = await handle.query(describeQuery);
    const { rows } = await handle.query(trialsQuery);
    const table = { rows: rows.map((row) => ({ ...row, state: 'queued' as const })), versions: [1], version: 1 };
    const before = {
      ...newCampaignState('old', Date.now()),
      spec,
      phase: 'stopping' as const,
      ...(launch === undefined ? {} : { launch }),
    };
    const carried = carry({ ...before, budget: spec.budget, table, inFlight: new Set([1]) }, spec);
    await engine.client.workflow.start('hpoCampaign', { taskQueue: 'holdfast', workflowId: 'old', args: [source, carried] });
    expect(await handle.result()).toMatchObject({ counts: { total: 1, cancelled: 1, queued: 0 } });
  });
});
