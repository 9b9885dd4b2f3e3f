import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../src/package-root.ts';

interface Entry {
  readonly file: string;
  readonly group: string;
  readonly seconds: number;
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly string[];
}
interface Run {
  readonly files: readonly Entry[];
  readonly unhandled: readonly string[];
}

const { failures, filesToTryAgain, merge, MOST_TRIED_AGAIN, pytestFile, readJunit, slowest, total } = (await import(
  `${packageRoot()}/scripts/test-results.mjs`
)) as {
  failures(run: Run): string[];
  filesToTryAgain(run: Run): string[];
  merge(first: Run, second: Run): Run & { readonly recovered: readonly string[] };
  MOST_TRIED_AGAIN: number;
  pytestFile(name: string, suite: string): string;
  readJunit(xml: string | undefined, name: string, status: number): Entry[];
  slowest(run: Run, count?: number): string[];
  total(run: Run): { passed: number; failed: number; skipped: number };
};

const entry = (file: string, change: Partial<Entry> = {}): Entry => ({
  file,
  group: 'unit',
  seconds: 1,
  passed: 2,
  skipped: 0,
  failures: [],
  ...change,
});
const run = (...files: Entry[]): Run => ({ files, unhandled: [] });

describe('counting of npm test', () => {
  it('sums up passed, failed and skipped, and counts an error that belongs to no file', () => {
    const all = { files: [entry('a'), entry('b', { passed: 1, skipped: 3, failures: ['x', 'y'] })], unhandled: ['boom'] };
    expect(total(all)).toEqual({ passed: 3, failed: 3, skipped: 3 });
    expect(failures(all)).toEqual(['b > x', 'b > y', 'unhandled error: boom']);
  });

  it('a second try takes the place of the first: what passes then is told, what fails again has failed', () => {
    const first = run(entry('a'), entry('b', { passed: 1, failures: ['x'], seconds: 5 }), entry('c', { passed: 0, failures: ['y', 'z'] }));
    expect(filesToTryAgain(first)).toEqual(['b', 'c']);
    const merged = merge(first, run(entry('b', { seconds: 3 }), entry('c', { passed: 1, failures: ['z'] })));
    expect(total(merged)).toEqual({ passed: 5, failed: 1, skipped: 0 });
    expect(failures(merged)).toEqual(['c > z']);
    expect(merged.recovered).toEqual(['b > x']);
    expect(merged.files[1]).toMatchObject({ file: 'b', seconds: 8, passed: 2 });
  });

  it('a second try that ended before a file was run leaves its failure standing', () => {
    const merged = merge(run(entry('b', { failures: ['x'] })), { files: [], unhandled: ['vitest ended with 1 and no report'] });
    expect(total(merged)).toEqual({ passed: 2, failed: 2, skipped: 0 });
    expect(merged.recovered).toEqual([]);
  });

  it('a second try that fails in something new has failed', () => {
    const merged = merge(
      run(entry('b', { failures: ['x'] })),
      run(entry('b'), entry('test/python', { passed: 0, failures: ['pytest ended with 3'] })),
    );
    expect(failures(merged)).toEqual(['test/python > pytest ended with 3']);
    expect(merged.recovered).toEqual(['b > x']);
  });

  it('tries nothing again when too much has failed for chance, or when an error belongs to no file', () => {
    const failing = (count: number) => run(...Array.from({ length: count }, (_, index) => entry(`f${index}`, { failures: ['x'] })));
    expect(filesToTryAgain(failing(MOST_TRIED_AGAIN))).toHaveLength(MOST_TRIED_AGAIN);
    expect(filesToTryAgain(failing(MOST_TRIED_AGAIN + 1))).toEqual([]);
    expect(filesToTryAgain({ ...failing(1), unhandled: ['boom'] })).toEqual([]);
  });

  it('tells the slowest files, the slowest first', () => {
    const all = run(entry('a', { seconds: 3.4 }), entry('b', { seconds: 171.6 }), entry('c', { seconds: 0.2 }));
    expect(slowest(all, 2)).toEqual(['  172 s  b', '    3 s  a']);
  });
});

describe('what pytest left', () => {
  const xml = `<?xml version="1.0"?><testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="5">
<testcase classname="test.python.test_a" name="test_one[&lt;x&gt; &amp; y]" time="0.5" />
<testcase classname="test.python.test_a" name="test_two" time="1.25"><failure message="assert 1 &gt; 2">a
 trace</failure></testcase>
<testcase classname="test.python.test_b" name="test_three" time="0.1"><skipped type="pytest.skip" message="no torch">x</skipped></testcase>
<testcase classname="test.python.test_b" name="test_four" time="0"><system-out>fine</system-out></testcase>
<testcase classname="" name="test.python.test_c" time="0.000"><error message="collection failure">ImportError</error></testcase>
</testsuite></testsuites>`;

  it('is counted file by file, a file that cannot be loaded among the failures', () => {
    const files = readJunit(xml, 'test/python', 1);
    expect(total({ files, unhandled: [] })).toEqual({ passed: 2, failed: 2, skipped: 1 });
    expect(failures({ files, unhandled: [] })).toEqual(['test.python.test_a > test_two', 'test/python > test.python.test_c']);
    expect(files[0]).toMatchObject({ passed: 1, seconds: 1.75 });
  });

  it('names files that can be run again', () => {
    const again = filesToTryAgain({ files: readJunit(xml, 'test/python', 1), unhandled: [] });
    expect(again.map((file) => pytestFile(file, 'test/python'))).toEqual(['test/python/test_a.py', 'test/python.py']);
    for (const [name, suite] of [
      ['test.python.test_agent_spool', 'test/python'],
      ['test_data', 'test/python/cifar100'],
    ] as const)
      expect(existsSync(path.join(packageRoot(), pytestFile(name, suite))), name).toBe(true);
  });

  it('no report is a failure, and so is a bad end without a failed test', () => {
    expect(total({ files: readJunit(undefined, 'test/python', 1), unhandled: [] })).toEqual({ passed: 0, failed: 1, skipped: 0 });
    const files = readJunit('<testsuites><testsuite tests="0"></testsuite></testsuites>', 'test/python', 5);
    expect(failures({ files, unhandled: [] })).toEqual(['test/python > pytest ended with 5']);
  });
});
