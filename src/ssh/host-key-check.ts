import { readFileSync } from 'node:fs';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import type { DriverError } from '../systems/driver.ts';
import type { ResolvedHost } from './config-file.ts';
import { sshError } from './errors.ts';
import { fingerprint, hostKeyType, judgeHostKey, type KnownHost, keysFor, knownHostName, parseKnownHosts } from './known-hosts.ts';
import { quoteWord } from './quote.ts';

/** Signature algorithms by the key type that known_hosts names (RFC 8332: one RSA key, three algorithms). */
const ALGORITHMS: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'],
};

/** known_hosts of one host, read anew for every connection. */
export interface HostKeyCheck {
  /** Algorithms to ask for first: those whose key is on file, so that the server shows a key that can be checked. */
  readonly preferred: readonly ServerHostKeyAlgorithm[];
  /** Undefined when the key is the one on file, else the error to throw, with what to do. */
  readonly judge: (key: Buffer) => DriverError | undefined;
}

/** Reads the known_hosts files of a host, so that the key a server shows can be judged. */
export function hostKeyCheck(host: ResolvedHost): HostKeyCheck {
  const known = host.knownHostsFiles.flatMap(readKnownHosts);
  const name = knownHostName(host.keyName, host.port);
  const ownFile = host.knownHostsFiles[0] ?? '~/.ssh/known_hosts';
  const accept = (key: Buffer) =>
    `printf '%s\\n' ${quoteWord(`${name} ${hostKeyType(key)} ${key.toString('base64')}`)} >> ${quoteWord(ownFile)}`;
  return {
    preferred: [...new Set(keysFor(known, name).flatMap((line) => ALGORITHMS[line.keyType] ?? []))],
    judge(key) {
      const verdict = judgeHostKey(known, name, key);
      const shown = `${hostKeyType(key)} ${fingerprint(key)}`;
      switch (verdict.kind) {
        case 'known':
          return undefined;
        case 'unknown':
          return sshError(
            'HF-SSH-HOST-KEY-UNKNOWN',
            `${name} shows a host key that is not in ${ownFile}: ${shown}. Compare the fingerprint with the one your site publishes; if it is the same, accept it with: ${accept(key)}`,
          );
        case 'changed':
          return sshError(
            'HF-SSH-HOST-KEY-CHANGED',
            `${name} shows another host key than the one on file (${verdict.expected.map((line) => `${fingerprint(line.key)} at ${line.where}`).join(', ')}): ${shown}. Somebody may be listening in. Ask your site; if the key was really replaced: ssh-keygen -R ${quoteWord(name)} -f ${quoteWord(fileOf(verdict.expected[0]) ?? ownFile)} && ${accept(key)}`,
          );
        case 'revoked':
          return sshError(
            'HF-SSH-HOST-KEY-REVOKED',
            `${name} shows a revoked host key (${verdict.by.where}): ${shown}. Do not log in; tell your site.`,
          );
      }
    },
  };
}

function fileOf(line: KnownHost | undefined): string | undefined {
  return line?.where.replace(/:\d+$/, '');
}

function readKnownHosts(file: string): KnownHost[] {
  try {
    return parseKnownHosts(readFileSync(file, 'utf8'), file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    throw sshError('HF-SSH-CONFIG', `${file} cannot be read (${message}). Check its rights.`, cause);
  }
}
