import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { sshSettings } from '../../src/ssh/settings.ts';
import { startCli } from '../support/cli.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';
import { openMaster, TRANSPORTS } from '../support/ssh-suite.ts';
import { removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';

const ID = '0e0e0e0e-1111-4222-8333-444444444444';

/** The real program but for start, stop and restart, which need the service's broker: they leave what the real ones leave in the folder. */
const PROGRAM = `#!/bin/sh
base=$HOME/.globus_compute
case "$1" in
  start|restart) printf '{"endpoint_id":\\n "${ID}"}' >"$base/$2/endpoint.json"; echo 1 >"$base/$2/daemon.pid"; printf 'started\\nERROR qsub: no\\n' >"$base/$2/endpoint.log"
    mkdir -p "$base/uep.${ID}.x"; echo 'in a process' >"$base/uep.${ID}.x/endpoint.log" ;;
  stop) rm -f "$base/$2/daemon.pid" ;;
  *) exec globus-compute-endpoint "$@" ;;
esac
`;

describe.skipIf(!HAS_GLOBUS_PYTHON || whyNoSshd() !== undefined).each(TRANSPORTS)(
  'holdfast endpoint --on a machine behind %s',
  (transport) => {
    let sshd: TestSshd;
    let folder: string;
    const here = process.cwd();

    beforeAll(async () => {
      sshd = await startSshd();
      folder = mkdtempSync(join(tmpdir(), 'holdfast-endpoint-ssh-'));
      mkdirSync(join(folder, 'config', 'systems'), { recursive: true });
      const program = join(folder, 'endpoint-program');
      writeFileSync(program, PROGRAM);
      chmodSync(program, 0o755);
      const ssh = { host: 'testhost', transport, config_file: sshd.clientConfig };
      const profile = {
        version: 1,
        name: 'there',
        kind: 'pbs',
        as_of: '2026-11-24',
        source: 'the test',
        ssh,
        // The program of the endpoint's own environment, as `source venv/bin/activate` would give it.
        setup: [`export PATH=${dirname(GLOBUS_PYTHON)}:$PATH`],
        slots: { per_node: 1 },
        queues: [{ name: 'q', nodes: { max: 1 }, walltime: { max: '1h' } }],
        default_queue: 'q',
      };
      writeFileSync(join(folder, 'config', 'systems', 'there.yaml'), JSON.stringify(profile));
      const shipped = readFileSync(join(packageRoot(), 'config/globus_endpoint.yaml'), 'utf8');
      // As root the real program counts as serving several users and wants an address.
      writeFileSync(join(folder, 'globus_endpoint.yaml'), `${shipped}contact_email: somebody@example.org\n`);
      // A login that talks, and that would eat the input of what comes after it.
      writeFileSync(join(sshd.home, '.bash_profile'), 'echo "*** Maintenance on Monday ***"; cat >/dev/null\n');
      process.chdir(folder);
      if (transport === 'openssh') {
        const before = await run('list', '--on', 'there');
        expect(before).toMatchObject({ exit: 3, err: expect.stringContaining('holdfast login there') });
        await openMaster(sshd, sshSettings.parse(ssh), 'there');
      }
    });
    afterAll(async () => {
      process.chdir(here);
      if (sshd) await removeSshd(sshd);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    });

    const run = (...words: string[]) => startCli(['endpoint', ...words], { env: sshd.env as Record<string, string> }).end();
    const there = (...words: string[]) => run(...words, '--on', 'there', '--program', join(folder, 'endpoint-program'));
    const remote = (path: string) => join(sshd.home, '.globus_compute', path);

    it('makes an endpoint with the program that is there; its own loader accepts the files', { timeout: 120_000 }, async () => {
      expect((await there('list')).out).toBe('No endpoint is configured on there. Run `holdfast endpoint init NAME`.\n');
      const made = await there('init', 'rig', '-c', 'globus_endpoint.yaml');
      expect(made.exit, made.err).toBe(0);
      expect(made.out).toContain("the endpoint's own loader accepts its files");
      expect(made.out).toContain(`Endpoint rig is configured in ${remote('rig')}`);
      for (const file of ['config.yaml', 'user_config_template.yaml.j2', 'user_config_schema.json'])
        expect(statSync(remote(`rig/${file}`)).mode & 0o777).toBe(0o600);
      expect(existsSync(join(folder, '.globus_compute'))).toBe(false);
      writeFileSync(remote('rig/user_config_template.yaml.j2'), 'engine: {{ nothing }}\n');
      const broken = await there('validate', 'rig');
      expect(broken).toMatchObject({ exit: 1, err: expect.stringContaining('nothing') });
    });

    it('starts, shows, reads logs and stops', { timeout: 120_000 }, async () => {
      expect((await there('start', 'rig')).out).toContain(`Endpoint rig: running, id ${ID}`);
      expect((await there('list')).out).toMatch(new RegExp(`^running\\s+${ID}\\s+rig$`, 'm'));
      expect((await there('show', 'rig')).out.split('\n').slice(0, 3)).toEqual([ID, 'name: rig', 'state: running']);
      const old = new Date(Date.now() - 60_000);
      utimesSync(remote('rig/daemon.pid'), old, old);
      expect((await there('show', 'rig')).out).toContain('state: disconnected');
      const logs = (await there('logs', 'rig', '-n', '1')).out;
      expect(logs).toBe(
        `==> ${remote('rig/endpoint.log')} <==\nERROR qsub: no\n==> ${remote(`uep.${ID}.x/endpoint.log`)} <==\nin a process\n`,
      );
      expect((await there('logs', 'rig', '--errors')).out).toBe('ERROR qsub: no\n');
      expect((await there('stop', 'rig')).out).toContain('Endpoint rig: registered');
    });

    it('says what is missing, and where', async () => {
      const absent = await run('validate', 'rig', '--on', 'there', '--program', '/nowhere/globus-compute-endpoint');
      expect(absent).toMatchObject({ exit: 1, err: expect.stringContaining('/nowhere/globus-compute-endpoint: not found on there') });
      expect(await there('show', 'nobody')).toMatchObject({ exit: 1, err: expect.stringContaining('does not exist on there') });
      expect(await run('list', '--on', 'local')).toMatchObject({ exit: 2, err: expect.stringContaining('of kind local') });
      const setup = await run('validate', 'rig', '--on', 'there', '--setup', 'module_that_is_not_there x');
      expect(setup).toMatchObject({ exit: 1, err: expect.stringContaining('module_that_is_not_there') });
    });
  },
);
