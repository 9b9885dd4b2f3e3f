import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprint, hostKeyType, judgeHostKey, keysFor, knownHostName, parseKnownHosts } from '../../../src/ssh/known-hosts.ts';

let folder: string;
const keys: Record<string, string> = {};
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hf-known-'));
  for (const name of ['one', 'two']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
    keys[name] = readFileSync(join(folder, `${name}.pub`), 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ');
  }
  execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', join(folder, 'ec')]);
  keys.ec = readFileSync(join(folder, 'ec.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const blob = (name: string) => Buffer.from((keys[name] ?? '').split(' ')[1] ?? '', 'base64');
const judge = (text: string, host: string, key: string) => judgeHostKey(parseKnownHosts(text, 'known_hosts'), host, blob(key)).kind;

describe('judgeHostKey', () => {
  it('knows a host by its plain name and not by another', () => {
    expect(judge(`login.example.org ${keys.one}\n`, 'login.example.org', 'one')).toBe('known');
    expect(judge(`login.example.org ${keys.one}\n`, 'other.example.org', 'one')).toBe('unknown');
  });

  it('knows hashed names that ssh-keygen -H wrote, with and without a port', () => {
    const file = join(folder, 'hashed');
    writeFileSync(file, `login.example.org ${keys.one}\n[login.example.org]:2222 ${keys.two}\n`);
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' });
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^\|1\|/);
    expect(judge(text, 'login.example.org', 'one')).toBe('known');
    expect(judge(text, knownHostName('login.example.org', 2222), 'two')).toBe('known');
    expect(judge(text, knownHostName('login.example.org', 2222), 'one')).toBe('changed');
    expect(judge(text, 'login2.example.org', 'one')).toBe('unknown');
  });

  it('a port of its own is another host', () => {
    expect(judge(`[h]:2222 ${keys.one}\n`, 'h', 'one')).toBe('unknown');
    expect(judge(`h ${keys.one}\n`, '[h]:2222', 'one')).toBe('unknown');
  });

  it('wildcards match and a negated pattern takes a host out again', () => {
    const text = `*.example.org,!bad.example.org ${keys.one}\n`;
    expect(judge(text, 'a.example.org', 'one')).toBe('known');
    expect(judge(text, 'bad.example.org', 'one')).toBe('unknown');
    expect(judge(`a?c ${keys.one}`, 'a.c', 'one')).toBe('known');
    expect(judge(`a.c ${keys.one}`, 'abc', 'one')).toBe('unknown');
  });

  it('another key of the same type is changed, a key of a new type is unknown', () => {
    expect(judge(`h ${keys.one}\n`, 'h', 'two')).toBe('changed');
    expect(judge(`h ${keys.one}\n`, 'h', 'ec')).toBe('unknown');
    expect(judge(`h ${keys.one}\nh ${keys.two}\n`, 'h', 'two')).toBe('known');
  });

  it('a revoked key is refused even where it is also on file', () => {
    expect(judge(`h ${keys.one}\n@revoked * ${keys.one}\n`, 'h', 'one')).toBe('revoked');
    expect(judge(`@revoked other ${keys.one}\nh ${keys.one}\n`, 'h', 'one')).toBe('known');
  });

  it('a certificate authority is no key of the host', () => {
    expect(judge(`@cert-authority * ${keys.one}\n`, 'h', 'one')).toBe('unknown');
    expect(keysFor(parseKnownHosts(`@cert-authority * ${keys.one}\n`, 'f'), 'h')).toEqual([]);
  });

  it('comments, blank lines and broken lines are skipped', () => {
    expect(parseKnownHosts(`# h ${keys.one}\n\nnonsense\nh ${keys.one} comment here\n`, 'f').map((line) => line.where)).toEqual(['f:4']);
  });
});

it('fingerprint is what ssh-keygen -l prints', () => {
  const printed = execFileSync('ssh-keygen', ['-l', '-f', join(folder, 'one.pub')], { encoding: 'utf8' });
  expect(printed).toContain(` ${fingerprint(blob('one'))} `);
  expect(hostKeyType(blob('ec'))).toBe('ecdsa-sha2-nistp256');
});
