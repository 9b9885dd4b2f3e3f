import { describe, expect, it } from 'vitest';
import { DriverError } from '../../../src/systems/driver.ts';
import type { Seen } from '../../../src/systems/globus/answers.ts';
import { type CampaignFacts, newAttempt } from '../../../src/systems/globus/campaign-facts.ts';
import { newWatch, watchNotices } from '../../../src/systems/globus/campaign-watch.ts';
import type { GlobusClient } from '../../../src/systems/globus/client.ts';
import { checkHealth, unknownHealth } from '../../../src/systems/globus/endpoint-health.ts';
import { serializeJson } from '../../../src/systems/globus/serialize.ts';
import { type AttemptSight, judgeSight, localPath, takeInTasks } from '../../../src/systems/globus/watch-trials.ts';
import type { GlobusTask } from '../../../src/systems/globus/wire.ts';

const record = (trial: string) => ({
  version: 1,
  campaign: 'c',
  trial,
  attempt: 1,
  status: 'completed',
  exit_code: 0,
  signal: null,
  error: null,
  values: [1],
  metrics: {},
  curve: [],
  step: null,
  started_at: 1,
  ended_at: 2,
  run_seconds: 1,
  pilot: `one-${trial}.1`,
  host: 'n',
  slot: 0,
  resumed_from: null,
  has_checkpoint: false,
  directory: `trials/${trial}/attempt-1`,
  files: [],
});
const offer = (trial: string) => ({
  version: 1 as const,
  campaign: 'c',
  trial,
  attempt: 1,
  params: {},
  resume_from: null,
  target_step: null,
});
const [A, B] = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'];

function facts(tasks: Record<string, string[]>): CampaignFacts {
  const attempts = Object.fromEntries(Object.entries(tasks).map(([name, ids]) => [name, newAttempt(offer(name.replace(/\.1$/, '')), ids)]));
  return { attempts } as unknown as CampaignFacts;
}
const done = (id: string, trial: string): GlobusTask => ({
  task_id: id,
  status: 'success',
  result: serializeJson({ state: 'ended', name: `${trial}.1`, record: record(trial), files: {} }),
});
const states = (...tasks: GlobusTask[]) => new Map(tasks.map((task) => [task.task_id, task]));

describe('tasks of an ambiguous submission, shared by its attempts', () => {
  it('each answer names its own attempt, and the other one keeps the other task', () => {
    const known = facts({ 'trial-0001.1': [A, B], 'trial-0002.1': [A, B] });
    takeInTasks(known, states(done(A, 'trial-0002'), { task_id: B, status: 'running' }), new Map());
    expect(known.attempts['trial-0002.1']?.ended?.trial).toBe('trial-0002');
    expect(known.attempts['trial-0001.1']).toMatchObject({ tasks: [B] });
    expect(known.attempts['trial-0001.1']?.ended).toBeUndefined();
  });

  it('a failure without a name makes both suspect and ends neither', () => {
    const known = facts({ 'trial-0001.1': [A], 'trial-0002.1': [A] });
    const sights = new Map<string, AttemptSight>();
    takeInTasks(known, states({ task_id: A, status: 'failed', exception: 'parsl.errors.ManagerLost: x' }), sights);
    for (const name of ['trial-0001.1', 'trial-0002.1']) {
      expect(known.attempts[name]).toMatchObject({ tasks: [], failure: { class: 'node_failure', infrastructure: true } });
      expect(known.attempts[name]?.ended).toBeUndefined();
      expect(sights.get(name)?.isSuspect).toBe(true);
    }
  });

  it('a final failure without a name ends neither: it may be the end of a task of somebody else', () => {
    const known = facts({ 'trial-0001.1': [A, B], 'trial-0002.1': [A, B] });
    takeInTasks(
      known,
      states({ task_id: A, status: 'failed', exception: 'Traceback\nValueError: no' }, { task_id: B, status: 'running' }),
      new Map(),
    );
    for (const name of ['trial-0001.1', 'trial-0002.1']) expect(known.attempts[name]).toMatchObject({ tasks: [B] });
    for (const name of ['trial-0001.1', 'trial-0002.1']) expect(known.attempts[name]?.failure).toBeUndefined();
  });

  it.each<[string, GlobusTask | undefined]>([
    ['unknown to the service', undefined],
    ['a success without a result', { task_id: A, status: 'success' }],
    ['abandoned', { task_id: A, status: 'abandoned' }],
    ['a result that cannot be read', { task_id: A, status: 'success', result: '99\nx' }],
    ['an answer of another shape', { task_id: A, status: 'success', result: '11\n{"state": "ended"}' }],
  ])('%s is a question for the file system, never an end', (_, task) => {
    const known = facts({ 'trial-0001.1': [A] });
    const sights = new Map<string, AttemptSight>();
    takeInTasks(known, task ? states(task) : new Map(), sights);
    expect(known.attempts['trial-0001.1']?.ended).toBeUndefined();
    expect(sights.get('trial-0001.1')?.isSuspect).toBe(true);
  });

  it('a task is gone only when the service does not know it twice in a row', () => {
    const known = facts({ 'trial-0001.1': [A] });
    const sights = new Map<string, AttemptSight>();
    const look = (...tasks: GlobusTask[]) => {
      takeInTasks(known, states(...tasks), sights);
      return known.attempts['trial-0001.1']?.tasks;
    };
    expect(look()).toEqual([A]);
    expect(look({ task_id: A, status: 'received' })).toEqual([A]);
    expect(look()).toEqual([A]);
    expect(look()).toEqual([]);
  });

  it.each(['received', 'waiting-for-ep', 'waiting-for-nodes', 'waiting-for-launch', 'running', 'some-newer-state'])(
    '%s is pending and shown as it is',
    (status) => {
      const known = facts({ 'trial-0001.1': [A] });
      const sights = new Map<string, AttemptSight>();
      takeInTasks(known, states({ task_id: A, status }), sights);
      expect(sights.get('trial-0001.1')?.state).toBe(status);
      expect(known.attempts['trial-0001.1']?.tasks).toEqual([A]);
    },
  );
});

describe('what the file system says', () => {
  const beat = (value: number, state = 'running'): Seen => ({ state, beat: value, host: 'n', busy: [] });
  const attempt = (tasks: string[]) => newAttempt(offer('trial-0001'), tasks);
  const old = (value: number): AttemptSight => ({ state: 'running', beat: { value, at: performance.now() - 1_000_000 } });

  it.each<[string, string[], Seen, AttemptSight, boolean, string]>([
    ['a done record', [], { state: 'ended', record: record('trial-0001') } as unknown as Seen, { state: '' }, false, 'ended'],
    ['nothing, task pending', [A], { state: 'unseen' }, { state: '' }, false, 'wait'],
    ['nothing, task pending at a process that is gone', [A], { state: 'unseen' }, { state: '' }, true, 'submit'],
    ['nothing, no task', [], { state: 'unseen' }, { state: '' }, false, 'submit'],
    ['a first heartbeat', [], beat(1), { state: '' }, false, 'wait'],
    ['a new heartbeat', [], beat(2), old(1), true, 'wait'],
    ['the same heartbeat for long', [A], beat(2), old(2), false, 'submit'],
    ['an agent at its end without a record', [A], beat(9, 'ended'), { state: '' }, false, 'submit'],
  ])('%s: %s', (_, tasks, seen, view, restarted, verdict) => {
    expect(judgeSight(attempt(tasks), seen, view, 120, restarted)).toBe(verdict);
  });
});

describe('the endpoint’s health', () => {
  const client = (status: string, outstanding: number, processes: [string, number][]): GlobusClient =>
    ({
      endpointStatus: async () => ({ status, details: { outstanding_tasks: outstanding, pending_tasks: 0 } }),
      processes: async () => processes.map(([user_endpoint_id, start_time_unix]) => ({ user_endpoint_id, start_time_unix, active: true })),
    }) as unknown as GlobusClient;

  it('a process that is replaced is a restart, one more is not', async () => {
    const health = unknownHealth();
    await checkHealth(client('online', 3, [['p', 1]]), 'e', health, 3);
    expect(health.hasRestarted).toBe(false);
    await checkHealth(
      client('online', 3, [
        ['p', 1],
        ['q', 2],
      ]),
      'e',
      health,
      3,
    );
    expect(health.hasRestarted).toBe(false);
    await checkHealth(
      client('online', 3, [
        ['q', 2],
        ['r', 3],
      ]),
      'e',
      health,
      3,
    );
    expect(health.hasRestarted).toBe(true);
  });

  it('an online endpoint that holds nothing while tasks are pending is one after two looks, without a console', async () => {
    const health = unknownHealth();
    await checkHealth(client('online', 0, []), 'e', health, 3);
    expect(health.hasRestarted).toBe(false);
    await checkHealth(client('online', 0, []), 'e', health, 3);
    expect(health.hasRestarted).toBe(true);
  });

  it('an endpoint that the service does not know (any more) is told, and ends no look', async () => {
    const health = unknownHealth();
    const gone = new DriverError('refused', 'HF-GLOBUS-ENDPOINT-NOT-FOUND', 'Endpoint e could not be resolved.');
    const refusing = { endpointStatus: () => Promise.reject(gone), processes: async () => [] } as unknown as GlobusClient;
    await checkHealth(refusing, 'e', health, 3);
    expect(health).toMatchObject({ isOnline: false, hasRestarted: false, refusal: gone.message });
    expect(watchNotices(facts({}), { ...newWatch(), health })).toEqual([
      expect.stringContaining('could not be resolved. The trials wait.'),
    ]);
    await checkHealth(client('online', 3, [['p', 1]]), 'e', health, 3);
    expect([health.isOnline, health.refusal]).toEqual([true, undefined]);
  });

  it('offline is noticed and is no restart', async () => {
    const health = unknownHealth();
    await checkHealth(client('offline', 0, []), 'e', health, 3);
    await checkHealth(client('offline', 0, []), 'e', health, 3);
    expect([health.isOnline, health.hasRestarted]).toEqual([false, false]);
  });
});

describe('names of files that come from the endpoint', () => {
  it.each(['../../../etc/passwd', '../../../../x', '../../..'])('%s does not leave the launch folder', (path) => {
    expect(localPath('/launch', record('trial-0001') as never, `../${path}`)).toBeUndefined();
  });
});
