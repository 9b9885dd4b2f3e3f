import { defineConfig } from 'vitest/config';
import { GROUPS } from './test/groups.ts';

/** A second try of the files that failed has the machine to itself (scripts/test.mjs). */
const isSecondTry = process.env.HOLDFAST_SECOND_TRY === '1';

export default defineConfig({
  test: {
    // Of the whole run: once, not once per group.
    globalSetup: ['test/support/global-setup.ts'],
    projects: GROUPS.map(({ name, include, exclude, workers }, groupOrder) => ({
      test: {
        name,
        include: [...include],
        exclude: [...exclude],
        testTimeout: 120_000,
        hookTimeout: 120_000,
        pool: 'forks' as const,
        maxWorkers: isSecondTry ? 1 : workers,
        sequence: { groupOrder },
      },
    })),
  },
});
