import { describe, expect, it } from 'vitest';
import type { PbsObject } from '../../../src/systems/pbs/attributes.ts';
import { judgeJob } from '../../../src/systems/pbs/judge-job.ts';
import { readQstatJson } from '../../../src/systems/pbs/qstat-json.ts';
import { golden } from './goldens.ts';

function firstJob(name: string, client: 'master' | '23.06.06'): PbsObject {
  const read = readQstatJson(golden(name, client).stdout);
  if (read.kind !== 'listing') throw new Error(read.why);
  const job = [...read.listing.objects.values()][0];
  if (!job) throw new Error(`no job in ${name}`);
  return job;
}

const ENDS = [
  ['state-F-exit0', 'normal', 0],
  ['state-F-stdin', 'normal', 0],
  ['state-F-exit3', 'failed', 3],
  ['state-F-exit255', 'failed', 255],
  ['state-F-kill9-self', 'failed', 137],
  ['state-F-segv-self', 'failed', 139],
  ['state-F-bad-interpreter', 'failed', 127],
  ['state-F-bad-S', 'failed', 254],
  ['state-F-walltime', 'walltime', -29],
  ['state-F-walltime-trapped', 'walltime', -29],
  ['state-F-walltime-ignored', 'walltime', -29],
  ['state-F-deleted-running', 'killed', 271],
  ['state-F-deleted-running-trapped', 'killed', 271],
  ['state-F-forced', 'killed', 265],
  ['state-F-deleted-queued', 'never_ran', null],
  ['state-F-deleted-held', 'never_ran', null],
  ['state-F-depend-failed', 'never_ran', null],
  ['state-F-depend-unknown', 'never_ran', null],
  ['state-F-second-run', 'normal', 0],
  ['state-F-routed', 'normal', 0],
  ['after-restart-ended', 'failed', 7],
  ['mom-back-job-end', 'normal', 0],
] as const;

const LIVE = [
  ['state-Q', 'queued'],
  ['state-H', 'queued'],
  ['state-H-depend', 'queued'],
  ['state-W', 'queued'],
  ['state-Q-in-route', 'queued'],
  ['state-Q-stopped-queue', 'queued'],
  ['state-R', 'running'],
  ['state-E', 'running'],
  ['state-S', 'running'],
  ['state-after-qdel', 'running'],
  ['state-R-second-run', 'running'],
  ['mom-down-job', 'running'],
] as const;

describe.each(['master', '23.06.06'] as const)('judgeJob on answers of client %s', (client) => {
  it.each(ENDS)('%s ended as %s', (name, kind, exitStatus) => {
    expect(judgeJob(firstJob(name, client).attributes)).toMatchObject({ state: 'ended', end: { kind, exitStatus } });
  });

  it.each(LIVE)('%s is %s', (name, state) => {
    expect(judgeJob(firstJob(name, client).attributes).state).toBe(state);
  });

  it('a requeued job with Exit_status −11 waits and has not ended', () => {
    expect(judgeJob(firstJob('state-Q-requeued', client).attributes)).toMatchObject({ state: 'queued' });
  });

  it('a job that PBS gave up starting is trouble to give up, though it never becomes F', () => {
    const seen = judgeJob(firstJob('state-H-too-many-failures', client).attributes);
    expect(seen).toMatchObject({ state: 'queued', trouble: { action: 'give_up' } });
  });

  it.each(['state-Q-never-runs', 'state-Q-can-never-run-large'])('%s will not start by itself', (name) => {
    expect(judgeJob(firstJob(name, client).attributes)).toMatchObject({ state: 'queued', trouble: { action: 'give_up' } });
  });
});

describe('judgeJob without proof', () => {
  const ended = () => new Map(firstJob('state-F-exit0', 'master').attributes);

  it.each(['substate', 'history_timestamp', 'stime', 'obittime', 'Exit_status'])('does not end a job whose answer lacks %s', (name) => {
    const attributes = ended();
    attributes.delete(name);
    expect(judgeJob(attributes).state).toBe('unclear');
  });

  it('does not end a job by a letter it does not know', () => {
    expect(judgeJob(ended().set('job_state', 'Z')).state).toBe('unclear');
  });

  it('waits when a file system of the site is down', () => {
    const waiting = new Map([
      ['job_state', 'Q'],
      ['substate', '10'],
      ['comment', 'Can Never Run: Insufficient amount of server resource: eagle_fs (True != False)'],
    ]);
    expect(judgeJob(waiting)).toMatchObject({ state: 'queued', trouble: { action: 'wait' } });
  });
});
