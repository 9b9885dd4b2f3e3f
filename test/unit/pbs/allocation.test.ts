import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readAllocations, tellBalances } from '../../../src/systems/pbs/allocation.ts';
import { diagnosePbs } from '../../../src/systems/pbs/doctor.ts';
import { createPbsDriver } from '../../../src/systems/pbs/driver.ts';
import { planOf, QUICK, standInProfile, standInShell } from '../../support/pbs/campaign.ts';
import { PbsStandIn } from '../../support/pbs/standin.ts';

/** Both forms of the list as ALCF prints them (names changed); the older one is from the user guide. */
const recorded = (name: string) => readFileSync(new URL(`../../fixtures/pbs/sbank/${name}.txt`, import.meta.url), 'utf8');
const NOW = Date.UTC(2026, 8, 20);

describe('the list of allocations', () => {
  it('is read in both forms, with signs and thousands', () => {
    expect(readAllocations(recorded('suballocations'))?.map(({ balance }) => balance)).toEqual([231.4, 0.09, -281.1, -2800.5, 2323.1]);
    expect(readAllocations(recorded('allocations'))).toEqual([
      { project: 'ProjectX', resource: 'theta', balance: -12_332_699.9, end: '2027-01-01' },
      { project: 'ProjectX', resource: 'cooley', balance: 43_967.2, end: '2027-01-01' },
      { project: 'ProjectY', resource: 'theta', balance: 25_483_927.5, end: '2027-01-10' },
    ]);
  });

  it('of a file system has no node-hours', () => {
    expect(readAllocations(recorded('quota'))).toEqual([]);
  });

  it('is not guessed: other words, or a row that does not fit its head, are no list', () => {
    expect(readAllocations('sbank: error: cannot reach the database\n')).toBeUndefined();
    expect(readAllocations('')).toBeUndefined();
    expect(readAllocations(recorded('suballocations').replace('2,323.1', 'unknown'))).toBeUndefined();
    expect(readAllocations(recorded('suballocations').replace('17248       ', '17248 '))).toBeUndefined();
  });

  it('no line of it is lost without a word when the answer is cut', () => {
    const text = recorded('suballocations');
    const whole = readAllocations(text) ?? [];
    for (let length = 0; length < text.length; length += 1)
      for (const row of readAllocations(text.slice(0, length)) ?? []) expect(whole.map(({ end }) => end)).toContain(row.end);
  });
});

describe('what a project has left', () => {
  const rows = readAllocations(recorded('suballocations')) ?? [];

  it('is told beside what is overdrawn, not set off against it: only the site knows which one pays', () => {
    expect(tellBalances(rows, NOW)).toEqual([
      {
        words: 'ProjectX on polaris: 2,555 node-hours left until 2026-12-01, 2 of its 5 allocations overdrawn by 3,082',
        isShort: false,
      },
    ]);
  });

  it.each([
    ['the last allocation ends within a week', NOW + 66 * 86_400_000, 'ProjectX on polaris: 2,323 node-hours left until 2026-12-01'],
    ['all allocations are over', NOW + 90 * 86_400_000, 'ProjectX has no active allocation'],
  ])('is short when %s', (_, now, words) => {
    expect(tellBalances(rows, now)).toEqual([{ words, isShort: true }]);
  });

  it('is short when nothing is left, and when the project is not listed at all', () => {
    const empty = rows.filter(({ balance }) => balance < 0);
    expect(tellBalances(empty, NOW)).toEqual([{ words: 'ProjectX on polaris: no node-hours left (-3,082)', isShort: true }]);
    expect(tellBalances(rows, NOW, ['Other'])).toEqual([{ words: 'Other has no active allocation', isShort: true }]);
  });
});

describe('a system whose profile names the accounting command', () => {
  let pbs: PbsStandIn;
  afterEach(() => pbs.close());

  async function begin(command: (file: string) => string) {
    pbs = await PbsStandIn.start({});
    const file = join(pbs.directory, 'sbank.txt');
    const profile = standInProfile({ allocation: { command: command(file) } });
    const driver = createPbsDriver({ name: 'standin', profile, shell: standInShell(pbs), timing: QUICK });
    const lists = (balance: string, end = '2099-01-01') =>
      writeFileSync(
        file,
        ` Id   Start       End         Resource  Project   Jobs  Charged  Available Balance \n ---  ----------  ----------  --------  --------  ----  -------  ----------------- \n 1    2026-01-01  ${end}  standin   hpo_proj     1      1.0  ${balance} \n\nTotals:\n  Rows: 1\n`,
      );
    const finding = async () => (await diagnosePbs(profile, driver)).find(({ id }) => id === 'pbs-allocation');
    const notices = async () => {
      const request = { acks: [], pilots: [], waitSeconds: 0 };
      return (await driver.look(request, new AbortController().signal))?.notices ?? [];
    };
    return { driver, lists, finding, notices };
  }

  it('says in doctor what is left, and what to do when nothing is or the command does not work', async () => {
    const { lists, finding } = await begin((file) => `cat '${file}'`);
    expect(await finding()).toMatchObject({ status: 'warn', found: expect.stringContaining('No such file') });
    lists('320.5');
    expect(await finding()).toMatchObject({ status: 'ok', found: 'hpo_proj on standin: 321 node-hours left until 2099-01-01' });
    lists('-12.0');
    expect(await finding()).toMatchObject({ status: 'warn', found: 'hpo_proj on standin: no node-hours left (-12)' });
  });

  it('says it in every look once a campaign is there, and asks again no sooner than in an hour', async () => {
    const { driver, lists, notices } = await begin((file) => `sh -c 'echo asked >>"${file}.asked"; cat "${file}"'`);
    lists('-3.5');
    expect(await notices()).toEqual([]);
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    const told =
      'allocation hpo_proj on standin: no node-hours left (-3.5). Jobs may be refused or wait as backfill: ask for more time, or stop in good order';
    expect(await notices()).toEqual([told]);
    expect(await notices()).toEqual([told]);
    expect(readFileSync(join(pbs.directory, 'sbank.txt.asked'), 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('loses no look to a command that hangs', async () => {
    const { driver, notices } = await begin(() => 'sleep 60');
    await driver.prepareLaunch(planOf(pbs), () => undefined);
    expect(await notices()).toEqual([]);
  });
});
