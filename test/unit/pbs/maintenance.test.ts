import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { diagnosePbs } from '../../../src/systems/pbs/doctor.ts';
import { createPbsDriver, type PbsDriver } from '../../../src/systems/pbs/driver.ts';
import { closedTimes, fitBefore, MARGIN_SECONDS } from '../../../src/systems/pbs/maintenance.ts';
import { readReservations } from '../../../src/systems/pbs/reservations.ts';
import { planOf, QUICK, standInProfile, standInShell } from '../../support/pbs/campaign.ts';
import { PbsStandIn, type StandInSettings } from '../../support/pbs/standin.ts';

/** In the layout of OpenPBS src/cmds/pbs_rstat.c, long form. */
const RSTAT = `Resv ID: M123.aurora-pbs-0001
Reserve_Name = NULL
Reserve_Owner = root@aurora-pbs-0001
reserve_state = RESV_CONFIRMED
reserve_start = Mon Nov 30 06:00:00 2026
reserve_end = Mon Nov 30 22:00:00 2026
reserve_duration = 57600
Resource_List.ncpus = 416
Resource_List.nodect = 3
resv_nodes = (node-1:ncpus=208)+(node-2[0]:ncpus=104+node-2[1]:ncpus=104)

Resv ID: R9.aurora-pbs-0001
Reserve_Name = big run
reserve_state = RESV_CONFIRMED
reserve_start = Tue Dec  1 06:00:00 2026
reserve_end = Tue Dec 01 12:00:00 2026
Resource_List.nodect = 9000

`;

const START = Date.UTC(2026, 10, 30, 6) / 1000;
const HOUR = 3600;

describe('what pbs_rstat shows', () => {
  it('is read with its times as UTC and its hosts counted once', () => {
    expect(readReservations(RSTAT)).toEqual([
      { id: 'M123.aurora-pbs-0001', state: 'RESV_CONFIRMED', startSeconds: START, endSeconds: START + 16 * HOUR, nodes: 2 },
      {
        id: 'R9.aurora-pbs-0001',
        name: 'big run',
        state: 'RESV_CONFIRMED',
        startSeconds: START + 24 * HOUR,
        endSeconds: START + 30 * HOUR,
        nodes: 9000,
      },
    ]);
  });

  it('is read as NCAR and ALCF print it, with lines that we do not need, and one that is cut off says nothing', () => {
    const casper = `Resv ID: R416808.casper-pbs
Reserve_Name = casper-a100-testing
Reserve_Owner = root@casper-pbs.hpc.ucar.edu
reserve_state = RESV_RUNNING
reserve_start = Wed Nov 12 12:00:00 2025
reserve_end = Wed Dec 31 23:59:00 2025
Resource_List.nodect = 2
Resource_List.select = 1:host=casper41:ncpus=128:ngpus=4
resv_nodes = (casper41:ncpus=128)+(casper44:ncpus=128)
Authorized_Users = +user1,+user2
partition = pbs-default

`;
    const aurora = `Resv ID: S6703362.aurora-pbs-0001.hostmgmt.cm.aurora.alcf.anl.gov
Reserve_Name = HACC-DAOS-Dbg
reserve_state = RESV_RUNNING
reserve_start = Wed Aug 06 10:00:00 2025
Resource_List.nodect = 8200
`;
    expect(readReservations(casper + aurora)).toEqual([
      {
        id: 'R416808.casper-pbs',
        name: 'casper-a100-testing',
        state: 'RESV_RUNNING',
        startSeconds: Date.UTC(2025, 10, 12, 12) / 1000,
        endSeconds: Date.UTC(2025, 11, 31, 23, 59) / 1000,
        nodes: 2,
      },
    ]);
  });

  it('no prefix of it is read as another reservation', () => {
    const whole = readReservations(RSTAT);
    for (let length = 0; length < RSTAT.length; length += 1) {
      for (const found of readReservations(RSTAT.slice(0, length))) expect(whole).toContainEqual(found);
    }
  });
});

describe('a system is closed', () => {
  const profile = standInProfile({ maintenance: { command: 'pbs_rstat', nodes: 100 } });
  const times = { startSeconds: START, endSeconds: START + HOUR, state: 'RESV_CONFIRMED' };

  it('by a maintenance of nearly all nodes, not by other people’s reservations, a few nodes under repair or a denied one', () => {
    expect(closedTimes(profile, [{ id: 'M1.s', ...times, nodes: 100 }])).toMatchObject([{ what: 'maintenance reservation M1' }]);
    expect(closedTimes(profile, [{ id: 'M1.s', ...times }])).toHaveLength(1);
    expect(closedTimes(profile, [{ id: 'R1.s', ...times, name: 'PM Monday', nodes: 100 }])).toHaveLength(1);
    expect(closedTimes(profile, [{ id: 'R1.s', ...times, name: 'bpm-run', nodes: 100 }])).toHaveLength(0);
    expect(closedTimes(profile, [{ id: 'M1.s', ...times, nodes: 99 }])).toHaveLength(0);
    expect(closedTimes(profile, [{ id: 'M1.s', ...times, nodes: 100, state: 'RESV_UNCONFIRMED' }])).toHaveLength(0);
  });

  it('by several maintenances that take it together', () => {
    const racks = [40, 40, 40].map((nodes, index) => ({ id: `M${index}.s`, ...times, nodes }));
    expect(closedTimes(profile, racks)).toHaveLength(3);
    expect(closedTimes(profile, racks.slice(0, 2))).toHaveLength(0);
  });

  it('by the windows of its profile', () => {
    const windows = [{ from: '2026-11-30T00:00:00-06:00', until: '2026-11-30T16:00:00-06:00', what: 'power works' }];
    expect(closedTimes(standInProfile({ maintenance: { windows } }), [])).toEqual([
      { startSeconds: START, endSeconds: START + 16 * HOUR, what: 'power works' },
    ]);
  });
});

describe('a job before a maintenance', () => {
  const closed = [{ startSeconds: START, endSeconds: START + 8 * HOUR, what: 'm' }];
  const at = (seconds: number, walltime = 2 * HOUR) => fitBefore(closed, START + seconds, walltime, HOUR / 2);

  it.each([
    ['long before it runs as it is', at(-3 * HOUR), { kind: 'whole' }],
    ['that ends just in time runs as it is', at(-2 * HOUR - MARGIN_SECONDS), { kind: 'whole' }],
    [
      'that would cross it by a second is shortened',
      at(-2 * HOUR - MARGIN_SECONDS + 1),
      { kind: 'shorter', walltimeSeconds: 2 * HOUR - 60 },
    ],
    ['is shortened to what is left', at(-1 * HOUR), { kind: 'shorter', walltimeSeconds: 55 * 60 }],
    ['waits for its end when too little is left', at(-0.5 * HOUR), { kind: 'none', untilSeconds: START + 8 * HOUR }],
    ['waits while it lasts', at(1 * HOUR), { kind: 'none', untilSeconds: START + 8 * HOUR }],
    ['runs after it', at(8 * HOUR), { kind: 'whole' }],
  ])('%s', (_, fit, expected) => {
    expect(fit).toMatchObject(expected);
  });

  it('never crosses one, whatever the times', () => {
    const two = [...closed, { startSeconds: START + 9 * HOUR, endSeconds: START + 12 * HOUR, what: 'n' }];
    for (let seconds = -4 * HOUR; seconds < 14 * HOUR; seconds += 97) {
      const now = START + seconds;
      const fit = fitBefore(two, now, 2 * HOUR, HOUR / 2);
      const length = fit.kind === 'whole' ? 2 * HOUR : fit.kind === 'shorter' ? fit.walltimeSeconds : 0;
      if (length > 0) for (const { startSeconds, endSeconds } of two) expect(now + length <= startSeconds || now >= endSeconds).toBe(true);
      if (fit.kind === 'none') expect(fitBefore(two, fit.untilSeconds, 2 * HOUR, HOUR / 2).kind).not.toBe('none');
    }
  });

  it('waits over two that leave no useful time between them', () => {
    const two = [...closed, { startSeconds: START + 8.5 * HOUR, endSeconds: START + 12 * HOUR, what: 'n' }];
    expect(fitBefore(two, START, HOUR, HOUR / 2)).toMatchObject({ kind: 'none', untilSeconds: START + 12 * HOUR });
  });
});

describe('a pilot before a maintenance', () => {
  let pbs: PbsStandIn;
  let driver: PbsDriver;
  afterEach(() => pbs.close());

  const now = () => Date.now() / 1000;

  async function begin(settings: StandInSettings, maintenance: Readonly<Record<string, unknown>> = {}) {
    pbs = await PbsStandIn.start(settings);
    const profile = standInProfile({ maintenance: { command: 'pbs_rstat', nodes: 4, useful: '10m', ...maintenance } });
    driver = createPbsDriver({ name: 'standin', profile, shell: standInShell(pbs), timing: QUICK });
    return profile;
  }

  const prepare = (settings = {}) => driver.prepareLaunch(planOf(pbs, { settings: { walltime: 3000, ...settings } }), () => undefined);
  const start = (pilot = 'camp-1.p1') => driver.startPilot({ pilot, campaign: 'camp-1' });
  const submits = () => pbs.events().filter(({ event }) => event === 'submit').length;

  it('is submitted with the walltime that is left, and says so while it lives', async () => {
    await begin({ start_delay: 3600, reservations: [{ id: 'M7', start: now() + 1800, end: now() + 9000 }] });
    const { directory } = await prepare();
    expect(await start()).toMatchObject({ kind: 'started' });
    const script = readFileSync(join(directory, 'pilots', 'camp-1.p1', 'pbs', 'job.sh'), 'utf8');
    expect(/walltime=(\S+)/.exec(script)?.[1]).toMatch(/^00:2[34]:00$/);
    const seen = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
    expect(seen?.notices.join()).toMatch(/camp-1\.p1: walltime 00:2\d:00 instead of 00:50:00, to end before maintenance reservation M7/);
    expect(seen?.notices.join()).not.toContain('by hand');
    await driver.closeLaunch('camp-1');
  });

  it('is held with the time until when, and submitted once the maintenance is called off', async () => {
    const end = now() + 9000;
    await begin({ reservations: [{ id: 'M7', start: now() + 600, end }] });
    await prepare();
    const held = await start();
    expect(held).toMatchObject({ kind: 'wait', retrySeconds: 600 });
    const until = new Date(end * 1000).toISOString().slice(0, 16).replace('T', ' ');
    expect(held).toMatchObject({ message: expect.stringContaining(`held until ${until} UTC: maintenance reservation M7`) });
    expect(submits()).toBe(0);
    const look = () => driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
    expect((await look())?.notices).toContainEqual(expect.stringContaining(`camp-1: held until ${until} UTC`));
    pbs.admin('set', { reservations: [] });
    expect(await start('camp-1.p2')).toMatchObject({ kind: 'started' });
    expect(submits()).toBe(1);
    expect((await look())?.notices.join()).not.toContain('held until');
    await driver.closeLaunch('camp-1');
  });

  it('is not held when it was submitted before: its answer was lost, its job is there', async () => {
    await begin({ start_delay: 3600 });
    await prepare();
    const first = await start();
    pbs.admin('set', { reservations: [{ id: 'M7', start: now() + 60, end: now() + 9000 }] });
    expect(await start()).toEqual(first);
    expect(submits()).toBe(1);
    await driver.closeLaunch('camp-1');
  });

  it('is submitted as it is when the campaign asks for it, when other people reserve, and when pbs_rstat says nothing useful', async () => {
    const reservations = [{ id: 'M7', start: now() + 60, end: now() + 9000 }];
    await begin({ reservations, start_delay: 3600 });
    await prepare({ acrossMaintenance: true });
    expect(await start()).toMatchObject({ kind: 'started' });
    await prepare();
    pbs.admin('set', { reservations: [{ ...reservations[0], id: 'R7' }] });
    expect(await start('camp-1.p2')).toMatchObject({ kind: 'started' });
    pbs.admin('set', { reservations });
    pbs.plan([{ command: 'pbs_rstat', fault: 'exit', exit: 162, stderr: 'Connection refused\n' }]);
    expect(await start('camp-1.p3')).toMatchObject({ kind: 'started' });
    expect(await start('camp-1.p4')).toMatchObject({ kind: 'wait' });
    await driver.closeLaunch('camp-1');
  });

  it('waits for a window of the profile without asking the site for reservations', async () => {
    const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
    pbs = await PbsStandIn.start();
    const windows = [{ from: iso(now() - 60), until: iso(now() + 3600), what: 'power works' }];
    driver = createPbsDriver({
      name: 'standin',
      profile: standInProfile({ maintenance: { windows } }),
      shell: standInShell(pbs),
      timing: QUICK,
    });
    await prepare();
    expect(await start()).toMatchObject({ kind: 'wait', message: expect.stringContaining('power works') });
    expect(pbs.commands().some(({ command }) => command === 'pbs_rstat')).toBe(false);
  });

  it('doctor shows the times ahead and what the message of the day says', async () => {
    pbs = await PbsStandIn.start({ reservations: [{ id: 'M7', start: now() + 600, end: now() + 9000 }] });
    const motd = join(pbs.directory, 'motd');
    writeFileSync(motd, 'Welcome.\n  Preventive maintenance on Monday, 6 am.\n');
    const profile = standInProfile({ maintenance: { command: 'pbs_rstat', nodes: 4, motd } });
    driver = createPbsDriver({ name: 'standin', profile, shell: standInShell(pbs), timing: QUICK });
    const found = (await diagnosePbs(profile, driver)).find(({ id }) => id === 'pbs-maintenance');
    expect(found).toMatchObject({ status: 'warn', found: expect.stringContaining('maintenance reservation M7') });
    expect(found?.found).toContain('Preventive maintenance on Monday, 6 am.');
  });
});
