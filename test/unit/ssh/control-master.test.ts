import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  controlMasterCarrier,
  endMaster,
  isMasterAlive,
  type MasterAddress,
  masterAddress,
  openMasterWords,
} from '../../../src/ssh/control-master.ts';
import { sshSettings } from '../../../src/ssh/settings.ts';

let folder: string;
let address: MasterAddress;

/** `ssh` and `sftp` that write their words down, one line a call, and do nothing. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-shim-'));
  for (const name of ['ssh', 'sftp']) {
    writeFileSync(join(folder, name), `#!/bin/sh\n{ printf '%s' ${name}; printf ' %s' "$@"; echo; } >>'${folder}/calls'\ncat >/dev/null\n`);
    chmodSync(join(folder, name), 0o755);
  }
  vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
  const settings = sshSettings.parse({ host: 'aurora.alcf.anl.gov', user: 'ann', port: 2222 });
  address = masterAddress('aurora', settings, { ...process.env, HOLDFAST_RUNTIME_DIR: join(folder, 'run') });
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

const calls = () => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');

/** What keeps OpenSSH from a login of its own when a channel is refused or the master is dead. */
const GUARD = ['ControlMaster=no', 'BatchMode=yes', 'ProxyCommand=false', 'PermitLocalCommand=no', 'ClearAllForwardings=yes'];

describe('what OpenSSH is called with', () => {
  it('has the guard, the socket, the user and the port in every call: commands, copies, checks, the end', async () => {
    const carrier = controlMasterCarrier(address);
    const remote = await carrier.exec('true');
    remote.stdin.end();
    remote.stdout.resume();
    await remote.ended;
    writeFileSync(join(folder, 'file'), 'x');
    const copy = {
      localFile: join(folder, 'file'),
      remoteFile: '/lus/file',
      offset: 0,
      size: 1,
      progress: () => undefined,
      signal: new AbortController().signal,
    };
    await carrier.put(copy);
    await carrier.get({ ...copy, localFile: join(folder, 'other') });
    await isMasterAlive(address);
    await carrier.check();
    await endMaster(address);
    expect(calls()).toHaveLength(6);
    for (const call of calls()) {
      for (const option of [...GUARD, `ControlPath=${address.socket}`, 'User=ann', 'Port=2222']) expect(call).toContain(`-o ${option}`);
      expect(call).toMatch(/ -- aurora\.alcf\.anl\.gov( |$)/);
    }
  });

  it('is without it for a person’s login only, which makes one attempt', () => {
    const words = openMasterWords(address).join(' ');
    for (const option of [
      'ControlMaster=yes',
      `ControlPath=${address.socket}`,
      'NumberOfPasswordPrompts=1',
      'ConnectionAttempts=1',
      'User=ann',
    ])
      expect(words).toContain(`-o ${option}`);
    expect(words).not.toContain('BatchMode');
    expect(openMasterWords(address, 'aurora-uan-0010.aurora.alcf.anl.gov').join(' ')).toContain(
      '-o HostName=aurora-uan-0010.aurora.alcf.anl.gov',
    );
  });
});
