#!/usr/bin/env node
// `npm run bench:training [-- --device cuda …]`: runs bench.py with a Python that has torch; the page and the numbers are kept in bench/results/.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureTorchPython } from '../../scripts/python-torch.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2);

const { python, reason } = await ensureTorchPython();
if (python === undefined) {
  console.error(`The benchmark needs torch: ${reason}`);
  process.exit(1);
}
const command = ['npm run bench:training', ...(words.length > 0 ? ['--', ...words] : [])].join(' ');
const kept = ['--keep', path.join(here, '..', 'results'), '--command', command];
process.exitCode = spawnSync(python, [path.join(here, 'bench.py'), ...kept, ...words], { stdio: 'inherit' }).status ?? 1;
