import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PbsStandIn } from '../support/pbs/standin.ts';
import { removeSshd, startSshd, whyNoSshd } from '../support/sshd.ts';

const reason = whyNoSshd();
if (reason) console.warn(`npm run test:pbs is not tried: ${reason}`);

describe.skipIf(reason !== undefined)('npm run test:pbs -- --host … --queue …', () => {
  it('tries a site that has no profile, and leaves neither a job nor a file there', { timeout: 900_000 }, async () => {
    const pbs = await PbsStandIn.start();
    const sshd = await startSshd({ sessionEnv: pbs.env });
    try {
      const before = readdirSync(pbs.home).sort();
      const site = [
        '--host',
        'testhost',
        '--queue',
        'debug',
        '--account',
        'hpo_proj',
        '--filesystems',
        'home:flare',
        '--transport',
        'ssh2',
      ];
      const run = spawn(process.execPath, ['test/pbs/run.mjs', ...site], {
        env: { ...sshd.env, NO_COLOR: '1', VITEST: '' },
        stdio: 'pipe',
      });
      let said = '';
      for (const stream of [run.stdout, run.stderr])
        stream.on('data', (piece) => {
          said += piece;
        });
      const [exit] = await once(run, 'close');
      expect(exit, said).toBe(0);
      expect(said).toContain('conformance of testhost, queue debug');
      expect(pbs.events().filter(({ event }) => event === 'submit').length).toBeGreaterThanOrEqual(2);
      expect(pbs.jobs().filter(({ state }) => state !== 'F')).toEqual([]);
      expect(readdirSync(pbs.home).sort()).toEqual(before);
      expect(sshd.logins().failed).toBe(0);
    } finally {
      await removeSshd(sshd);
      await pbs.close();
    }
  });
});
