import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { diagnoseSsh, SSH_CHECKS } from '../../src/ssh/doctor.ts';
import { holdShell } from '../../src/ssh/hold-shell.ts';
import { openShell } from '../../src/ssh/open-shell.ts';
import { workerLoginState } from '../../src/ssh/passcode-socket.ts';
import { sshSettings } from '../../src/ssh/settings.ts';
import { logIn, TRANSPORTS } from '../support/ssh-suite.ts';
import { removeSshd, type SshdOptions, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';

const reason = whyNoSshd();
let sshd: TestSshd | undefined;
afterEach(async () => {
  if (sshd) await removeSshd(sshd);
  sshd = undefined;
});
async function server(options?: SshdOptions): Promise<TestSshd> {
  sshd = await startSshd(options);
  return sshd;
}

describe.skipIf(reason !== undefined)('doctor', () => {
  it.each(TRANSPORTS)('finds nothing to mend on a good system over %s', async (transport) => {
    const there = await server();
    const { shell, settings, end } = await logIn(there, transport);
    const findings = await diagnoseSsh({ system: 'test', settings, shell, env: there.env });
    await end();
    expect(findings.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(findings.map(({ id }) => id)).toEqual(SSH_CHECKS.filter(({ transports }) => transports.includes(transport)).map(({ id }) => id));
    expect(there.logins()).toEqual({ accepted: 1, failed: 0 });
  });

  it('says that the server gives fewer channels than are wanted', async () => {
    const there = await server({ maxSessions: 1 });
    const { shell, settings, end } = await logIn(there, 'ssh2');
    const findings = await diagnoseSsh({ system: 'test', settings, shell, env: there.env });
    await end();
    expect(findings.find(({ id }) => id === 'ssh-channels')).toMatchObject({
      status: 'warn',
      advice: expect.stringContaining('MaxSessions'),
    });
  });

  it('without a login skips what needs one, connects to nothing and names the command', async () => {
    const there = await server();
    const settings = sshSettings.parse({ host: 'testhost', config_file: there.clientConfig });
    const { shell } = openShell('test', settings, there.env);
    const findings = await diagnoseSsh({ system: 'test', settings, shell, env: there.env });
    expect(findings.find(({ id }) => id === 'ssh-login')).toMatchObject({
      status: 'warn',
      advice: expect.stringContaining('holdfast login test'),
    });
    expect(findings.filter(({ status }) => status === 'skip')).toHaveLength(6);
    expect(there.log()).not.toContain('Connection from');
  });

  it('a host without a key on file, a config that cannot work and a missing key are named', async () => {
    const there = await server();
    writeFileSync(join(there.home, '.ssh', 'known_hosts'), '');
    writeFileSync(there.clientConfig, 'Host testhost\n  HostName 127.0.0.1\n  IdentityFile /nowhere\n  IdentityAgent none\n');
    const settings = sshSettings.parse({ host: 'testhost', transport: 'ssh2', port: there.port, config_file: there.clientConfig });
    const { shell } = openShell('test', settings, there.env);
    const status = Object.fromEntries(
      (await diagnoseSsh({ system: 'test', settings, shell, env: there.env })).map((finding) => [finding.id, finding.status]),
    );
    expect(status).toMatchObject({ 'ssh-host-key': 'fail', 'ssh-keys': 'fail', 'ssh-login': 'warn' });
  });

  it('a worker that holds an ssh2 system answers holdfast login --check, and stops answering when it lets go', async () => {
    const there = await server();
    const settings = sshSettings.parse({ host: 'testhost', transport: 'ssh2', config_file: there.clientConfig });
    const held = await holdShell('test', settings, there.env);
    expect((await held.shell.check()).kind).toBe('ready');
    expect(await workerLoginState('test', there.env)).toMatchObject({ kind: 'ready' });
    await held.release();
    expect(await workerLoginState('test', there.env)).toBeUndefined();
  });
});
