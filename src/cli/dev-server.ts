import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../package-root.ts';

/**
 * Address of the server that `holdfast dev` runs on this computer, where it is not Temporal's usual port and the user has named no other.
 * Undefined when none runs.
 */
export function devServerAddress(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const isNamed = ['TEMPORAL_ADDRESS', 'TEMPORAL_PROFILE', 'TEMPORAL_CONFIG_FILE'].some((name) => (env[name] ?? '') !== '');
  const note = path.join(cacheFolder(), 'dev', 'server.json');
  if (isNamed || !existsSync(note)) return undefined;
  try {
    const { address, pid } = JSON.parse(readFileSync(note, 'utf8')) as { address: string; pid: number };
    process.kill(pid, 0);
    return address;
  } catch {
    // A server that was killed leaves its note behind.
    return undefined;
  }
}
