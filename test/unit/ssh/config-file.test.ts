import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseJump, resolveHost } from '../../../src/ssh/config-file.ts';

let home: string;
let file: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'hf-sshconfig-'));
  mkdirSync(join(home, '.ssh', 'conf.d'), { recursive: true });
  file = join(home, '.ssh', 'config');
  writeFileSync(
    file,
    `
Include ${home}/.ssh/conf.d/*.conf
Host aurora
  HostName %h.example.org
  User me
  IdentityFile ${home}/.ssh/k1
  IdentityFile "${home}/.ssh/k 2"
  ProxyJump u@jump:33,second
  UserKnownHostsFile ${home}/a ${home}/b
Host aur* !aurora
  Port 2222
Host alias
  HostName 127.0.0.1
  HostKeyAlias Other.Name
  IdentitiesOnly yes
  IdentityAgent none
Host withcommand
  ProxyCommand nc %h %p
Host tokens
  IdentityFile ${home}/%n-%r-%p
Match host m*.example.org
  Port 44
Host *
  User everybody
`,
  );
  writeFileSync(join(home, '.ssh', 'conf.d', 'one.conf'), 'Host included\n  HostName inc.example.org\n  Port 77\n');
  writeFileSync(join(home, '.ssh', 'conf.d', 'not-read.txt'), 'Host included\n  User nobody\n');
});
afterAll(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));

/** What OpenSSH itself makes of the file. */
function openssh(host: string): Map<string, string[]> {
  const lines = execFileSync('ssh', ['-T', '-G', '-F', file, host], { encoding: 'utf8', env: { ...process.env, HOME: home } })
    .trim()
    .split('\n');
  const found = new Map<string, string[]>();
  for (const line of lines) {
    const space = line.indexOf(' ');
    const key = line.slice(0, space);
    found.set(key, [...(found.get(key) ?? []), line.slice(space + 1)]);
  }
  return found;
}

const mine = (host: string, user?: string) => resolveHost({ host, user, configFile: file }, { HOME: home });

describe('resolveHost reads the file as OpenSSH does', () => {
  it.each(['aurora', 'aurelia', 'alias', 'included', 'm1.example.org', 'nowhere.example.org', 'tokens'])('%s', (host) => {
    const theirs = openssh(host);
    const ours = mine(host);
    expect({ hostName: ours.hostName, port: String(ours.port), user: ours.user }).toEqual({
      hostName: theirs.get('hostname')?.[0],
      port: theirs.get('port')?.[0],
      user: theirs.get('user')?.[0],
    });
    expect(ours.identitiesOnly).toBe(theirs.get('identitiesonly')?.[0] === 'yes');
    expect(ours.jumps.join(',')).toBe(theirs.get('proxyjump')?.[0] ?? '');
  });
});

it('key files keep their order, tokens and blanks are filled in', () => {
  expect(mine('aurora').identityFiles).toEqual([`${home}/.ssh/k1`, `${home}/.ssh/k 2`]);
  expect(mine('tokens').identityFiles).toEqual([`${home}/tokens-everybody-22`]);
});

it('without IdentityFile the usual key files are tried', () => {
  expect(mine('nowhere').identityFiles).toEqual(['id_ed25519', 'id_ecdsa', 'id_rsa'].map((name) => join(home, '.ssh', name)));
});

it('the profile wins over the file', () => {
  expect(resolveHost({ host: 'aurora', user: 'other', port: 5, configFile: file }, { HOME: home })).toMatchObject({
    user: 'other',
    port: 5,
  });
});

it('HostKeyAlias names the key, in lower case', () => {
  expect(mine('alias')).toMatchObject({ keyName: 'other.name', agent: undefined });
});

it('known_hosts files are the named ones, then the system’s', () => {
  expect(mine('aurora').knownHostsFiles.slice(0, 2)).toEqual([`${home}/a`, `${home}/b`]);
});

it('a ProxyCommand is refused with what to do instead', () => {
  expect(() => mine('withcommand')).toThrow(/ProxyCommand.*ProxyJump, or transport: openssh/);
});

it('a file that the profile names must be there, the usual one need not', () => {
  expect(() => resolveHost({ host: 'x', configFile: join(home, 'none') }, { HOME: home })).toThrow(/cannot be read/);
  expect(resolveHost({ host: 'x' }, { HOME: join(home, 'conf.d') }).hostName).toBe('x');
});

it.each([
  ['h', { host: 'h' }],
  ['u@h:33', { host: 'h', user: 'u', port: 33 }],
  ['[::1]:22', { host: '::1', port: 22 }],
  ['ssh://u@h', { host: 'h', user: 'u' }],
])('ProxyJump %s', (text, expected) => {
  expect(parseJump(text)).toEqual(expected);
});
