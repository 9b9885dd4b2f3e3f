import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { login } from '../../src/cli/login.ts';
import { isMasterAlive, masterAddress } from '../../src/ssh/control-master.ts';
import { type OpenShell, openShell } from '../../src/ssh/open-shell.ts';
import { type PasscodeServer, servePasscodes } from '../../src/ssh/passcode-socket.ts';
import { sshSettings } from '../../src/ssh/settings.ts';
import { type PasscodeServerOptions, type PasscodeTestServer, startPasscodeServer } from '../support/passcode-server.ts';
import { begunCommand, exited } from '../support/ssh-suite.ts';
import { whyNoSshd } from '../support/sshd.ts';

let site: PasscodeTestServer | undefined;
let worker: { open: OpenShell; socket: PasscodeServer } | undefined;

afterEach(async () => {
  await worker?.socket.close();
  await worker?.open.shell.close();
  await site?.close();
  worker = undefined;
  site = undefined;
});

/** A worker that holds the system `otp`, and what a terminal would type. */
async function workerFor(options: PasscodeServerOptions) {
  const there = await startPasscodeServer(options);
  site = there;
  const settings = sshSettings.parse({ host: 'otphost', transport: 'ssh2', auth: 'passcode', config_file: there.clientConfig });
  const open = openShell('otp', settings, there.env);
  if (!open.login) throw new Error('no login');
  worker = { open, socket: await servePasscodes('otp', { login: open.login, state: open.shell.state }, there.env) };
  const woken: string[] = [];
  const type = async (...lines: string[]) => {
    const output = new PassThrough();
    let shown = '';
    output.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
    const input = new PassThrough();
    input.end(lines.map((line) => `${line}\n`).join(''));
    const state = await login(
      'otp',
      settings,
      {},
      { input, output, env: there.env, wake: async (system) => void woken.push(system) },
    ).catch((error: Error) => error);
    return { state, shown };
  };
  return { there, shell: open.shell, settings, type, woken };
}

describe('ssh2 with one-time passcodes', () => {
  it('a passcode typed into holdfast login opens the worker’s connection and wakes the system', async () => {
    const { there, shell, type, woken } = await workerFor({ codes: ['1234'] });
    expect(shell.state().kind).toBe('needs_login');
    const { state, shown } = await type('1234');
    expect(state).toMatchObject({ kind: 'ready' });
    expect(shown).toMatch(
      /^Logging in to otp by SSH \(.+@.+\): what is asked for is this system's own passcode or password, no code of Globus\.$/m,
    );
    expect(shown).toMatch(/^otp \(.+@.+\): Enter PASSCODE: $/m);
    expect(shown).not.toContain('1234');
    expect(woken).toEqual(['otp']);
    expect(exited(await shell.run({ script: 'echo in' })).stdout).toBe('in\n');
    expect(there.attempts).toEqual([{ method: 'keyboard-interactive', answer: '1234', isRight: true }]);
  });

  it('a wrong code is one attempt, wakes nobody, and nothing is tried again by itself', async () => {
    const { there, shell, type, woken } = await workerFor({ codes: ['1234'] });
    const { state } = await type('9999', '8888', '7777');
    expect(state).toMatchObject({ class: 'needs_login', message: expect.stringContaining('refused') });
    for (let i = 0; i < 5; i++) await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
    await shell.check();
    await sleep(1_500);
    expect(there.attempts).toEqual([{ method: 'keyboard-interactive', answer: '9999', isRight: false }]);
    expect(there.connections()).toBe(1);
    expect(woken).toEqual([]);
    expect((await type('1234')).state).toMatchObject({ kind: 'ready' });
    expect(there.attempts).toHaveLength(2);
  });

  it('commands before any login are errors without a connection', async () => {
    const { there, shell } = await workerFor({ codes: [] });
    await expect(shell.run({ script: ':' })).rejects.toMatchObject({ code: 'HF-SSH-NEEDS-LOGIN' });
    expect((await shell.check()).kind).toBe('needs_login');
    expect(there.connections()).toBe(0);
  });

  it('a connection that dies is never opened again by the program', async () => {
    const { there, shell, type } = await workerFor({ codes: ['1', '2'] });
    await type('1');
    const { answer } = await begunCommand(shell, there.folder, { script: 'sleep 30' });
    there.cut();
    expect((await answer).kind).toBe('unknown');
    for (let i = 0; i < 5; i++) {
      await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
      await shell.check();
    }
    expect(there.connections()).toBe(1);
    expect(shell.state()).toMatchObject({ kind: 'needs_login', why: expect.stringContaining('holdfast login otp') });
    expect((await type('2')).state).toMatchObject({ kind: 'ready' });
    expect(exited(await shell.run({ script: 'echo again' })).stdout).toBe('again\n');
  });

  it('a site that takes the passcode as a password works the same, one attempt a code', async () => {
    const { there, type } = await workerFor({ codes: ['55'], method: 'password' });
    expect((await type('54', '55')).state).toMatchObject({ class: 'needs_login' });
    expect((await type('55')).state).toMatchObject({ kind: 'ready' });
    expect(there.attempts.map((attempt) => attempt.answer)).toEqual(['54', '55']);
  });

  it('a site that wants a key and then a passcode gets both', async () => {
    const { there, type } = await workerFor({ codes: ['7'], keyFirst: true });
    expect((await type('7')).state).toMatchObject({ kind: 'ready' });
    expect(there.requests).toContain('publickey');
  });

  it('a terminal that is closed at the prompt makes no attempt', async () => {
    const { there, type, shell } = await workerFor({ codes: ['1'] });
    expect((await type()).state).toBeInstanceOf(Error);
    await sleep(300);
    expect(there.attempts).toEqual([]);
    expect(shell.state().kind).toBe('needs_login');
  });

  it('a login while the connection is up asks for nothing', async () => {
    const { there, type } = await workerFor({ codes: ['1'] });
    await type('1');
    const { state, shown } = await type();
    expect(state).toMatchObject({ kind: 'ready' });
    expect(shown).not.toContain('PASSCODE');
    expect(there.attempts).toHaveLength(1);
  });

  it('with keys only, a site that wants a passcode is never asked twice and the message names the setting', async () => {
    const there = await startPasscodeServer({ codes: ['1'], keyFirst: true });
    site = there;
    const settings = sshSettings.parse({ host: 'otphost', transport: 'ssh2', auth: 'keys', config_file: there.clientConfig });
    const { shell } = openShell('keys', settings, there.env);
    for (let i = 0; i < 3; i++)
      await expect(shell.run({ script: ':' })).rejects.toMatchObject({
        class: 'needs_login',
        message: expect.stringContaining('ssh.auth: passcode'),
      });
    expect(there.connections()).toBe(1);
    expect(there.attempts).toEqual([]);
  });
});

describe.skipIf(whyNoSshd() !== undefined)('the user’s OpenSSH with one-time passcodes', () => {
  /** SSH_ASKPASS stands for the person at the terminal: every question takes the next line of the file. */
  async function terminal(codes: readonly string[], typed: readonly string[]) {
    const there = await startPasscodeServer({ codes });
    site = there;
    const settings = sshSettings.parse({ host: 'otphost', transport: 'openssh', config_file: there.clientConfig });
    const lines = join(there.folder, 'typed');
    writeFileSync(lines, typed.map((line) => `${line}\n`).join(''));
    const askpass = join(there.folder, 'askpass');
    writeFileSync(askpass, `#!/bin/sh\nhead -n 1 '${lines}'; sed -i 1d '${lines}'\n`, { mode: 0o755 });
    const env = { ...there.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' };
    const woken: string[] = [];
    const run = () =>
      login(
        'otp',
        settings,
        {},
        { input: new PassThrough(), output: new PassThrough().resume(), env, wake: async (system) => void woken.push(system) },
      );
    return { there, settings, env, run, woken };
  }

  it('holdfast login opens the master with one code, and all commands go through it without another', async () => {
    const { there, settings, env, run, woken } = await terminal(['42'], ['42', '43', '44']);
    expect(await run()).toMatchObject({ kind: 'ready', node: expect.any(String) });
    expect(woken).toEqual(['otp']);
    const { shell } = openShell('otp', settings, env);
    for (let i = 0; i < 5; i++) expect(exited(await shell.run({ script: 'echo "$1"', args: [String(i)] })).stdout).toBe(`${i}\n`);
    there.cut();
    for (let tries = 0; (await isMasterAlive(masterAddress('otp', settings, env))) && tries < 50; tries++) await sleep(100);
    for (let i = 0; i < 3; i++) await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
    expect(there.attempts.map((attempt) => attempt.answer)).toEqual(['42']);
    expect(there.connections()).toBe(1);
    spawnSync('ssh', ['-S', masterAddress('otp', settings, env).socket, '-O', 'exit', 'x'], { stdio: 'ignore' });
  });

  it('a wrong code is one attempt and then an error', async () => {
    const { there, run, woken } = await terminal(['42'], ['1', '2', '3']);
    await expect(run()).rejects.toMatchObject({ class: 'needs_login', code: 'HF-SSH-LOGIN-REFUSED' });
    expect(there.attempts.map((attempt) => attempt.answer)).toEqual(['1']);
    expect(woken).toEqual([]);
  });
});
