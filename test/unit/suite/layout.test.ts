import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** Where the files below a folder may import from (docs/architecture.md, "Where things are"); packages are the business of the bundle's test. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/domain': ['src/domain', 'src/search', 'src/view'],
  'src/search': ['src/domain', 'src/search', 'src/view'],
  'src/view': ['src/domain', 'src/search', 'src/view'],
  workflows: ['workflows', 'src/domain', 'src/search', 'src/view'],
  activities: ['activities', 'src'],
  src: ['src'],
};
/** The two sides of Temporal, and the commands, know each other by type only. */
const BY_TYPE: Readonly<Record<string, readonly string[]>> = {
  workflows: ['activities'],
  activities: ['workflows'],
  src: ['workflows', 'activities'],
};

/** What everybody may import: the definitions of all messages. */
const SHARED = 'workflows/messages.ts';

const sources = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => (name.endsWith('.ts') ? [path.join(folder, name)] : []));
const isBelow = (file: string, folders: readonly string[] = []) => folders.some((folder) => file.startsWith(`${folder}/`));

function wrongImports(folder: string): string[] {
  return sources(folder).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^(import|export)( type)? [^;]*?from '(\.[^']+)';/gm)].flatMap(([statement, , type, from]) => {
      const target = path.join(path.dirname(file), from as string);
      if (target === SHARED || (file === 'src/worker.ts' && target === 'activities/index.ts')) return [];
      const isRight = isBelow(target, MAY_IMPORT[folder]) || (type !== undefined && isBelow(target, BY_TYPE[folder]));
      return isRight ? [] : [`${file}: ${statement}`];
    }),
  );
}

describe('imports go one way', () => {
  it.each(Object.keys(MAY_IMPORT))('from %s', (folder) => {
    expect(sources(folder).length).toBeGreaterThan(5);
    expect(wrongImports(folder)).toEqual([]);
  });
});
