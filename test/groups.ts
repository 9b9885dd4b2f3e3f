import { availableParallelism } from 'node:os';

/** One group of test files; the groups run one after another, in this order. */
export interface TestGroup {
  readonly name: 'unit' | 'integration' | 'alone';
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Files of the group that run at the same time. */
  readonly workers: number;
}

/** Files that load the machine themselves, or whose judgement depends on the time that something takes, and why. */
export const ALONE: Readonly<Record<string, string>> = {
  'test/e2e/cifar100-smoke.test.ts': 'trains with PyTorch on every core',
  'test/e2e/event-loop.test.ts': 'measures the delay of the event loop',
  'test/e2e/two-thousand.test.ts': 'runs 2,000 trials as fast as the machine can',
};

/** The longest files of the groups that run several at once, the longest first (test/sequencer.ts). */
export const LONG_FIRST: readonly string[] = [
  'test/chaos/kills.test.ts',
  'test/chaos/steering.test.ts',
  'test/unit/pbs/driver.test.ts',
  'test/unit/search/samplers.test.ts',
  'test/unit/systems/spool-interleavings.test.ts',
  'test/workflows/system.test.ts',
  'test/e2e/cli.test.ts',
  'test/globus/driver.test.ts',
];

const cores = availableParallelism();

/**
 * Tests below test/unit start no server, no worker and no sshd (test/unit/suite/groups.test.ts checks it): as many files run at once as there are
 * cores. Of all others one more: each has servers, ports and folders of its own, and waits most of the time.
 */
export const GROUPS: readonly TestGroup[] = [
  { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude: [], workers: cores },
  {
    name: 'integration',
    include: ['test/**/*.test.ts'],
    exclude: ['test/unit/**', ...Object.keys(ALONE)],
    workers: Math.min(cores + 1, 4),
  },
  { name: 'alone', include: Object.keys(ALONE), exclude: [], workers: 1 },
];
