// Builds the bench with tsc (Node 20 does not run TypeScript) and runs it: node bench/pbs/run.mjs [--seconds 60] [--long] [--no-peer] [--out FILE]
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureParslPython } from '../../scripts/python-parsl.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const out = join(root, '.cache/bench-pbs');
const built = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(here, 'tsconfig.json'), '--outDir', out], { stdio: 'inherit' });
if (built.status !== 0) process.exit(built.status ?? 1);
// The stand-in's Python lies beside its compiled harness.
cpSync(join(root, 'test/support/pbs'), join(out, 'test/support/pbs'), { recursive: true, filter: (file) => !file.endsWith('.ts') });
process.chdir(root);
if (!process.argv.includes('--no-peer')) process.env.HOLDFAST_PARSL = JSON.stringify(ensureParslPython());
await import(pathToFileURL(join(out, 'bench/pbs/main.js')).href);
