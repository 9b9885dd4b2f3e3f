import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { login, wakeSystem } from '../../src/cli/login.ts';
import { masterAddress } from '../../src/ssh/control-master.ts';
import { openShell } from '../../src/ssh/open-shell.ts';
import { createPbsDriver } from '../../src/systems/pbs/driver.ts';
import { type CampaignResult, systemQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { planOf, QUICK, STAND_IN_SITE, standInProfile } from '../support/pbs/campaign.ts';
import { PbsStandIn } from '../support/pbs/standin.ts';
import { removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';

const reason = whyNoSshd();
if (reason) console.warn(`the login of a campaign is not tried: ${reason}`);

/** A site with one-time logins: the user's ControlMaster over a real sshd, a PBS stand-in behind it, a real Temporal server before it. */
describe.skipIf(reason !== undefined)('a campaign whose SSH login ends at night', () => {
  let engine: Engine;
  let pbs: PbsStandIn;
  let sshd: TestSshd;
  let site: Record<string, unknown>;

  beforeAll(async () => {
    [engine, pbs] = await Promise.all([startEngine(), PbsStandIn.start()]);
    sshd = await startSshd({ sessionEnv: pbs.env });
    site = { ...STAND_IN_SITE, ssh: { host: 'testhost', config_file: sshd.clientConfig } };
    writeFileSync(path.join(pbs.directory, 'standin.yaml'), stringify(site));
  });
  afterAll(async () => {
    await engine?.close();
    if (sshd) await removeSshd(sshd);
    await pbs?.close();
  });

  it('waits for its first login, loses nothing when the master dies, and catches up after the next one', { timeout: 300_000 }, async () => {
    const profile = standInProfile({ ssh: site.ssh });
    const { shell } = openShell('standin', profile.ssh, sshd.env);
    await engine.startWorker({ standin: createPbsDriver({ name: 'standin', profile, shell, timing: QUICK }) });
    const person = () =>
      login(
        'standin',
        profile.ssh,
        {},
        {
          input: new PassThrough(),
          output: new PassThrough().resume(),
          env: sshd.env,
          wake: (system) => wakeSystem(engine.client.workflow, system),
        },
      );
    const loginState = async () => (await engine.client.workflow.getHandle('system/standin').query(systemQuery)).login.kind;
    const starts = () =>
      existsSync(path.join(pbs.home, 'starts')) ? readFileSync(path.join(pbs.home, 'starts'), 'utf8').trim().split('\n') : [];

    const running = engine.run(
      {
        version: 1,
        name: 'night',
        system: {
          name: path.join(pbs.directory, 'standin.yaml'),
          account: 'hpo_proj',
          walltime: '10m',
          nodes: 2,
          max_pilots: 1,
          prefetch: 8,
        },
        objective: { metric: 'loss', direction: 'minimize' },
        search_space: { x: { type: 'float', min: 0, max: 1 } },
        sampler: { type: 'random', seed: 5 },
        training: { bundle: planOf(pbs).spec.training.bundle, command: ['sh', '{code}/train.sh', '1', '{x}'] },
        budget: { trials: 16 },
        working_dirs: { aurora_base: path.join(pbs.directory, 'flare'), local_base: path.join(pbs.directory, 'results') },
      },
      'night-1',
    ) as Promise<CampaignResult>;
    running.catch(() => undefined);

    const isAskedFor = async () => (await engine.status('night-1')).problems.some((line) => line.includes('holdfast login standin'));
    await Promise.race([eventually(isAskedFor, 120, 'the first wait for a login'), running]);
    expect(sshd.log()).not.toContain('Connection from');

    await person();
    await eventually(() => starts().length >= 4, 180, 'the first trainings');
    process.kill(await masterPid(profile.ssh), 'SIGKILL');
    await eventually(async () => (await loginState()) === 'needs_login', 120, 'the second wait for a login');
    const before = starts().length;
    // The pilot goes on with what lies in the spool.
    await eventually(() => starts().length > before || starts().length >= 12, 60, 'trainings without a login');
    expect(sshd.logins()).toEqual({ accepted: 1, failed: 0 });

    await person();
    const result = await running;
    expect(result.counts).toMatchObject({ total: 16, completed: 16 });
    expect(new Set(starts()).size).toBe(starts().length);
    expect(starts()).toHaveLength(16);
    expect(pbs.events().filter((event) => event.event === 'submit')).toHaveLength(1);
    expect(sshd.logins()).toEqual({ accepted: 2, failed: 0 });
  });

  async function masterPid(settings: Parameters<typeof masterAddress>[1]): Promise<number> {
    const child = spawn('ssh', ['-S', masterAddress('standin', settings, sshd.env).socket, '-O', 'check', 'x'], { stdio: 'pipe' });
    let words = '';
    child.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString();
    });
    await new Promise((resolve) => child.once('close', resolve));
    return Number(/pid=(\d+)/.exec(words)?.[1]);
  }
});
