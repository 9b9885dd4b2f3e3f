import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Digest of src/search as it runs here: runs of the bench are used again as long as it stays. Samplers alone don't depend on pruners. */
export function digestOfSearch({ withoutPruning = false } = {}): string {
  const folder = join(import.meta.dirname, '../../src');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.js') && /^(search|domain)/.test(f) && !(withoutPruning && f.includes('pruning')))
    .sort();
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 12);
}
