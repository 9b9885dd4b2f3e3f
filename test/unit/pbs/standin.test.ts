import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgeJob } from '../../../src/systems/pbs/judge-job.ts';
import { readQstatJson } from '../../../src/systems/pbs/qstat-json.ts';
import { readPbsText, readQstatText } from '../../../src/systems/pbs/qstat-text.ts';
import { readQueues } from '../../../src/systems/pbs/queues.ts';
import { PbsStandIn } from '../../support/pbs/standin.ts';
import { golden } from './goldens.ts';

let pbs: PbsStandIn;
beforeAll(async () => {
  pbs = await PbsStandIn.start();
});
afterAll(() => pbs.close());

const REQUEST = ['-A', 'hpo_proj', '-l', 'filesystems=home:flare', '-l', 'select=1:ncpus=1', '-l', 'walltime=00:05:00'];

function submit(args: readonly string[], script: string): string {
  const answer = pbs.command('qsub', [...REQUEST, ...args], script);
  if (answer.exit !== 0) throw new Error(answer.stderr);
  return answer.stdout.trim();
}

async function attributesAtState(id: string, state: string): Promise<ReadonlyMap<string, string>> {
  for (let tries = 0; tries < 400; tries += 1) {
    const text = pbs.command('qstat', ['-E', '-x', '-f', '-w', id]).stdout;
    const attributes = readQstatText(text).objects.get(id)?.attributes;
    if (attributes?.get('job_state') === state) return attributes;
    await sleep(25);
  }
  throw new Error(`${id} never reached ${state}`);
}

function goldenAttributes(name: string): ReadonlyMap<string, string> {
  const read = readQstatJson(golden(name).stdout);
  const job = read.kind === 'listing' ? [...read.listing.objects.values()][0] : undefined;
  if (!job) throw new Error(`${name} holds no job`);
  return job.attributes;
}

/** Attributes that decide, present or absent, and their order of the stand-in as in the recorded case. */
function expectShape(seen: ReadonlyMap<string, string>, name: string) {
  const recorded = goldenAttributes(name);
  for (const attribute of ['job_state', 'Exit_status', 'Hold_Types', 'Stageout_status', ...(name === 'state-R' ? [] : ['substate'])]) {
    expect(seen.get(attribute), `${name}: ${attribute}`).toBe(recorded.get(attribute));
  }
  for (const attribute of [
    'stime',
    'obittime',
    'history_timestamp',
    ...(name === 'state-H-too-many-failures' ? [] : ['exec_host']),
    'run_count',
    'comment',
    'Rerunable',
  ]) {
    expect(seen.has(attribute), `${name}: ${attribute}`).toBe(recorded.has(attribute));
  }
  expect(judgeJob(seen).state).toBe(judgeJob(recorded).state);
  const common = [...seen.keys()].filter((each) => recorded.has(each));
  const inRecordedOrder = [...recorded.keys()].filter((each) => seen.has(each));
  expect(common).toEqual(inRecordedOrder);
}

describe('the PBS stand-in against recorded answers', () => {
  it('jobs that run and end look like the recorded ones', async () => {
    expectShape(await attributesAtState(submit(['-N', 'r-1'], '#!/bin/sh\nsleep 30\n'), 'R'), 'state-R');
    expectShape(await attributesAtState(submit(['-N', 'f-0'], '#!/bin/sh\nexit 0\n'), 'F'), 'state-F-exit0');
    expectShape(await attributesAtState(submit(['-N', 'f-3'], '#!/bin/sh\nexit 3\n'), 'F'), 'state-F-exit3');
    expectShape(await attributesAtState(submit(['-N', 'f-9'], '#!/bin/sh\nkill -9 $$\n'), 'F'), 'state-F-kill9-self');
    expectShape(await attributesAtState(submit(['-N', 'f-127'], '#!/no/such\n'), 'F'), 'state-F-bad-interpreter');
    expectShape(
      await attributesAtState(submit(['-N', 'f-29', '-l', 'walltime=00:00:01'], '#!/bin/sh\nsleep 60\n'), 'F'),
      'state-F-walltime',
    );
  });

  it('deleted, held and requeued jobs look like the recorded ones', async () => {
    const running = submit(['-N', 'd-1'], '#!/bin/sh\nsleep 60\n');
    await attributesAtState(running, 'R');
    expect(pbs.command('qdel', [running])).toMatchObject({ exit: 0, stdout: '', stderr: '' });
    expectShape(await attributesAtState(running, 'F'), 'state-F-deleted-running');
    const held = submit(['-N', 'h-1', '-h'], '#!/bin/sh\n');
    expectShape(await attributesAtState(held, 'H'), 'state-H');
    pbs.command('qdel', [held]);
    expectShape(await attributesAtState(held, 'F'), 'state-F-deleted-held');
    const lost = submit(['-N', 'h-2', '-j', 'oe', '-o', '/no/such/folder/'], '#!/bin/sh\n');
    expectShape(await attributesAtState(lost, 'H'), 'state-H-too-many-failures');
    const again = submit(['-N', 'q-1'], '#!/bin/sh\nsleep 60\n');
    await attributesAtState(again, 'R');
    pbs.admin('scheduling', { on: false });
    pbs.admin('requeue', { id: again });
    const requeued = await attributesAtState(again, 'Q');
    expect(requeued.get('Exit_status')).toBe(goldenAttributes('state-Q-requeued').get('Exit_status'));
    expect(judgeJob(requeued).state).toBe('queued');
    pbs.admin('scheduling', { on: true });
    const second = await attributesAtState(again, 'R');
    expect(second.get('run_count')).toBe('2');
  });

  const refusals = [
    ['qsub-unknown-queue', ['-q', 'nosuchq']],
    ['qsub-route-only', ['-q', 'small']],
    ['qsub-nodes-over-limit', ['-q', 'debug', '-l', 'select=3']],
    ['qsub-walltime-over-limit', ['-q', 'debug', '-l', 'walltime=02:00:00']],
    ['qsub-walltime-under-min', ['-q', 'debug-scaling', '-l', 'walltime=00:01:00']],
    ['qsub-bad-account', ['-A', 'nobody']],
    ['qsub-bad-k', ['-k', 'oe']],
    ['qsub-bad-walltime', ['-l', 'walltime=abc']],
    ['qsub-unknown-resource', ['-l', 'nosuchres=1']],
    ['qsub-name-blank', ['-N', 'a b']],
    ['qsub-missing-script', ['nosuchscript.sh']],
  ] as const;
  it.each(refusals)('%s is refused with the recorded status and words', (name, args) => {
    const seen = pbs.command('qsub', ['-A', 'hpo_proj', '-l', 'filesystems=home:flare', ...args], '#!/bin/sh\n');
    expect(seen.exit).toBe(golden(name).exit);
    expect(seen.stderr.split('\n')[0]).toBe(golden(name).stderr.split('\n')[0]);
    expect(seen.stdout).toBe('');
  });

  it('limits, unknown ids and a job dropped by routing answer as recorded', () => {
    const limited = (name: string) => pbs.command('qsub', [...REQUEST, '-q', 'debug-scaling', '-h', '-N', name], '#!/bin/sh\n');
    expect(limited('lim1').exit).toBe(0);
    const over = limited('lim2');
    expect([over.exit, over.stderr]).toEqual([golden('qsub-max-queued-user').exit, golden('qsub-max-queued-user').stderr]);
    const unknown = pbs.command('qstat', ['-E', '-x', '-f', '-w', '999999']);
    expect([unknown.exit, unknown.stderr]).toEqual([golden('query-E-one-unknown').exit, golden('query-E-one-unknown').stderr]);
    const routed = submit(['-q', 'prod', '-l', 'select=20'], '#!/bin/sh\n');
    expect(pbs.command('qstat', ['-x', '-f', routed]).exit).toBe(golden('query-route-rejected').exit);
    expect(pbs.command('qselect', ['-x', '-N', 'no-such-name'])).toMatchObject({ exit: 0, stdout: '', stderr: '' });
    expect(pbs.command('qdel', ['999999'])).toMatchObject({ exit: golden('qdel-unknown').exit, stderr: golden('qdel-unknown').stderr });
    expect(pbs.command('qdel', ['not-a-job'])).toMatchObject({ exit: 1, stderr: golden('qdel-malformed').stderr });
  });

  it('queues and nodes read like recorded ones', () => {
    const queues = readQueues(readPbsText(pbs.command('qstat', ['-Q', '-f']).stdout, 'queue'));
    expect(queues.find((queue) => queue.name === 'capacity')).toEqual({
      name: 'capacity',
      isRouting: false,
      isEnabled: true,
      isStarted: true,
      fromRouteOnly: false,
      maxNodes: 16,
      maxWalltimeSeconds: 604_800,
      maxQueuedPerUser: 5,
      maxRunningPerUser: 2,
    });
    expect(readPbsText(pbs.command('pbsnodes', ['-a']).stdout, 'node')).toMatchObject({ isComplete: true });
  });

  it('a server that is down answers as recorded, for every command', async () => {
    await pbs.stopServer();
    for (const [command, name] of [
      ['qsub', 'server-down-qsub'],
      ['qstat', 'server-down-qstat'],
      ['qdel', 'server-down-qdel'],
      ['qselect', 'server-down-qselect'],
      ['pbsnodes', 'server-down-pbsnodes'],
    ] as const) {
      const seen = pbs.command(command, command === 'qdel' ? ['1'] : []);
      expect([command, seen.exit, seen.stderr.split('\n')[0]]).toEqual([command, golden(name).exit, 'Connection refused']);
    }
    await pbs.startServer();
  });
});
