import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  readonly marker: '@revoked' | '@cert-authority' | undefined;
  readonly hosts: string;
  readonly keyType: string;
  readonly key: Buffer;
  /** `known_hosts:3`, for messages. */
  readonly where: string;
}

export type HostKeyVerdict =
  | { readonly kind: 'known' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'changed'; readonly expected: readonly KnownHost[] }
  | { readonly kind: 'revoked'; readonly by: KnownHost };

/** Lines that cannot be read are skipped, as OpenSSH does. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  return text.split('\n').flatMap((line, index) => {
    const words = line.trim().split(/\s+/);
    const marker = words[0] === '@revoked' || words[0] === '@cert-authority' ? words[0] : undefined;
    const [hosts, keyType, key] = marker ? words.slice(1) : words;
    if (!hosts || hosts.startsWith('#') || !keyType || !key) return [];
    return [{ marker, hosts, keyType, key: Buffer.from(key, 'base64'), where: `${file}:${index + 1}` }];
  });
}

/** How known_hosts names a host: `name`, or `[name]:port` off port 22. */
export function knownHostName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`;
}

/** Keys on file for a host, certificate authorities left out (ssh2 has no host certificates). */
export function keysFor(known: readonly KnownHost[], name: string): KnownHost[] {
  return known.filter((line) => line.marker === undefined && matchesHosts(line.hosts, name));
}

/**
 * What known_hosts says about a key that a server shows. A revoked key is refused wherever its line's hosts match; a key of a type that is
 * not on file yet is `unknown`, another key of the same type is `changed`.
 */
export function judgeHostKey(known: readonly KnownHost[], name: string, key: Buffer): HostKeyVerdict {
  const revoked = known.find((line) => line.marker === '@revoked' && sameKey(line.key, key) && matchesHosts(line.hosts, name));
  if (revoked) return { kind: 'revoked', by: revoked };
  const onFile = keysFor(known, name);
  if (onFile.some((line) => sameKey(line.key, key))) return { kind: 'known' };
  const type = hostKeyType(key);
  const expected = onFile.filter((line) => line.keyType === type);
  return expected.length > 0 ? { kind: 'changed', expected } : { kind: 'unknown' };
}

/** `SHA256:…` as ssh-keygen -l prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The type that stands first in a key's own bytes: `ssh-ed25519` (RFC 4253, 6.6). */
export function hostKeyType(key: Buffer): string {
  const length = key.length >= 4 ? key.readUInt32BE(0) : 0;
  return key.subarray(4, 4 + Math.min(length, 64)).toString('latin1');
}

function sameKey(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function matchesHosts(hosts: string, name: string): boolean {
  if (hosts.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = hosts.split('|');
    const own = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
    return sameKey(own, Buffer.from(hash, 'base64'));
  }
  let matches = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    const isNegated = pattern.startsWith('!');
    if (!wildcard(isNegated ? pattern.slice(1) : pattern).test(name)) continue;
    if (isNegated) return false;
    matches = true;
  }
  return matches;
}

function wildcard(pattern: string): RegExp {
  return new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  );
}
