import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type HeldShell, holdShell } from '../../src/ssh/hold-shell.ts';
import { createPbsDriver } from '../../src/systems/pbs/driver.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { planOf, QUICK, STAND_IN_SITE, standInProfile } from '../support/pbs/campaign.ts';
import { PbsStandIn } from '../support/pbs/standin.ts';
import { randomFrom, SEED } from '../support/random.ts';
import { removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const reason = whyNoSshd();
if (reason) console.warn(`a campaign over cut connections is not tried: ${reason}`);
/** HOLDFAST_CUTS=100 makes a long night of it. */
const CUTS = Number(process.env.HOLDFAST_CUTS ?? 5);
const TRIALS = Math.max(8, CUTS);

/** The worker's own connection (ssh2 with a key) through a proxy that cuts it again and again, at random bytes of either direction. */
describe.skipIf(reason !== undefined)(`a campaign over SSH whose connection is cut ${CUTS} times (HOLDFAST_SEED=${SEED})`, () => {
  let engine: Engine;
  let pbs: PbsStandIn;
  let sshd: TestSshd;
  let proxy: TcpProxy;
  let held: HeldShell;

  beforeAll(async () => {
    [engine, pbs] = await Promise.all([startEngine(), PbsStandIn.start()]);
    sshd = await startSshd({ sessionEnv: pbs.env });
    proxy = await startProxy(sshd.port);
    appendFileSync(path.join(sshd.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${sshd.hostKey()}\n`);
  });
  afterAll(async () => {
    await engine?.close();
    await held?.release();
    await proxy?.close();
    if (sshd) await removeSshd(sshd);
    await pbs?.close();
  });

  it('ends with every trial done, each started once, each pilot submitted once', { timeout: 1_200_000 }, async () => {
    const ssh = { host: 'testhost', port: proxy.port, transport: 'ssh2', config_file: sshd.clientConfig, connect_timeout_seconds: 10 };
    writeFileSync(path.join(pbs.directory, 'standin.yaml'), stringify({ ...STAND_IN_SITE, ssh }));
    const profile = standInProfile({ ssh });
    held = await holdShell('standin', profile.ssh, sshd.env);
    const lostRule = { looks: 3, seconds: 6, settleSeconds: 6, arrivalSeconds: 6 };
    await engine.startWorker({ standin: createPbsDriver({ name: 'standin', profile, shell: held.shell, timing: QUICK, lostRule }) });

    const random = randomFrom(SEED);
    let planned = 0;
    const cutter = setInterval(() => {
      // The next cut is planned when the last one has happened.
      if (proxy.cuts() < planned || planned >= CUTS) return;
      planned++;
      proxy.cutAfter(1 + Math.floor(random() * 12_000), random() < 0.5 ? 'toServer' : 'toClient');
    }, 100);
    const result = await engine
      .run(
        {
          version: 1,
          name: 'cuts',
          system: { name: path.join(pbs.directory, 'standin.yaml'), account: 'hpo_proj', walltime: '10m', nodes: 2, max_pilots: 1 },
          objective: { metric: 'loss', direction: 'minimize' },
          search_space: { x: { type: 'float', min: 0, max: 1 } },
          sampler: { type: 'random', seed: 5 },
          training: { bundle: planOf(pbs).spec.training.bundle, command: ['sh', '{code}/train.sh', '1', '{x}'] },
          budget: { trials: TRIALS },
          working_dirs: { aurora_base: path.join(pbs.directory, 'flare'), local_base: path.join(pbs.directory, 'results') },
        },
        'cuts-1',
      )
      .finally(() => clearInterval(cutter));

    expect(result.counts).toMatchObject({ total: TRIALS, completed: TRIALS });
    const starts = existsSync(path.join(pbs.home, 'starts')) ? readFileSync(path.join(pbs.home, 'starts'), 'utf8').trim().split('\n') : [];
    expect(new Set(starts).size).toBe(TRIALS);
    expect(starts).toHaveLength(TRIALS);
    const submitted = pbs.events().filter((event) => event.event === 'submit');
    expect(new Set(submitted.map((event) => event.name)).size).toBe(submitted.length);
    expect(sshd.logins().failed).toBe(0);
    console.info(`${proxy.cuts()} cuts, ${sshd.logins().accepted} logins, ${submitted.length} jobs`);
    expect(proxy.cuts()).toBeGreaterThan(1);
  });
});
