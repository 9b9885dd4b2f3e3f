import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two cores: servers, workers and agents of different suites would starve each other if files ran side by side.
    fileParallelism: false,
    pool: 'forks',
    // On a shared machine a process may stand still for seconds; what fails twice in a row is broken.
    retry: process.env.CI ? 1 : 0,
  },
});
