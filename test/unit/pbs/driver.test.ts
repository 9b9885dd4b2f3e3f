import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recover } from '../../../src/cli/recover.ts';
import type { DoneRecord } from '../../../src/domain/spool.ts';
import type { LookResult, PilotSeen } from '../../../src/systems/driver.ts';
import { createPbsDriver, type PbsDriver } from '../../../src/systems/pbs/driver.ts';
import { offer, planOf, QUICK, standInProfile, standInShell } from '../../support/pbs/campaign.ts';
import { PbsStandIn, type StandInSettings } from '../../support/pbs/standin.ts';

let pbs: PbsStandIn;
let driver: PbsDriver;
const never = new AbortController().signal;

async function begin(settings: StandInSettings = {}) {
  pbs = await PbsStandIn.start(settings);
  driver = newDriver();
}

/** A driver without memory, as after a restart of the worker. */
function newDriver() {
  return createPbsDriver({
    name: 'standin',
    profile: standInProfile(),
    shell: standInShell(pbs),
    timing: QUICK,
    lostRule: { looks: 2, seconds: 1, settleSeconds: 1, arrivalSeconds: 2 },
    closeSeconds: 30,
  });
}

afterEach(() => pbs.close());

interface Watched {
  readonly ended: Map<string, DoneRecord>;
  readonly pilots: Map<string, PilotSeen>;
  cursor?: string;
}

/** Looks as the workflow does, acknowledging what it has seen, until `isEnough`. */
async function watch(
  isEnough: (watched: Watched) => boolean,
  pilots: readonly string[],
  watched: Watched = { ended: new Map(), pilots: new Map() },
) {
  let acks: { campaign: string; trial: string; attempt: number }[] = [];
  for (let looks = 0; looks < 400; looks += 1) {
    const seen: LookResult | undefined = await driver.look(
      {
        acks,
        pilots: pilots.map((pilot) => ({ pilot, campaign: 'camp-1' })),
        waitSeconds: 0,
        ...(watched.cursor === undefined ? {} : { cursor: watched.cursor }),
      },
      never,
    );
    if (seen) {
      watched.cursor = seen.cursor;
      for (const record of seen.ended) watched.ended.set(`${record.trial}.${record.attempt}`, record);
      for (const pilot of seen.pilots) watched.pilots.set(pilot.pilot, pilot);
      acks = seen.ended.map(({ campaign, trial, attempt }) => ({ campaign, trial, attempt }));
    }
    if (isEnough(watched)) return watched;
    await sleep(50);
  }
  throw new Error(`watched in vain: ${JSON.stringify([...watched.pilots.values()])} ${[...watched.ended.keys()]}`);
}

const starts = () => (existsSync(join(pbs.home, 'starts')) ? readFileSync(join(pbs.home, 'starts'), 'utf8').trim().split('\n') : []);

describe('a campaign on PBS', () => {
  beforeEach(() => begin());

  it('runs offered trials in one pilot, brings results and files back, and leaves nothing running', async () => {
    const plan = planOf(pbs);
    const prepared = await driver.prepareLaunch(plan, () => undefined);
    expect(prepared.capacity).toEqual({ slotsPerPilot: 2, maxPilots: 4, prefetch: 1, nodesPerPilot: 1, nodeHoursPerPilot: 1 / 6 });
    const orders = [1, 2, 3, 4, 5].map((number) => ({
      kind: 'offer' as const,
      campaign: 'camp-1',
      offer: offer('camp-1', number, number / 10),
    }));
    expect((await driver.send(orders)).answers).toEqual(orders.map(() => 'offered'));
    expect((await driver.send(orders)).answers).toEqual(orders.map(() => 'offered'));
    const start = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    expect(start).toMatchObject({ kind: 'started' });
    expect(await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' })).toEqual(start);
    const { ended } = await watch(({ ended }) => ended.size === 5, ['camp-1.p1']);
    expect([...ended.values()].map((record) => record.values)).toEqual([[0.1], [0.2], [0.3], [0.4], [0.5]]);
    for (const record of ended.values()) await driver.collect('camp-1', record, prepared.localDirectory);
    const results = join(prepared.localDirectory, ended.get('trial-0003.1')?.directory ?? '', 'results.json');
    expect(JSON.parse(readFileSync(results, 'utf8'))).toEqual({ loss: 0.3 });
    const output = new PassThrough();
    const io = { env: pbs.env, input: new PassThrough(), output, errors: new PassThrough(), interrupted: never };
    expect(await recover({ from: `local:${prepared.directory}`, out: join(pbs.directory, 'recovered') }, io)).toBe('ok');
    expect(String(output.read())).toContain('5 trials of camp-1, 5 completed');
    const table = readFileSync(join(pbs.directory, 'recovered', 'trials.csv'), 'utf8')
      .trim()
      .split('\n');
    expect(table).toHaveLength(6);
    expect(table.join('\n')).toContain('0.3');
    await driver.closeLaunch('camp-1');
    await driver.closeLaunch('camp-1');
    expect(pbs.jobs().map((job) => job.state)).toEqual(['F']);
    expect(starts()).toHaveLength(5);
    expect(pbs.events().filter((event) => event.event === 'submit')).toHaveLength(1);
  });

  it('brings both outputs of a training back as they are there, and leaves what is too large on the system', async () => {
    const small = createPbsDriver({
      name: 'standin',
      profile: standInProfile(),
      shell: standInShell(pbs),
      timing: QUICK,
      maxFileBytes: 100_000,
    });
    const command = [
      'sh',
      '-c',
      'echo out; echo err >&2; head -c 200000 /dev/zero >"$HOLDFAST_OUT/large.bin"; printf \'{"loss": 1}\' >"$HOLDFAST_OUT/results.json"',
    ];
    const prepared = await driver.prepareLaunch(planOf(pbs, { command }), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const { ended } = await watch(({ ended }) => ended.size === 1, ['camp-1.p1']);
    const record = ended.get('trial-0001.1') as DoneRecord;
    await small.collect('camp-1', record, prepared.localDirectory);
    const here = (name: string) => join(prepared.localDirectory, record.directory, name);
    expect([readFileSync(here('stdout.log'), 'utf8'), readFileSync(here('stderr.log'), 'utf8')]).toEqual(['out\n', 'err\n']);
    expect(existsSync(here('results.json'))).toBe(true);
    expect(existsSync(here('large.bin'))).toBe(false);
    expect(record.files.find(({ path }) => path === 'large.bin')).toMatchObject({
      size: 200_000,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('a file that vanished or changed there since its end, or whose name leads elsewhere, is left out and holds nobody up', async () => {
    const command = [
      'sh',
      '-c',
      'for name in gone changed kept; do echo "$name" >"$HOLDFAST_OUT/$name.txt"; done; printf \'{"loss": 1}\' >"$HOLDFAST_OUT/results.json"',
    ];
    const prepared = await driver.prepareLaunch(planOf(pbs, { command }), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const { ended } = await watch(({ ended }) => ended.size === 1, ['camp-1.p1']);
    const record = ended.get('trial-0001.1') as DoneRecord;
    const there = (name: string) => join(prepared.directory, record.directory, name);
    rmSync(there('gone.txt'));
    writeFileSync(there('changed.txt'), 'by somebody else');
    // What came along with the look is forgotten.
    driver = newDriver();
    const strange = { path: '../../../../launch.json', size: 10, sha256: '' };
    await driver.collect('camp-1', { ...record, files: [strange, ...record.files] }, prepared.localDirectory);
    const here = join(prepared.localDirectory, record.directory);
    expect(readdirSync(here).filter((name) => name.endsWith('.txt'))).toEqual(['kept.txt']);
    expect(JSON.parse(readFileSync(join(here, 'done.json'), 'utf8'))).toMatchObject({ trial: 'trial-0001', status: 'completed' });
  });

  it('done records and heartbeats that are JSON and else anything are ends of their attempts, and hold up no look', async () => {
    const prepared = await driver.prepareLaunch(planOf(pbs), () => undefined);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    const good = (await watch(({ ended }) => ended.size === 1, ['camp-1.p1'])).ended.get('trial-0001.1') as DoneRecord;
    const damages: readonly object[] = [
      { attempt: '1' },
      { files: ['stdout.log'] },
      { files: [{ path: 'x', size: null }] },
      { files: undefined },
      { error: 'words' },
      { error: { class: 'no such class', message: '' } },
      { values: ['0.5'] },
      { metrics: null },
      { campaign: 'another' },
      { directory: undefined },
      { status: 'fine' },
    ];
    const names = damages.map((_, index) => `trial-01${String(index).padStart(2, '0')}`);
    for (const [index, damage] of damages.entries()) {
      const record = { ...good, trial: names[index], ...damage };
      writeFileSync(join(prepared.directory, 'spool', 'done', `${names[index]}.1.json`), JSON.stringify(record));
    }
    mkdirSync(join(prepared.directory, 'pilots', 'camp-1.p1'), { recursive: true });
    writeFileSync(join(prepared.directory, 'pilots', 'camp-1.p1', 'heartbeat-other.json'), '{"beat": 1, "state": "running", "busy": 3}');
    driver = newDriver();
    const { ended } = await watch(({ ended }) => ended.size > damages.length, ['camp-1.p1']);
    for (const name of names) {
      const record = ended.get(`${name}.1`) as DoneRecord;
      expect([record.campaign, record.status, record.error?.class]).toEqual(['camp-1', 'failed', 'bad_result']);
      await driver.collect('camp-1', record, prepared.localDirectory);
    }
  });

  it('starts one agent on each node of a pilot and each slot has its own environment', async () => {
    const plan = planOf(pbs, {
      settings: { nodes: 2 },
      command: ['sh', '-c', 'sleep 1; printf \'{"loss": 1}\' >"$HOLDFAST_OUT/results.json"; echo "slot=$HOLDFAST_TEST_SLOT"'],
    });
    const prepared = await driver.prepareLaunch(plan, () => undefined);
    await driver.send([1, 2, 3, 4].map((number) => ({ kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', number, 0.5) })));
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const { ended, pilots } = await watch(({ ended }) => ended.size === 4, ['camp-1.p1']);
    expect(pilots.get('camp-1.p1')?.slots).toBe(4);
    const logs = [...ended.values()].map((record) => readFileSync(join(prepared.directory, record.directory, 'stdout.log'), 'utf8').trim());
    expect(logs.sort()).toEqual(['slot=0', 'slot=0', 'slot=1', 'slot=1']);
  });

  it('withdraws what has not started and stops what runs', async () => {
    await driver.prepareLaunch(planOf(pbs, { command: ['sh', '{code}/train.sh', '60', '{x}'] }), () => undefined);
    await driver.send([1, 2, 3].map((number) => ({ kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', number, 0.5) })));
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    while (starts().length < 2) await sleep(50);
    const stop = (trial: number) => ({
      kind: 'stop' as const,
      campaign: 'camp-1',
      trial: offer('c', trial, 0).trial,
      attempt: 1,
      reason: 'a better point',
    });
    expect((await driver.send([stop(1), stop(3), stop(9)])).answers).toEqual(['stopping', 'withdrawn', 'unknown']);
    expect((await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 3, 0.5) }])).answers).toEqual(['withdrawn']);
    const { ended } = await watch(({ ended }) => ended.size === 1, ['camp-1.p1']);
    expect(ended.get('trial-0001.1')?.status).toBe('stopped');
    await driver.closeLaunch('camp-1');
    expect(starts()).not.toContain('camp-1/trial-0003.1');
  });

  it('a pilot that reaches its walltime gives its trials back free of charge', async () => {
    await driver.prepareLaunch(
      planOf(pbs, { command: ['sh', '{code}/train.sh', '60', '{x}'], settings: { walltime: 20 } }),
      () => undefined,
    );
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const { ended, pilots } = await watch(
      ({ ended, pilots }) => ended.size === 1 && pilots.get('camp-1.p1')?.state === 'ended',
      ['camp-1.p1'],
    );
    expect(ended.get('trial-0001.1')).toMatchObject({ status: 'returned', error: { class: 'walltime' } });
    expect(pilots.get('camp-1.p1')?.end?.kind).toMatch(/normal|walltime/);
  });

  it('tells of a job that a person deleted, and of what its agent left behind', async () => {
    // PBS's own time between its two signals; the stand-in's two seconds are short for an agent on a busy machine.
    await pbs.close();
    await begin({ kill_delay: 10 });
    await driver.prepareLaunch(planOf(pbs, { command: ['sh', '{code}/train.sh', '60', '{x}'] }), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    const start = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    while (starts().length < 1) await sleep(50);
    pbs.command('qdel', [start.kind === 'started' ? start.nativeId : '']);
    const { ended, pilots } = await watch(
      ({ ended, pilots }) => ended.size === 1 && pilots.get('camp-1.p1')?.state === 'ended',
      ['camp-1.p1'],
    );
    expect(ended.get('trial-0001.1')).toMatchObject({ status: 'returned' });
    expect(pilots.get('camp-1.p1')?.end).toMatchObject({ kind: 'killed' });
    expect(pilots.get('camp-1.p1')?.end?.message).toContain('by hand');
  });

  it('a killed node leaves a trial that is settled without another pilot', async () => {
    await driver.prepareLaunch(planOf(pbs, { command: ['sh', '{code}/train.sh', '60', '{x}'] }), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    const start = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    while (starts().length < 1) await sleep(50);
    pbs.admin('kill', { id: start.kind === 'started' ? start.nativeId : '' });
    const { ended } = await watch(({ ended, pilots }) => ended.size === 1 && pilots.get('camp-1.p1')?.state === 'ended', ['camp-1.p1']);
    expect(ended.get('trial-0001.1')).toMatchObject({ status: 'failed', error: { class: expect.stringMatching(/lost|node_failure/) } });
  });

  it('a node that lost trials of two pilots is told and left idle by a pilot that has another, and works where it is alone', async () => {
    const plan = planOf(pbs, { settings: { nodes: 2 }, command: ['sh', '{code}/train.sh', '1', '{x}'] });
    const { directory } = await driver.prepareLaunch(plan, () => undefined);
    /** What a settled attempt of a dead node leaves: its start there, and a record that another node wrote. */
    const fail = async (trial: string, pilot: string, node: string) => {
      const folder = join(directory, 'trials', trial, 'attempt-1');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'started'), JSON.stringify({ host: `${node}.cm.aurora.test`, agent: `${pilot}@${node}` }));
      const record = {
        trial,
        attempt: 1,
        campaign: 'camp-1',
        status: 'failed',
        error: { class: 'node_failure', message: 'died' },
        files: [],
      };
      writeFileSync(
        join(directory, 'spool', 'done', `${trial}.1.json`),
        JSON.stringify({ ...record, host: 'login-1', directory: `trials/${trial}/attempt-1` }),
      );
      return driver.look({ acks: [{ campaign: 'camp-1', trial, attempt: 1 }], pilots: [], waitSeconds: 0 }, never);
    };
    // Twelve trials of one pilot are one failure of their node.
    for (const trial of ['trial-0101', 'trial-0102']) expect((await fail(trial, 'camp-1.p7', 'node-0001'))?.notices ?? []).toEqual([]);
    expect((await fail('trial-0103', 'camp-1.p8', 'node-0001'))?.notices.join()).toContain('two pilots were lost on node-0001;');
    const agents = (number: number) =>
      readdirSync(join(directory, 'pilots', `camp-1.p${number}`)).filter((name) => /^agent.*\.json$/.test(name));
    const run = async (pilot: number, trial: number) => {
      await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', trial, 0.5) }]);
      await driver.startPilot({ pilot: `camp-1.p${pilot}`, campaign: 'camp-1' });
      await watch(({ ended }) => ended.has(`trial-000${trial}.1`), [`camp-1.p${pilot}`]);
      await driver.send([{ kind: 'stopPilot', pilot: `camp-1.p${pilot}`, reason: 'enough' }]);
      await watch(({ pilots }) => pilots.get(`camp-1.p${pilot}`)?.state === 'ended', [`camp-1.p${pilot}`]);
    };
    await run(1, 1);
    expect(agents(1)).toEqual(['agent-node-0002.json']);
    for (const pilot of ['camp-1.p7', 'camp-1.p8']) await fail(`trial-02${pilot.at(-1)}1`, pilot, 'node-0002');
    await run(2, 2);
    expect(agents(2).sort()).toEqual(['agent-node-0001.json', 'agent-node-0002.json']);
  });

  it('a requeued job starts again under the same id and runs on', async () => {
    await driver.prepareLaunch(planOf(pbs, { command: ['sh', '{code}/train.sh', '1', '{x}'] }), () => undefined);
    const start = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const id = start.kind === 'started' ? start.nativeId : '';
    await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'running', ['camp-1.p1']);
    pbs.admin('requeue', { id });
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    const { ended } = await watch(({ ended }) => ended.size === 1, ['camp-1.p1']);
    expect(ended.get('trial-0001.1')?.status).toBe('completed');
  });

  it('one job per trial where the campaign asks for it', async () => {
    const prepared = await driver.prepareLaunch(planOf(pbs, { settings: { mode: 'job' } }), () => undefined);
    expect(prepared.capacity).toMatchObject({ slotsPerPilot: 1 });
    await driver.send([1, 2].map((number) => ({ kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', number, 0.5) })));
    for (const pilot of ['camp-1.p1', 'camp-1.p2']) await driver.startPilot({ pilot, campaign: 'camp-1' });
    const { ended, pilots } = await watch(
      ({ ended, pilots }) => ended.size === 2 && [...pilots.values()].filter((pilot) => pilot.state === 'ended').length === 2,
      ['camp-1.p1', 'camp-1.p2'],
    );
    expect(new Set([...ended.values()].map((record) => record.pilot))).toEqual(new Set(['camp-1.p1', 'camp-1.p2']));
    expect([...pilots.values()].map((pilot) => pilot.end?.kind)).toEqual(['normal', 'normal']);
  });
});

describe('what a site does', () => {
  it('a limit of jobs is a wait, a wrong account a refusal with the site’s words, and neither leaves a job', async () => {
    await begin();
    await driver.prepareLaunch(planOf(pbs, { settings: { queue: 'debug-scaling' } }), () => undefined);
    pbs.command('qsub', ['-A', 'hpo_proj', '-l', 'filesystems=home', '-q', 'debug-scaling', '-h'], '#!/bin/sh\n');
    expect(await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' })).toMatchObject({
      kind: 'wait',
      retrySeconds: 300,
      message: expect.stringContaining('per-user limit'),
    });
    await driver.prepareLaunch(planOf(pbs, { campaign: 'camp-2', settings: { account: 'nobody' } }), () => undefined);
    expect(await driver.startPilot({ pilot: 'camp-2.p1', campaign: 'camp-2' })).toMatchObject({
      kind: 'refused',
      failure: { evidence: 'qsub: No active allocation found for project nobody and resource aurora' },
    });
    expect(pbs.events().filter((event) => event.event === 'submit')).toHaveLength(1);
  });

  it.each([
    ['a user', { max_queued: 1 }, undefined, /per-user limit\. 1 job holds the place: \d+\.\S+ \(by-hand, H, (.+)\)\. /],
    ['a project', { max_queued_project: 1 }, 'ann', /for project hpo_proj .*\. 1 job holds the place: \d+\.\S+ \(by-hand, H, (.+)\)\. /],
  ])('a limit of jobs of %s that is reached says who holds the places', async (_whose, limit, other, words) => {
    await begin({ queues: { debug: { max_nodes: 2, ...limit } } });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    const user = other ?? pbs.user;
    pbs.command('qsub', ['-A', 'hpo_proj', '-l', 'filesystems=home', '-N', 'by-hand', '-h'], '#!/bin/sh\n', user);
    const refused = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    expect(refused).toMatchObject({ kind: 'wait', message: expect.stringMatching(words) });
    expect(words.exec(refused.kind === 'wait' ? refused.message : '')?.[1]).toBe(user);
    for (const { id } of pbs.jobs()) pbs.command('qdel', [id], '', user);
    expect(await driver.startPilot({ pilot: 'camp-1.p2', campaign: 'camp-1' })).toMatchObject({ kind: 'started' });
  });

  it('a pilot that is cancelled while its qsub hangs leaves no job, though the job comes late', async () => {
    await begin({ start_delay: 3600 });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    pbs.plan([{ command: 'qsub', fault: 'delay', seconds: 1.2 }]);
    const starting = driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    while (!pbs.commands().some(({ command }) => command === 'qsub')) await sleep(20);
    expect((await newDriver().send([{ kind: 'stopPilot', pilot: 'camp-1.p1', reason: 'not needed' }])).answers).toEqual(['stopping']);
    await starting;
    const { pilots } = await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'ended', ['camp-1.p1']);
    expect(pilots.get('camp-1.p1')?.end).toEqual({ kind: 'normal', message: 'Deleted on request: not needed' });
    expect(pbs.jobs().map(({ state }) => state)).toEqual(['F']);
    expect(starts()).toEqual([]);
  });

  it('a job in a queue that was stopped waits with PBS’s words, is not submitted again, and runs when the queue is started', async () => {
    await begin({ queues: { debug: { max_nodes: 2, started: false } } });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.5) }]);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const waiting = await watch(({ pilots }) => pilots.get('camp-1.p1')?.comment !== undefined, ['camp-1.p1']);
    expect(waiting.pilots.get('camp-1.p1')).toMatchObject({ state: 'queued', comment: 'Not Running: Queue not started.' });
    pbs.admin('set', { 'queues/debug/started': true });
    const { ended } = await watch(({ ended }) => ended.size === 1, ['camp-1.p1']);
    expect(ended.get('trial-0001.1')?.status).toBe('completed');
    expect(pbs.events().filter((event) => event.event === 'submit')).toHaveLength(1);
  });

  it('a closed queue and a server that is down are waits', async () => {
    await begin({ queues: { debug: { max_nodes: 2, enabled: false } } });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    expect(await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' })).toMatchObject({ kind: 'wait' });
    await pbs.stopServer();
    expect(await driver.startPilot({ pilot: 'camp-1.p2', campaign: 'camp-1' })).toMatchObject({ kind: 'wait' });
  });

  it('a job that routing drops without a trace never ran, and is no success', async () => {
    await begin({
      queues: {
        debug: { max_nodes: 2 },
        prod: { route: ['small'] },
        small: { from_route_only: true, max_nodes: 1, max_walltime: '00:01:00' },
      },
    });
    await driver.prepareLaunch(planOf(pbs, { settings: { queue: 'prod' } }), () => undefined);
    expect(await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' })).toMatchObject({ kind: 'started' });
    const { pilots } = await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'ended', ['camp-1.p1']);
    expect(pilots.get('camp-1.p1')?.end).toMatchObject({ kind: 'never_ran', message: expect.stringContaining('dropped') });
  });

  it('a job that can never run is given up and deleted', async () => {
    await begin({ nodes: ['node-0001'], queues: { debug: { max_nodes: 2 } } });
    await driver.prepareLaunch(planOf(pbs, { settings: { nodes: 2 } }), () => undefined);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const { pilots } = await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'ended', ['camp-1.p1']);
    expect(pilots.get('camp-1.p1')?.end).toMatchObject({ kind: 'never_ran', message: expect.stringContaining('Can Never Run') });
  });

  it('a silent scheduler ends nothing, slows the looks down and is told once', async () => {
    await begin();
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const watched = await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'running', ['camp-1.p1']);
    await pbs.stopServer();
    const { lookIntervalSeconds } = await driver.describe();
    const request = { acks: [], pilots: [{ pilot: 'camp-1.p1', campaign: 'camp-1' }], waitSeconds: 0 };
    const first = await driver.look({ ...request, cursor: watched.cursor as string }, never);
    expect(first?.pilots[0]).toMatchObject({ state: 'running' });
    expect(first?.notices[0]).toContain('does not answer');
    expect(await driver.look({ ...request, cursor: first?.cursor as string }, never)).toBeUndefined();
    expect((await driver.describe()).lookIntervalSeconds).toBeGreaterThan(lookIntervalSeconds * 2);
  });

  it('a stopped pilot that still waits is deleted, and that is a normal end', async () => {
    await begin({ start_delay: 3600 });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    expect((await driver.send([{ kind: 'stopPilot', pilot: 'camp-1.p1', reason: 'not needed' }])).answers).toEqual(['stopping']);
    const { pilots } = await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'ended', ['camp-1.p1']);
    expect(pilots.get('camp-1.p1')?.end).toEqual({ kind: 'normal', message: 'Deleted on request: not needed' });
  });

  it.each([
    ['qhold', 'hold', {}, 'held by hand'],
    ['qmove', 'move', { queue: 'debug-scaling' }, 'moved by hand to queue debug-scaling'],
    ['qalter', 'alter', { walltime: '00:07:00' }, 'walltime was changed by hand to 00:07:00'],
  ])('a job that was changed by hand with %s is told, and left as it is', async (_command, order, values, words) => {
    await begin({ start_delay: 3600 });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    const start = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const quiet = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, never);
    expect(quiet?.notices).toEqual([]);
    pbs.admin(order, { id: start.kind === 'started' ? start.nativeId : '', ...values });
    const seen = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, never);
    expect(seen?.notices.join()).toContain(words);
    expect(pbs.events().filter((event) => event.event === 'delete')).toEqual([]);
  });

  it('a pilot that the file system does not let be read is not ended for that, and goes on to be watched', async () => {
    await begin();
    const { directory } = await driver.prepareLaunch(planOf(pbs, { command: ['sh', '{code}/train.sh', '600', '{x}'] }), () => undefined);
    await driver.send([{ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', 1, 0.1) }]);
    const started = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    if (started.kind !== 'started') throw new Error(started.kind);
    await watch(({ pilots }) => pilots.get('camp-1.p1')?.state === 'running', ['camp-1.p1']);
    const file = join(directory, 'pilots', 'camp-1.p1', 'pbs', 'pilot.json');
    renameSync(file, `${file}.kept`);
    mkdirSync(file);
    const pilots = [{ campaign: 'camp-1', pilot: 'camp-1.p1', nativeId: started.nativeId }];
    // More often than it takes a pilot whose folder was removed.
    for (let looks = 0; looks < 4; looks += 1) {
      const seen = await driver.look({ acks: [], pilots, waitSeconds: 0 }, never);
      expect(seen?.pilots).toEqual([]);
      expect(seen?.notices.join('\n')).toContain('does not let it be read');
    }
    rmdirSync(file);
    renameSync(`${file}.kept`, file);
    const seen = await driver.look({ acks: [], pilots, waitSeconds: 0 }, never);
    expect(seen?.pilots.map(({ state, nativeId }) => [state, nativeId])).toEqual([['running', started.nativeId]]);
    await driver.closeLaunch('camp-1');
  });

  it('a launch folder that was removed by hand is told at once, its job is deleted, its trials are lost and the campaign goes on', async () => {
    await begin();
    const plan = planOf(pbs, { command: ['sh', '{code}/train.sh', '120', '{x}'] });
    const prepared = await driver.prepareLaunch(plan, () => undefined);
    await driver.send([1, 2].map((number) => ({ kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', number, 0.5) })));
    const start = await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const nativeId = start.kind === 'started' ? start.nativeId : '';
    while (starts().length < 2) await sleep(50);
    pbs.admin('scheduling', { on: false });
    rmSync(prepared.directory, { recursive: true });
    const request = { acks: [], pilots: [{ pilot: 'camp-1.p1', campaign: 'camp-1', nativeId }], waitSeconds: 0 };
    expect(await driver.lost?.(['camp-1'])).toEqual([]);
    expect((await driver.look(request, never))?.notices.join()).toContain('was removed by hand');
    expect(await driver.startPilot({ pilot: 'camp-1.p2', campaign: 'camp-1' })).toMatchObject({ kind: 'wait' });
    const again = { kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', 3, 0.5) };
    await expect(driver.send([again])).rejects.toMatchObject({ class: 'transport', code: 'HF-PBS-GONE-FOLDER' });
    while ((await driver.lost?.(['camp-1']))?.length === 0) {
      await driver.look(request, never);
      await sleep(100);
    }
    const { campaign, launch, spec } = plan;
    const provenance = { ...prepared.provenance };
    const { directory, localDirectory } = prepared;
    const memory = { campaign, launch, spec, directory, localDirectory, provenance, attempts: ['trial-0001.1', 'trial-0002.1'] };
    await expect(driver.rebuild?.({ ...memory, provenance: { ...provenance, bundle: 'other' } })).rejects.toMatchObject({
      class: 'refused',
    });
    await driver.rebuild?.(memory);
    await driver.recalled?.('camp-1');
    const seen: LookResult[] = [];
    const isOver = () =>
      seen.some((look) => look.pilots.some(({ state }) => state === 'ended')) && seen.some((look) => look.ended.length === 2);
    for (let looks = 0; looks < 50 && !isOver(); looks += 1) {
      const look = await driver.look(request, never);
      if (look) seen.push(look);
    }
    expect(seen.flatMap(({ pilots }) => pilots).find(({ state }) => state === 'ended')?.end).toMatchObject({
      kind: 'killed',
      message: expect.stringContaining('removed by hand'),
    });
    // An agent that outlives its folder for a moment may still say that it gives its trial back.
    for (const { error } of seen.flatMap(({ ended }) => ended)) expect(['lost', 'returned']).toContain(error?.class);
    expect(await driver.lost?.(['camp-1'])).toEqual([]);
    while (pbs.jobs().some(({ state }) => state !== 'F')) await sleep(50);
    expect(pbs.jobs()).toMatchObject([{ id: nativeId, exit: 271 }]);
    pbs.admin('scheduling', { on: true });
    expect((await driver.send([{ ...again, offer: offer('camp-1', 1, 0.5, 2) }])).answers).toEqual(['offered']);
    expect(await driver.startPilot({ pilot: 'camp-1.p2', campaign: 'camp-1' })).toMatchObject({ kind: 'started' });
    while (starts().length < 3) await sleep(50);
    expect(starts().at(-1)).toBe('camp-1/trial-0001.2');
    await driver.closeLaunch('camp-1');
  });

  it('a second job of a pilot, of which nothing is on record, is deleted when the campaign closes', async () => {
    await begin({ start_delay: 3600 });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    pbs.plan([{ command: 'qsub', fault: 'die_after' }]);
    expect(await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' })).toMatchObject({ kind: 'unknown' });
    await sleep(QUICK.settleSeconds * 1000 + 500);
    // The look-up by name finds the first job, but its answer is emptied.
    pbs.plan([{ command: 'qselect', fault: 'drop' }]);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    expect(pbs.jobs().map(({ state }) => state)).toEqual(['Q', 'Q']);
    await driver.closeLaunch('camp-1');
    expect(pbs.jobs().map(({ state }) => state)).toEqual(['F', 'F']);
  });

  it('a campaign whose launch folder was removed by hand leaves no job when it is closed', async () => {
    await begin({ start_delay: 3600 });
    const { directory } = await driver.prepareLaunch(planOf(pbs), () => undefined);
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    rmSync(directory, { recursive: true });
    await driver.closeLaunch('camp-1');
    expect(pbs.jobs().map(({ state }) => state)).toEqual(['F']);
  });

  it('a budget of less than one pilot’s node-hours is refused before anything is made', async () => {
    await begin();
    const plan = planOf(pbs, { spec: { budget: { nodeHours: 0.1 } } });
    await expect(driver.prepareLaunch(plan, () => undefined)).rejects.toMatchObject({ class: 'refused', code: 'HF-PBS-NODE-HOURS' });
    expect(driver.commands()).toBe(0);
  });

  it('another campaign’s launch folder is refused', async () => {
    await begin();
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    const foreign = { ...planOf(pbs), owner: { namespace: 'other', workflow_id: 'camp-1', epoch: 9 } };
    await expect(driver.prepareLaunch(foreign, () => undefined)).rejects.toMatchObject({ class: 'refused', code: 'HF-PBS-FOREIGN' });
  });

  it('a client that does not know our form of the question is asked in JSON, and nothing is lost by it', async () => {
    await begin({ old_client: true });
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    await driver.send([1, 2, 3].map((number) => ({ kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', number, 0.5) })));
    for (const pilot of ['camp-1.p1', 'camp-1.p2'])
      expect(await driver.startPilot({ pilot, campaign: 'camp-1' })).toMatchObject({ kind: 'started' });
    const watched = await watch(
      ({ ended, pilots }) => ended.size === 3 && [...pilots.values()].some((pilot) => pilot.state === 'running'),
      ['camp-1.p1', 'camp-1.p2'],
    );
    for (const job of pbs.jobs()) pbs.command('qdel', [job.id]);
    const { pilots } = await watch(
      ({ pilots }) => [...pilots.values()].filter((pilot) => pilot.state === 'ended').length === 2,
      ['camp-1.p1', 'camp-1.p2'],
      watched,
    );
    expect([...pilots.values()].map((pilot) => pilot.end?.kind)).toEqual(['killed', 'killed']);
  });

  it('looks cost one remote command however many trials there are', async () => {
    await begin();
    await driver.prepareLaunch(planOf(pbs, { command: ['sleep', '60'] }), () => undefined);
    await driver.send(
      Array.from({ length: 300 }, (_, index) => ({ kind: 'offer' as const, campaign: 'camp-1', offer: offer('camp-1', index + 1, 0.5) })),
    );
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    const before = driver.commands();
    for (let looks = 0; looks < 5; looks += 1) await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, never);
    expect(driver.commands() - before).toBe(5);
  });

  it('campaigns that submit at once wait for their turn: not two qsub within the pause', async () => {
    await begin({ start_delay: 3600 });
    const campaigns = ['camp-1', 'camp-2', 'camp-3'];
    for (const campaign of campaigns) await driver.prepareLaunch(planOf(pbs, { campaign }), () => undefined);
    const paced = () =>
      createPbsDriver({ name: 'standin', profile: standInProfile(), shell: standInShell(pbs), timing: { ...QUICK, qsubSeconds: 3 } });
    const starts = await Promise.all(campaigns.map((campaign) => paced().startPilot({ pilot: `${campaign}.p1`, campaign })));
    expect(starts.map(({ kind }) => kind)).toEqual(['started', 'started', 'started']);
    const times = pbs.commands().flatMap(({ command, at }) => (command === 'qsub' ? [at] : []));
    expect(times).toHaveLength(3);
    // The turn is taken just before qsub is started, so the machine's own delays are in the measured pause.
    for (const index of [1, 2]) expect((times[index] as number) - (times[index - 1] as number)).toBeGreaterThan(1.5);
  });
});
