import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SystemDriver } from '../../../src/systems/driver.ts';
import { createLocalDriver } from '../../../src/systems/local/driver.ts';
import { isAlive } from '../../../src/systems/local/processes.ts';
import { allRegistered } from '../../../src/systems/local/registry.ts';
import { readAgents } from '../../../src/systems/spool/heartbeats.ts';
import { stopAll } from '../../../src/systems/spool/offers.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';
import { launchPlan, lookUntil, offerOf, SHELL_TRAINING, temporaryFolder } from './launch-plan.ts';

let home: ReturnType<typeof temporaryFolder>;
let driver: SystemDriver;
let startsFile: string;
const silent = () => undefined;

const newDriver = () => createLocalDriver({ slots: 2, stateDirectory: path.join(home.folder, 'state'), workingDirectory: home.folder });
const starts = () => (existsSync(startsFile) ? readFileSync(startsFile, 'utf8').trim().split('\n') : []);
const abortable = () => new AbortController().signal;

async function livingAgents(campaign: string): Promise<number[]> {
  const agents = await readAgents(path.join(home.folder, 'results', `launch-${campaign}`));
  return agents.filter(({ identity }) => isAlive(identity)).map(({ identity }) => identity.pid);
}

/** Starts the pilot of campaign c, offers it one trial and tells how that ended. */
async function endOfOneTrial(): Promise<string | undefined> {
  const pilot = { pilot: 'c.p1', campaign: 'c' };
  await driver.startPilot(pilot);
  await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
  const { ended } = await lookUntil(driver, [pilot], (all) => all.length === 1);
  return ended[0]?.status;
}

beforeEach(() => {
  home = temporaryFolder();
  startsFile = path.join(home.folder, 'starts');
  driver = newDriver();
});

afterEach(async () => {
  for (const { campaign } of await allRegistered(path.join(home.folder, 'state', 'launches'))) await driver.closeLaunch(campaign);
  home.remove();
});

describe('the local system', () => {
  test('runs what is offered, several at once, and brings every end exactly once', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    expect((await driver.startPilot(pilot)).kind).toBe('started');
    const offers = [1, 2, 3, 4, 5].map((trial) => ({ kind: 'offer' as const, campaign: 'c', offer: offerOf('c', trial) }));
    expect((await driver.send(offers)).answers).toEqual(offers.map(() => 'offered'));
    const { ended } = await lookUntil(driver, [pilot], (all) => all.length >= 5);
    expect(ended.map((end) => [end.trial, end.status, end.values]).sort()).toEqual(
      [1, 2, 3, 4, 5].map((trial) => [`trial-000${trial}`, 'completed', [trial / 100]]),
    );
    expect(starts().sort()).toEqual([1, 2, 3, 4, 5].map((trial) => `trial-000${trial}.1`));
  });

  test('tells no news twice: after the acknowledgement a look waits and answers undefined', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    const { last } = await lookUntil(driver, [pilot], (all) => all.length === 1);
    const acks = [{ campaign: 'c', trial: 'trial-0001', attempt: 1 }];
    const request = { cursor: last.cursor, acks, pilots: [pilot], waitSeconds: 0.3 };
    expect(await driver.look(request, abortable())).toBeUndefined();
    expect(await driver.look({ ...request, acks: [] }, abortable())).toBeUndefined();
  });

  test('an end that is not acknowledged is told again to a look without a cursor', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    await lookUntil(driver, [pilot], (all) => all.length === 1);
    const again = await newDriver().look({ acks: [], pilots: [pilot], waitSeconds: 0 }, abortable());
    expect(again?.ended.map((end) => end.trial)).toEqual(['trial-0001']);
  });

  test('two calls at once, of two workers, start one agent; a third finds it', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    const [first, second] = await Promise.all([driver.startPilot(pilot), newDriver().startPilot(pilot)]);
    const third = await newDriver().startPilot(pilot);
    expect(first).toEqual(second);
    expect(third).toEqual(first);
    expect(await livingAgents('c')).toHaveLength(1);
  });

  test('an agent that was killed is noticed, its training is ended and told as lost, and the next agent goes on', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile, 1000)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    await lookUntil(driver, [pilot], (_all, last) => last.running.some(({ busy }) => busy.length === 1));
    for (const pid of await livingAgents('c')) process.kill(pid, 'SIGKILL');
    const { ended, last } = await lookUntil(driver, [pilot], (all) => all.length === 1);
    expect(ended[0]).toMatchObject({ trial: 'trial-0001', attempt: 1, status: 'failed', error: { class: 'lost' } });
    expect(last.pilots[0]).toMatchObject({ state: 'ended', end: { kind: 'lost' } });
    expect(starts()).toEqual(['trial-0001.1']);
  });

  test('claims that an agent leaves when it ends are settled with its end', async () => {
    const { directory } = await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await lookUntil(driver, [pilot], (_all, last) => last.pilots.some(({ state }) => state === 'running'));
    for (const pid of await livingAgents('c')) process.kill(pid, 'SIGTERM');
    while ((await livingAgents('c')).length > 0) await sleep(20);
    // As it does when the disk was full and it was told a second time to go: the record stayed in its memory.
    const attempt = path.join(directory, 'trials', 'trial-0001', 'attempt-1');
    mkdirSync(attempt, { recursive: true });
    writeFileSync(path.join(attempt, 'started'), JSON.stringify({ agent: 'c.p1', at: 1 }));
    mkdirSync(path.join(directory, 'spool', 'claimed', 'c.p1'), { recursive: true });
    writeFileSync(path.join(directory, 'spool', 'claimed', 'c.p1', 'trial-0001.1.json'), JSON.stringify(offerOf('c', 1)));
    const { ended, last } = await lookUntil(driver, [pilot], (all) => all.length === 1);
    expect(ended[0]).toMatchObject({ trial: 'trial-0001', status: 'failed', error: { class: 'lost' } });
    expect(last.pilots[0]).toMatchObject({ state: 'ended', end: { kind: 'normal' } });
  });

  test('a withdrawn offer never starts; a running attempt is asked to stop', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile, 1000)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    const stop = (trial: string) => ({ kind: 'stop' as const, campaign: 'c', trial, attempt: 1, reason: 'pruned' });
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 2) }]);
    expect((await driver.send([stop('trial-0001'), stop('trial-0001'), stop('trial-0009')])).answers).toEqual([
      'withdrawn',
      'withdrawn',
      'unknown',
    ]);
    await driver.startPilot(pilot);
    await lookUntil(driver, [pilot], (_all, last) => last.running.some(({ busy }) => busy.length === 1));
    expect((await driver.send([stop('trial-0002')])).answers).toEqual(['stopping']);
    const { ended } = await lookUntil(driver, [pilot], (all) => all.length === 1);
    expect(ended[0]).toMatchObject({ trial: 'trial-0002', status: 'stopped', error: { class: 'cancelled', message: 'pruned' } });
    expect(starts()).toEqual(['trial-0002.1']);
    expect((await driver.send([stop('trial-0002')])).answers).toEqual(['done']);
  });

  test('closing a launch ends agent and trainings and leaves nothing registered', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile, 1000)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    while (starts().length === 0) await sleep(20);
    const [agent] = await livingAgents('c');
    await driver.closeLaunch('c');
    expect(await livingAgents('c')).toEqual([]);
    expect(agent).toBeGreaterThan(1);
    expect(await allRegistered(path.join(home.folder, 'state', 'launches'))).toEqual([]);
    await expect(driver.closeLaunch('c')).resolves.toBeUndefined();
  });

  test('two servers of one person may both have a campaign of one name: neither sees, ends or takes in what is the other’s', async () => {
    const [mine, theirs] = [newDriver(), newDriver()];
    mine.serve?.('namespace-a');
    theirs.serve?.('namespace-b');
    await mine.prepareLaunch(launchPlan('mine', 'c', SHELL_TRAINING(startsFile)), silent);
    await theirs.prepareLaunch(launchPlan('theirs', 'c', SHELL_TRAINING(startsFile)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await mine.startPilot(pilot);
    await mine.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    const { last } = await lookUntil(mine, [pilot], (all) => all.length === 1);
    const acks = [{ campaign: 'c', trial: 'trial-0001', attempt: 1 }];
    expect(await theirs.look({ acks, pilots: [], waitSeconds: 0 }, abortable())).toMatchObject({ ended: [] });
    await theirs.closeLaunch('c');
    expect((await mine.look({ acks: [], pilots: [pilot], waitSeconds: 0 }, abortable()))?.ended).toEqual(last.ended);
    // A worker that is started anew for the same server goes on with it.
    const again = newDriver();
    again.serve?.('namespace-a');
    expect((await again.look({ acks: [], pilots: [pilot], waitSeconds: 0 }, abortable()))?.ended).toEqual(last.ended);
    await mine.closeLaunch('c');
  });

  test('a closed campaign that is taken up again runs again', async () => {
    const plan = launchPlan('results', 'c', SHELL_TRAINING(startsFile));
    await driver.prepareLaunch(plan, silent);
    await driver.closeLaunch('c');
    await driver.prepareLaunch(plan, silent);
    expect(await endOfOneTrial()).toBe('completed');
  });

  test('a campaign whose worker was killed while it closed it, and that is taken up again, runs again', async () => {
    const plan = launchPlan('results', 'c', SHELL_TRAINING(startsFile));
    await driver.prepareLaunch(plan, silent);
    await stopAll(path.join(home.folder, 'results', 'launch-c'), 'The campaign is over.');
    await driver.prepareLaunch(plan, silent);
    expect(await endOfOneTrial()).toBe('completed');
  });

  test('an agent that does not go by itself is killed, and its training with it', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile, 1000)), silent);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    while (starts().length === 0) await sleep(20);
    for (const pid of await livingAgents('c')) process.kill(pid, 'SIGSTOP');
    await driver.closeLaunch('c');
    expect(await livingAgents('c')).toEqual([]);
    expect(existsSync(path.join(home.folder, 'results', 'launch-c', 'spool', 'done', 'trial-0001.1.json'))).toBe(true);
  }, 120_000);

  test('the code of a campaign is copied once by its contents, and each trial runs in it', async () => {
    mkdirSync(path.join(home.folder, 'code', '__pycache__'), { recursive: true });
    writeFileSync(path.join(home.folder, 'code', 'train.sh'), '#!/bin/sh\necho "{\\"y\\": 0.5}" > "$HOLDFAST_OUT/results.json"\n');
    writeFileSync(path.join(home.folder, 'code', '__pycache__', 'x.pyc'), '');
    chmodSync(path.join(home.folder, 'code', 'train.sh'), 0o755);
    const plan = launchPlan('results', 'c', ['{code}/train.sh'], {
      training: { command: ['{code}/train.sh'], bundle: 'code', env: {}, slots: 1 },
    });
    const prepared = await driver.prepareLaunch(plan, silent);
    expect(await driver.prepareLaunch(plan, silent)).toEqual(prepared);
    expect(existsSync(path.join(prepared.directory, 'bundle', prepared.bundleSha256 ?? '', '__pycache__'))).toBe(false);
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    const { ended } = await lookUntil(driver, [pilot], (all) => all.length === 1);
    expect(ended[0]).toMatchObject({ status: 'completed', values: [0.5] });
  });

  const smallDisk = () => mountSmallDisk(path.join(home.folder, 'results'), 256);

  test('a campaign that begins on a full disk is refused with what to do', async () => {
    const disk = smallDisk();
    try {
      disk?.fill();
      const prepared = driver.prepareLaunch(launchPlan('results', 'c', ['true']), silent);
      if (disk === undefined) await expect(prepared).resolves.toBeDefined();
      else
        await expect(prepared).rejects.toMatchObject({
          class: 'refused',
          code: 'HF-SPOOL-NOT-WRITABLE',
          message: expect.stringContaining('full disk'),
        });
    } finally {
      disk?.unmount();
    }
  });

  test('a campaign that runs waits for space: offers on a full disk are tried again, not refused', async () => {
    const disk = smallDisk();
    try {
      await driver.prepareLaunch(launchPlan('results', 'c', ['true']), silent);
      disk?.fill();
      const order = { kind: 'offer' as const, campaign: 'c', offer: offerOf('c', 1) };
      if (disk !== undefined)
        await expect(driver.send([order])).rejects.toMatchObject({ class: 'transport', code: 'HF-SPOOL-NOT-WRITABLE' });
      disk?.empty();
      expect((await driver.send([order])).answers).toEqual(['offered']);
    } finally {
      await driver.closeLaunch('c');
      disk?.unmount();
    }
  });

  test.each([0, 20])('a pilot that is to start on a full disk (%i KiB are left) waits for space, it is not refused', async (left) => {
    const disk = smallDisk();
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    try {
      await driver.prepareLaunch(launchPlan('results', 'c', ['true']), silent);
      disk?.fill(left);
      const begun = await driver.startPilot(pilot).catch((error: unknown) => error);
      if (disk !== undefined && left === 0) expect(begun).toMatchObject({ class: 'transport', code: 'HF-SPOOL-NOT-WRITABLE' });
      else expect(begun).toMatchObject({ kind: 'started' });
      disk?.empty();
      expect(await driver.startPilot(pilot)).toMatchObject({ kind: 'started' });
    } finally {
      await driver.closeLaunch('c');
      disk?.unmount();
    }
  });

  test('a campaign that is closed on a full disk ends its agent', async () => {
    const disk = smallDisk();
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    try {
      await driver.prepareLaunch(launchPlan('results', 'c', ['true']), silent);
      await driver.startPilot(pilot);
      disk?.fill();
      await driver.closeLaunch('c');
      expect(await livingAgents('c')).toEqual([]);
    } finally {
      disk?.unmount();
    }
  });

  test('a results folder that cannot be made is refused with what to do', async () => {
    writeFileSync(path.join(home.folder, 'results'), 'a file');
    await expect(driver.prepareLaunch(launchPlan('results', 'c', ['true']), silent)).rejects.toMatchObject({
      class: 'refused',
      code: 'HF-SPOOL-NOT-WRITABLE',
      message: expect.stringContaining('working_dirs.local_base'),
    });
  });

  test('a launch folder of another campaign is refused', async () => {
    await driver.prepareLaunch(launchPlan('results', 'c', ['true']), silent);
    const foreign = { ...launchPlan('results', 'd', ['true']), launch: 'launch-c' };
    await expect(driver.prepareLaunch(foreign, silent)).rejects.toMatchObject({ class: 'refused', code: 'HF-SPOOL-OWNER' });
  });

  test('a Python that is not there is refused before anything runs', async () => {
    const bad = createLocalDriver({
      python: '/nowhere/python',
      stateDirectory: path.join(home.folder, 'state'),
      workingDirectory: home.folder,
    });
    await expect(bad.prepareLaunch(launchPlan('results', 'c', ['true']), silent)).rejects.toMatchObject({ code: 'HF-LOCAL-PYTHON' });
  });

  test('a pending look sees a launch that is registered only later', async () => {
    const pilot = { pilot: 'c.p1', campaign: 'c' };
    const first = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, abortable());
    const pending = driver.look({ cursor: first?.cursor ?? '', acks: [], pilots: [], waitSeconds: 60 }, abortable());
    await driver.prepareLaunch(launchPlan('results', 'c', SHELL_TRAINING(startsFile)), silent);
    await driver.startPilot(pilot);
    await driver.send([{ kind: 'offer', campaign: 'c', offer: offerOf('c', 1) }]);
    expect((await pending)?.ended.map((end) => end.trial)).toEqual(['trial-0001']);
  });

  test('an aborted look ends at once', async () => {
    const first = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, abortable());
    const controller = new AbortController();
    const pending = driver.look({ cursor: first?.cursor ?? '', acks: [], pilots: [], waitSeconds: 60 }, controller.signal);
    controller.abort(new Error('the worker shuts down'));
    await expect(pending).rejects.toThrow('the worker shuts down');
  });
});
