import { defineConfig } from 'vitest/config';
import { GROUPS } from './test/groups.ts';
import { LongFilesFirst } from './test/sequencer.ts';

/** A second try of the files that failed has the machine to itself (scripts/test.mjs). */
const isSecondTry = process.env.HOLDFAST_SECOND_TRY === '1';

export default defineConfig({
  test: {
    // Of the whole run: once, not once per group.
    globalSetup: ['test/support/global-setup.ts'],
    sequence: { sequencer: LongFilesFirst },
    // No `retry`: a second try in the same process meets the servers, workflows and folders of the first. scripts/test.mjs runs failed files anew.
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
