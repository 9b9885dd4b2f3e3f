#!/usr/bin/env node
// `npm run bench:training [-- --device cuda …]`: runs bench.py with a Python that has torch, prints a page and keeps it, with the numbers, in bench/results/.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureTorchPython } from '../../scripts/python-torch.mjs';
import { page } from './report.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2);

const { python, reason } = await ensureTorchPython();
if (python === undefined) {
  console.error(`The benchmark needs torch: ${reason}`);
  process.exit(1);
}
const done = spawnSync(python, [path.join(here, 'bench.py'), ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
if (done.status !== 0) process.exit(done.status ?? 1);
// With a role of its own (a part of the measurement) or --help there is nothing to keep.
if (words.includes('--role') || !done.stdout.startsWith('{')) {
  console.log(done.stdout.trimEnd());
  process.exit(0);
}

const result = JSON.parse(done.stdout);
const folder = path.join(here, '..', 'results');
mkdirSync(folder, { recursive: true });
const { device, model, width_factor: width } = result.setting;
const file = path.join(folder, `training-${device}-${model}${width === 1 ? '' : `-x${width}`}`);
const text = `${page(result, ['npm run bench:training', ...(words.length > 0 ? ['--', ...words] : [])].join(' '))}\n`;
writeFileSync(`${file}.json`, `${JSON.stringify(result, null, 2)}\n`);
writeFileSync(`${file}.md`, text);
console.log(text);
console.log(`kept in ${path.relative(process.cwd(), file)}.md and .json`);
