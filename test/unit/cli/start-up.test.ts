import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const IMPORT = /^(?:import|export)\s(?!type\b)[^;]*?\sfrom '([^']+)'/gm;

/** Packages that are loaded as soon as `file` is: static imports, followed through our own files. */
function loadedBy(file: string, seen = new Map<string, string>(), chain = ''): Map<string, string> {
  const here = `${chain} > ${path.basename(file)}`;
  for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    const key = target.startsWith('.') ? path.resolve(path.dirname(file), target) : target;
    if (seen.has(key)) continue;
    seen.set(key, here);
    if (target.startsWith('.')) loadedBy(key, seen, here);
  }
  return seen;
}

// A second of a slow login node for `holdfast --help`: what a command alone needs is loaded by that command.
it.each(['@temporalio/worker', 'openai', 'ssh2', 'pino'])('%s is not loaded before a command needs it', (name) => {
  const loaded = loadedBy('src/cli/program.ts');
  expect([...loaded.keys()]).toContain('commander');
  expect(loaded.get(name)).toBeUndefined();
});
