// Builds the bench with tsc (Node 20 does not run TypeScript) and runs it: node bench/globus/run.mjs [--save]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const out = join(root, '.cache/bench-globus/build');
const built = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(here, 'tsconfig.json'), '--outDir', out], { stdio: 'inherit' });
if (built.status !== 0) process.exit(built.status ?? 1);
await import(pathToFileURL(join(out, 'bench/globus/main.js')).href);
