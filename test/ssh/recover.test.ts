import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { listLaunches, removeLaunch } from '../../src/clean/store.ts';
import { createPbsDriver } from '../../src/systems/pbs/driver.ts';
import { startCli } from '../support/cli.ts';
import { offer, planOf, QUICK, STAND_IN_SITE, standInProfile } from '../support/pbs/campaign.ts';
import { PbsStandIn } from '../support/pbs/standin.ts';
import { logIn } from '../support/ssh-suite.ts';
import { removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';

const reason = whyNoSshd();

/** A PBS stand-in behind a real sshd, named by a profile; no Temporal server anywhere. */
describe.skipIf(reason !== undefined)('a system behind SSH, with Temporal’s database lost', () => {
  let pbs: PbsStandIn;
  let sshd: TestSshd;
  let launchDirectory: string;

  beforeAll(async () => {
    pbs = await PbsStandIn.start();
    sshd = await startSshd({ sessionEnv: pbs.env });
    const folder = join(pbs.directory, 'config', 'systems');
    mkdirSync(folder, { recursive: true });
    const site = { ...STAND_IN_SITE, ssh: { host: 'testhost', transport: 'ssh2', config_file: sshd.clientConfig } };
    writeFileSync(join(folder, 'standin.yaml'), stringify(site));
    // Profiles are looked for where the command is called.
    vi.spyOn(process, 'cwd').mockReturnValue(pbs.directory);
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    if (sshd) await removeSshd(sshd);
    await pbs?.close();
  });

  const command = (...words: string[]) => {
    const env = Object.fromEntries(Object.entries(sshd.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
    return startCli(words, { env }).end();
  };

  it('holdfast recover --from SYSTEM:FOLDER rebuilds the table from the launch folder alone', async () => {
    const { shell, end } = await logIn(sshd, 'ssh2');
    const driver = createPbsDriver({ name: 'standin', profile: standInProfile(), shell, timing: QUICK });
    const { directory } = await driver.prepareLaunch(planOf(pbs), () => undefined);
    launchDirectory = directory;
    await driver.send([1, 2, 3].map((number) => ({ kind: 'offer', campaign: 'camp-1', offer: offer('camp-1', number, number / 10) })));
    await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' });
    for (let looks = 0; looks < 200; looks += 1) {
      const seen = await driver.look({ acks: [], pilots: [], waitSeconds: 0 }, new AbortController().signal);
      if ((seen?.ended.length ?? 0) === 3) break;
      await sleep(100);
    }
    await driver.closeLaunch('camp-1');
    await end();
    const out = join(pbs.directory, 'recovered');
    const { exit, out: text, err } = await command('recover', '--from', `standin:${directory}`, '--out', out);
    expect(`${exit} ${err}`).toBe('0 ');
    expect(text).toContain('3 trials of camp-1, 3 completed');
    const table = readFileSync(join(out, 'trials.csv'), 'utf8').trim().split('\n');
    expect(table).toHaveLength(4);
    expect(table.join('\n')).toContain('0.3');
  });

  it('its launch folders are listed and packed where they lie, and one that changed meanwhile is refused', async () => {
    const { shell, end } = await logIn(sshd, 'ssh2');
    try {
      const { base, launches } = await listLaunches(shell, dirname(launchDirectory));
      const launch = launches.find(({ folder }) => folder === launchDirectory);
      expect(launch).toMatchObject({ campaign: 'camp-1', trials: 3, hasRepository: false });
      if (launch === undefined) return;
      const other = { ...launch, owner: { ...launch.owner, workflow_id: 'camp-2' } };
      await expect(removeLaunch(shell, base, other, false)).rejects.toMatchObject({ code: 'HF-CLEAN-REFUSED' });
      expect(existsSync(launchDirectory)).toBe(true);
      const { archive } = await removeLaunch(shell, base, launch, true);
      expect(archive).toBe(`${launchDirectory}.tar.gz`);
      expect([existsSync(launchDirectory), existsSync(archive ?? '')]).toEqual([false, true]);
    } finally {
      await end();
    }
  });

  it('holdfast systems diff names what the site says otherwise than the profile', async () => {
    const before = await command('systems', 'diff', 'standin');
    expect(before.out).not.toContain('longest walltime: profile 1 h, site 30 min');
    pbs.admin('set', { 'queues/debug/max_walltime': '00:30:00', 'queues/debug/enabled': false });
    const { exit, out } = await command('systems', 'diff', 'standin');
    expect(exit).toBe(1);
    expect(out).toContain('debug: longest walltime: profile 1 h, site 30 min');
    expect(out).toContain('debug: state: profile open, site takes no jobs now');
  });
});
