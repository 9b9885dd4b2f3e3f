import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import type { BestTrial, CampaignStatus, TrialsPage } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { specification } from '../support/specification.ts';

const run = promisify(execFile);

interface HistoryEvent {
  readonly eventType: string;
  readonly workflowExecutionFailedEventAttributes?: { failure: { message: string; applicationFailureInfo?: { nonRetryable?: boolean } } };
}

describe('the stock Temporal CLI', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    const driver = createLocalDriver({ slots: 2, stateDirectory: path.join(engine.folder, 'state'), workingDirectory: engine.folder });
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  /** `temporal workflow …` as a person types it; its standard output. */
  async function temporal(...words: string[]): Promise<string> {
    const { stdout } = await run(inject('temporalBinary'), ['workflow', ...words, '--address', engine.server.address], { maxBuffer: 64e6 });
    return stdout;
  }
  const start = (id: string, input: unknown) =>
    temporal('start', '--type', 'hpoCampaign', '--task-queue', 'holdfast', '--workflow-id', id, '--input', JSON.stringify(input));
  async function query<T>(id: string, type: string, ...more: string[]): Promise<T> {
    const answer = JSON.parse(await temporal('query', '-w', id, '--type', type, '--output', 'json', ...more));
    return answer.queryResult[0] as T;
  }
  const update = async (id: string, name: string, input: unknown): Promise<string> =>
    JSON.parse(await temporal('update', 'execute', '-w', id, '--name', name, '--input', JSON.stringify(input), '--output', 'json')).result;
  const history = async (id: string): Promise<HistoryEvent[]> => JSON.parse(await temporal('show', '-w', id, '--output', 'json')).events;
  /** Not "token" alone: the server's own field of counted tokens would be one. */
  const secrets = (text: string) => text.match(/secret|password|api_?key|bearer|[a-z_]*token[a-z_]*/gi) ?? [];

  const training = { command: ['/bin/sh', '-c', 'sleep 1.5; echo \'{"x": 0.5}\' > "$HOLDFAST_OUT/results.json"'] };

  it('starts a campaign, asks it, steers it, and finds every trial with its place in the histories, and no secret', async () => {
    const file = path.join(engine.folder, 'steered.yaml');
    writeFileSync(file, JSON.stringify(specification({ budget: { trials: 40 }, concurrency: 2, training })));
    expect(await start('steered-1', file)).toMatch(/WorkflowId +steered-1/);
    expect(JSON.parse(await temporal('describe', '-w', 'steered-1', '--output', 'json')).workflowExecutionInfo.status).toContain('RUNNING');

    const status = await eventually(async () => {
      const now = await query<CampaignStatus>('steered-1', 'status');
      return now.counts.completed >= 1 && now;
    }, 60);
    // Row R1: id, iteration, elapsed, active, completed, best, success rate, convergence counter.
    expect(status).toMatchObject({
      campaign: 'steered-1',
      phase: 'running',
      counts: { total: expect.any(Number), completed: expect.any(Number) },
      elapsedSeconds: expect.any(Number),
      inFlight: expect.any(Array),
      best: { values: [0.5] },
      successRate: 1,
      sinceImprovement: expect.any(Number),
    });

    await temporal('signal', '-w', 'steered-1', '--name', 'pause');
    await eventually(async () => (await query<CampaignStatus>('steered-1', 'status')).phase === 'paused');
    expect(await update('steered-1', 'enqueue', { x: 0.25 })).toBe('1 point enqueued');
    expect(await update('steered-1', 'setConcurrency', 1)).toBe('at most 1 trial in flight');
    const { counts } = await query<CampaignStatus>('steered-1', 'status');
    expect(await update('steered-1', 'setBudget', { trials: counts.total + 1 })).toBe(`the budget is now ${counts.total + 1} trials`);
    await expect(update('steered-1', 'setBudget', { trails: 6 })).rejects.toThrow(/budget\.trails: 6 is no limit/);
    await expect(update('steered-1', 'enqueue', { x: 7 })).rejects.toThrow(/x 7 is outside 0…1/);
    await temporal('signal', '-w', 'steered-1', '--name', 'resume');
    expect(JSON.parse(await temporal('result', '-w', 'steered-1', '--output', 'json'))).toMatchObject({ status: 'COMPLETED' });

    const { rows } = await query<TrialsPage>('steered-1', 'trials', '--input', '{"limit": 500}');
    expect(rows.at(-1)).toMatchObject({ params: { x: 0.25 }, origin: 'user', state: 'completed' });
    expect(await query<BestTrial[]>('steered-1', 'best', '--input', '2')).toHaveLength(2);

    const campaign = await temporal('show', '-w', 'steered-1', '--output', 'json');
    expect(secrets(campaign)).toEqual([]);
    for (const { number } of rows) {
      const id = `steered-1/trial-${String(number).padStart(4, '0')}`;
      expect(campaign).toContain(id);
      expect(secrets(await temporal('show', '-w', id, '--output', 'json'))).toEqual([]);
    }
    // Backend, pilot with its native id (here the agent's process), attempt, state: in the trial's own view and in its list entry.
    const trial = await query<object>('steered-1/trial-0001', 'trial');
    expect(trial).toMatchObject({
      state: 'completed',
      attempts: [
        { attempt: 1, pilot: 'steered-1.p1', nativeId: expect.stringMatching(/^\d+$/), slot: expect.any(Number), end: 'completed' },
      ],
    });
    const list = await temporal('list', '-q', 'WorkflowType = "hpoTrial" AND HpoSystem = "local" AND HpoState = "completed"');
    expect(list.match(/steered-1\/trial-\d{4}/g)).toHaveLength(rows.length);
  }, 180_000);

  it('takes the whole specification as JSON; drain, stop and cancel each end it with its report', async () => {
    // All but the first trial run until they are ended, however late stop and cancel come on a busy computer.
    const long = {
      command: ['/bin/sh', '-c', `case "$HOLDFAST_OUT" in *trial-0001*) ;; *) sleep 170 ;; esac; ${training.command[2]}`],
    };
    for (const how of ['drain', 'stop', 'cancel'] as const) {
      const id = `ended-by-${how}`;
      const run = { training: how === 'drain' ? training : long, limits: { grace_seconds: 1 } };
      await start(id, specification({ budget: { trials: 2000 }, concurrency: 2, ...run }));
      await eventually(async () => (await query<CampaignStatus>(id, 'status')).counts.completed >= 1, 60);
      if (how === 'cancel') await temporal('cancel', '-w', id);
      else await temporal('signal', '-w', id, '--name', how);
      // The command's own exit is 1 for a campaign that was cancelled.
      await temporal('result', '-w', id).catch(() => undefined);
      const status = await query<CampaignStatus>(id, 'status');
      // This command writes an empty list as null.
      expect([status.phase, status.inFlight ?? [], status.problems ?? []]).toEqual(['ended', [], []]);
      expect(status.counts.cancelled > 0).toBe(how !== 'drain');
    }
  }, 300_000);

  it('is told of a bad specification at once: failed, never retried, the key named, nothing started', async () => {
    await start('typo-1', specification({ max_iteratons: 3, budget: { trials: -1 } }));
    await temporal('result', '-w', 'typo-1').catch(() => undefined);
    const events = await history('typo-1');
    const failure = events.at(-1)?.workflowExecutionFailedEventAttributes?.failure;
    expect(failure?.applicationFailureInfo?.nonRetryable).toBe(true);
    expect(failure?.message).toMatch(/^The specification has 2 problems:\n/);
    expect(failure?.message).toContain('max_iteratons: is not a key here');
    expect(failure?.message).toContain('budget.trials: is -1, but must be above 0');
    expect(events.filter(({ eventType }) => /CHILD|ACTIVITY/.test(eventType))).toEqual([]);
  });

  it('names line and column of the file', async () => {
    const file = path.join(engine.folder, 'typo.yaml');
    writeFileSync(file, 'version: 1\nobjectve: {metric: x}\nbudget: {trials: 3}\n');
    await start('typo-2', file);
    await temporal('result', '-w', 'typo-2').catch(() => undefined);
    const message = (await history('typo-2')).at(-1)?.workflowExecutionFailedEventAttributes?.failure.message;
    expect(message).toMatch(/objectve.*typo\.yaml:2:1.*Did you mean "objective"/);
  });
});
