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
  'test/chaos/kills.test.ts': 'kills a worker at moments that are told by files',
  'test/e2e/cifar100-smoke.test.ts': 'trains with PyTorch on every core',
  'test/e2e/event-loop.test.ts': 'measures the delay of the event loop',
  'test/e2e/two-thousand.test.ts': 'runs 2,000 trials as fast as the machine can',
};

const cores = availableParallelism();

/**
 * Tests below test/unit start no server, no worker and no sshd, so as many files run at once as there are cores. Of all others two run at once: each
 * has servers, ports and folders of its own, and waits most of the time. Which folder may hold what is checked by test/unit/suite/groups.test.ts.
 */
export const GROUPS: readonly TestGroup[] = [
  { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude: [], workers: cores },
  { name: 'integration', include: ['test/**/*.test.ts'], exclude: ['test/unit/**', ...Object.keys(ALONE)], workers: Math.min(2, cores) },
  { name: 'alone', include: Object.keys(ALONE), exclude: [], workers: 1 },
];
