#!/usr/bin/env node
// Runs ruff from the test environment with the arguments given; makes the environment first when it is missing.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ensurePython, main, root } from './setup.mjs';

await main(async () => {
  const python = await ensurePython('python-test', 'test/requirements.txt', console.error);
  return spawnSync(path.join(path.dirname(python), 'ruff'), process.argv.slice(2), { cwd: root, stdio: 'inherit' }).status ?? 1;
});
