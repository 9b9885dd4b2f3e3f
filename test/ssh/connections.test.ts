import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { login } from '../../src/cli/login.ts';
import { isMasterAlive, masterAddress } from '../../src/ssh/control-master.ts';
import { holdShell } from '../../src/ssh/hold-shell.ts';
import { fingerprint } from '../../src/ssh/known-hosts.ts';
import { openShell } from '../../src/ssh/open-shell.ts';
import { sshSettings } from '../../src/ssh/settings.ts';
import type { RemoteShell } from '../../src/ssh/transport.ts';
import { begunCommand, exited } from '../support/ssh-suite.ts';
import { freePort, keygen, removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';

const reason = whyNoSshd();
let sshd: TestSshd;
const shells: RemoteShell[] = [];

beforeEach(async () => {
  if (!reason) sshd = await startSshd();
});
afterEach(async () => {
  for (const shell of shells.splice(0)) await shell.close();
  if (!reason) await removeSshd(sshd);
});

const knownHosts = () => join(sshd.home, '.ssh', 'known_hosts');

function ssh2Shell(more: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = sshd.env): RemoteShell {
  const { shell } = openShell(
    's',
    sshSettings.parse({ host: 'testhost', transport: 'ssh2', config_file: sshd.clientConfig, ...more }),
    env,
  );
  shells.push(shell);
  return shell;
}

describe.skipIf(reason !== undefined)('ssh2 and host keys', () => {
  it('an unknown host is refused with its fingerprint and the command that accepts it, which works', async () => {
    writeFileSync(knownHosts(), '');
    const failure = await ssh2Shell()
      .run({ script: ':' })
      .catch((error: Error) => error);
    const blob = Buffer.from(sshd.hostKey().split(' ')[1] ?? '', 'base64');
    expect(failure).toMatchObject({ code: 'HF-SSH-HOST-KEY-UNKNOWN', message: expect.stringContaining(fingerprint(blob)) });
    expect(sshd.logins()).toEqual({ accepted: 0, failed: 0 });
    const command = /accept it with: (.*)$/.exec((failure as Error).message)?.[1] ?? 'false';
    execFileSync('/bin/sh', ['-c', command]);
    expect(exited(await ssh2Shell().run({ script: 'echo in' })).stdout).toBe('in\n');
  });

  it('a changed host key is refused before any key or code of the user is sent', async () => {
    keygen('ed25519', join(sshd.folder, 'other'));
    const other = readFileSync(join(sshd.folder, 'other.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
    writeFileSync(knownHosts(), `[127.0.0.1]:${sshd.port} ${other}\n`);
    const shell = ssh2Shell();
    await expect(shell.run({ script: ':' })).rejects.toMatchObject({
      code: 'HF-SSH-HOST-KEY-CHANGED',
      class: 'needs_login',
      message: expect.stringContaining('ssh-keygen -R'),
    });
    expect(shell.state().kind).toBe('needs_login');
    expect(sshd.log()).not.toMatch(/Accepted|Failed|Postponed/);
  });

  it('a revoked host key is refused even where it is on file', async () => {
    appendFileSync(knownHosts(), `@revoked * ${sshd.hostKey()}\n`);
    await expect(ssh2Shell().run({ script: ':' })).rejects.toMatchObject({ code: 'HF-SSH-HOST-KEY-REVOKED' });
  });

  it('a host known by hashed name and by its RSA key only is asked for that key', async () => {
    writeFileSync(knownHosts(), `[127.0.0.1]:${sshd.port} ${sshd.hostKey('rsa')}\n`);
    execFileSync('ssh-keygen', ['-q', '-H', '-f', knownHosts()], { stdio: 'ignore' });
    expect(readFileSync(knownHosts(), 'utf8')).toMatch(/^\|1\|/);
    expect(exited(await ssh2Shell().run({ script: 'echo in' })).stdout).toBe('in\n');
  });
});

describe.skipIf(reason !== undefined)('ssh2 with keys', () => {
  it('a refused key is tried once and then waits for a person', async () => {
    writeFileSync(join(sshd.folder, 'authorized_keys'), '');
    const shell = ssh2Shell();
    for (let i = 0; i < 4; i++)
      await expect(shell.run({ script: ':' })).rejects.toMatchObject({ code: 'HF-SSH-LOGIN-REFUSED', class: 'needs_login' });
    expect((sshd.log().match(/^Connection from/gm) ?? []).length).toBe(1);
    expect(shell.state()).toMatchObject({ kind: 'needs_login', why: expect.stringContaining('id_ed25519') });
  });

  it('a refused key that was mended is tried again by holdfast login, and only then', async () => {
    const authorized = join(sshd.folder, 'authorized_keys');
    const keys = readFileSync(authorized);
    writeFileSync(authorized, '');
    const settings = sshSettings.parse({ host: 'testhost', transport: 'ssh2', config_file: sshd.clientConfig });
    const held = await holdShell('s', settings, sshd.env);
    try {
      await expect(held.shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
      writeFileSync(authorized, keys);
      await expect(held.shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
      const woken: string[] = [];
      const io = {
        input: new PassThrough(),
        output: new PassThrough().resume(),
        env: sshd.env,
        wake: async (system: string) => void woken.push(system),
      };
      expect(await login('s', settings, { check: true }, io)).toMatchObject({ kind: 'needs_login' });
      expect(await login('s', settings, {}, io)).toMatchObject({ kind: 'ready' });
      expect(woken).toEqual(['s']);
      expect(exited(await held.shell.run({ script: 'echo in' })).stdout).toBe('in\n');
    } finally {
      await held.release();
    }
  });

  it('a server that is down is unreachable, is not asked in a loop, and is found again when it is back', async () => {
    const shell = ssh2Shell();
    expect(exited(await shell.run({ script: 'echo 1' })).stdout).toBe('1\n');
    await sshd.stop();
    for (let i = 0; i < 20; i++) await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'transport' });
    expect(shell.state()).toMatchObject({ kind: 'unreachable', retrySeconds: expect.any(Number) });
    await sshd.start();
    let back: string | undefined;
    for (let tries = 0; tries < 100 && back === undefined; tries++) {
      back = await shell.run({ script: 'echo 2' }).then(
        (answer) => exited(answer).stdout,
        () => undefined,
      );
      if (back === undefined) await sleep(200);
    }
    expect(back).toBe('2\n');
    expect(sshd.logins().accepted).toBe(2);
  });

  it('commands that start together share one connection attempt', async () => {
    const shell = ssh2Shell();
    await Promise.all(Array.from({ length: 6 }, () => shell.run({ script: ':' })));
    expect(sshd.logins()).toEqual({ accepted: 1, failed: 0 });
  });

  it('a closed port is unreachable at once', async () => {
    writeFileSync(knownHosts(), '');
    const shell = ssh2Shell({ port: await freePort() });
    await expect(shell.run({ script: ':' })).rejects.toMatchObject({
      code: 'HF-SSH-UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('a server that says nothing is unreachable after connect_timeout_seconds', async () => {
    const { createServer } = await import('node:net');
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const shell = ssh2Shell({ port: typeof address === 'object' ? address?.port : 0, connect_timeout_seconds: 1 });
    await expect(shell.run({ script: ':' })).rejects.toMatchObject({ code: 'HF-SSH-UNREACHABLE' });
    silent.close();
  });

  it('a key in the agent opens the door without a key file', async () => {
    const socket = join(sshd.folder, 'agent');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    try {
      while (!existsSync(socket)) await sleep(20);
      execFileSync('ssh-add', ['-q', join(sshd.home, '.ssh', 'id_ed25519')], {
        env: { ...sshd.env, SSH_AUTH_SOCK: socket },
        stdio: 'ignore',
      });
      const config = join(sshd.home, 'agent-config');
      writeFileSync(
        config,
        readFileSync(sshd.clientConfig, 'utf8')
          .replace(/ {2}(IdentityFile|IdentitiesOnly|IdentityAgent).*\n/g, '')
          .concat('  IdentityFile /nowhere\n'),
      );
      const shell = ssh2Shell({ config_file: config }, { ...sshd.env, SSH_AUTH_SOCK: socket });
      expect(exited(await shell.run({ script: 'echo in' })).stdout).toBe('in\n');
    } finally {
      agent.kill();
    }
  });

  it('ProxyJump goes through the first server to the second, each with its own host key', async () => {
    const inner = await startSshd();
    try {
      const config = join(sshd.home, 'jump-config');
      const innerHost = readFileSync(inner.clientConfig, 'utf8').replace('Host testhost', 'Host inner');
      writeFileSync(config, `${readFileSync(sshd.clientConfig, 'utf8')}\n${innerHost}  ProxyJump testhost\n`);
      const shell = ssh2Shell({ host: 'inner', config_file: config });
      expect(exited(await shell.run({ script: 'echo "$SSH_CONNECTION"' })).stdout).toContain(` ${inner.port}\n`);
      expect([sshd.logins().accepted, inner.logins().accepted]).toEqual([1, 1]);
      await shell.close();
      writeFileSync(join(inner.home, '.ssh', 'known_hosts'), '');
      await expect(ssh2Shell({ host: 'inner', config_file: config }).run({ script: ':' })).rejects.toMatchObject({
        code: 'HF-SSH-HOST-KEY-UNKNOWN',
      });
    } finally {
      await removeSshd(inner);
    }
  });
});

describe.skipIf(reason !== undefined)('the ControlMaster', () => {
  const settings = () => sshSettings.parse({ host: 'testhost', transport: 'openssh', config_file: sshd.clientConfig });
  const io = () => ({ input: new PassThrough(), output: new PassThrough().resume(), env: sshd.env, wake: async () => undefined });

  it('without a login nothing connects: commands, copies, check', async () => {
    const { shell } = openShell('s', settings(), sshd.env);
    writeFileSync(join(sshd.folder, 'x'), 'x');
    await expect(shell.run({ script: ':' })).rejects.toMatchObject({
      code: 'HF-SSH-NEEDS-LOGIN',
      message: expect.stringContaining('holdfast login s'),
    });
    await expect(shell.upload(join(sshd.folder, 'x'), join(sshd.folder, 'y'))).rejects.toMatchObject({ class: 'needs_login' });
    expect(await login('s', settings(), { check: true }, io())).toMatchObject({ kind: 'needs_login' });
    expect(sshd.log()).not.toContain('Connection from');
  });

  it('a killed master leaves a stale socket: needs login, 0 new logins, and the next holdfast login replaces it', async () => {
    await login('s', settings(), {}, io());
    const { shell } = openShell('s', settings(), sshd.env);
    exited(await shell.run({ script: ':' }));
    const { answer } = await begunCommand(shell, sshd.folder, { script: 'sleep 30' });
    const pid = await masterProcess();
    process.kill(pid, 'SIGKILL');
    expect((await answer).kind).toBe('unknown');
    expect(shell.state().kind).toBe('needs_login');
    expect(existsSync(masterAddress('s', settings(), sshd.env).socket)).toBe(true);
    for (let i = 0; i < 4; i++) await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
    expect(sshd.logins()).toEqual({ accepted: 1, failed: 0 });
    expect(await login('s', settings(), {}, io())).toMatchObject({ kind: 'ready' });
    expect(exited(await shell.run({ script: 'echo back' })).stdout).toBe('back\n');
    expect(shell.state().kind).toBe('ready');
    expect(sshd.logins().accepted).toBe(2);
    await login('s', settings(), { logout: true }, io());
    expect(await isMasterAlive(masterAddress('s', settings(), sshd.env))).toBe(false);
  });

  it('a RemoteCommand, a terminal and forwardings of the user’s own config do not come into our commands and copies', async () => {
    appendFileSync(
      sshd.clientConfig,
      '  RemoteCommand echo hijacked\n  RequestTTY yes\n  LocalForward 127.0.0.1:1 127.0.0.1:2\n  PermitLocalCommand yes\n  LocalCommand echo local\n',
    );
    await login('s', settings(), {}, io());
    const { shell } = openShell('s', settings(), sshd.env);
    expect(exited(await shell.run({ script: 'echo ours; test -t 0 || echo no terminal' })).stdout).toBe('ours\nno terminal\n');
    writeFileSync(join(sshd.folder, 'x'), 'x');
    await shell.upload(join(sshd.folder, 'x'), join(sshd.folder, 'y'));
    expect(readFileSync(join(sshd.folder, 'y'), 'utf8')).toBe('x');
    await login('s', settings(), { logout: true }, io());
  });

  it('a login while the master lives opens no second connection, and names the login node', async () => {
    await login('s', settings(), {}, io());
    const state = await login('s', settings(), {}, io());
    expect(state).toMatchObject({ kind: 'ready', node: expect.stringMatching(/./) });
    await expect(login('s', settings(), { node: 'other' }, io())).rejects.toMatchObject({ class: 'refused' });
    expect(sshd.logins().accepted).toBe(1);
    await login('s', settings(), { logout: true }, io());
  });

  it('a server that goes away ends the master within three signs of life, and nobody logs in', async () => {
    const quick = sshSettings.parse({ ...settings(), keep_alive_seconds: 1 });
    await login('s', quick, {}, io());
    const { shell } = openShell('s', quick, sshd.env);
    exited(await shell.run({ script: ':' }));
    await sshd.stop();
    for (let tries = 0; (await shell.check()).kind === 'ready' && tries < 100; tries++) await sleep(100);
    expect(shell.state()).toMatchObject({ kind: 'needs_login' });
    await sshd.start();
    await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
    expect(sshd.logins().accepted).toBe(1);
  });

  /** The master's own process, as it tells it. */
  async function masterProcess(): Promise<number> {
    return Number(/pid=(\d+)/.exec(await checkWords())?.[1]);
  }

  function checkWords(): Promise<string> {
    return new Promise((resolve) => {
      const child = spawn('ssh', ['-S', masterAddress('s', settings(), sshd.env).socket, '-O', 'check', 'x'], { stdio: 'pipe' });
      let words = '';
      child.stderr.on('data', (chunk: Buffer) => {
        words += chunk.toString();
      });
      child.on('close', () => resolve(words));
    });
  }
});
