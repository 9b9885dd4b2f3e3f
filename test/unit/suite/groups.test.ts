import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../src/package-root.ts';
import { ALONE, LONG_FIRST } from '../../groups.ts';

const root = packageRoot();
const files = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`)
  .sort();

/** What brings a server, a worker or an sshd into a test; `inject` hands out what a server needs. */
const STARTERS = /\b(startDevServer|startEngine|startLab|startWorkers|startSshd|TestWorkflowEnvironment)\(|\binject\(/;

/** Text of a file of the tests and of the support that it imports. */
function withSupport(file: string, seen = new Set<string>()): string {
  if (seen.has(file)) return '';
  seen.add(file);
  const text = readFileSync(path.join(root, file), 'utf8');
  const imported = [...text.matchAll(/^import (?!type )[^;]*? from '(\.[^']*)'/gm)]
    .map(([, name]) => path.join(path.dirname(file), name as string))
    .filter((name) => name.startsWith('test/'));
  return [text, ...imported.map((name) => withSupport(name, seen))].join('\n');
}

describe('groups of test files (test/groups.ts)', () => {
  it('each file is in exactly one', () => {
    const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
    const { VITEST: _own, ...env } = process.env;
    const listed = execFileSync(process.execPath, [vitest, 'list', '--filesOnly', '--json'], { cwd: root, env, encoding: 'utf8' });
    const found = (JSON.parse(listed) as { file: string }[]).map(({ file }) => path.relative(root, file));
    expect(found.sort()).toEqual(files);
  });

  it('what runs alone is there, and is no unit test', () => {
    for (const file of Object.keys(ALONE)) expect(files.filter((each) => !each.startsWith('test/unit/'))).toContain(file);
  });

  it('what is started first is there', () => {
    for (const file of LONG_FIRST) expect(files).toContain(file);
  });

  it('the check itself sees a server behind an import', () => {
    expect(withSupport('test/globus/lost-state.test.ts')).toMatch(STARTERS);
    expect(withSupport('test/e2e/pbs-campaign.test.ts')).toMatch(STARTERS);
  });

  it.each(files.filter((file) => file.startsWith('test/unit/')))('%s starts no server, worker or sshd', (file) => {
    expect(withSupport(file).match(STARTERS)?.[0]).toBeUndefined();
  });
});
