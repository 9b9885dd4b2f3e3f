#!/usr/bin/env node
// `npm run bench:training [-- --device cuda …]`: runs bench.py with a Python that has torch, prints a table and keeps the numbers in bench/results/.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
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
const file = path.join(folder, `training-${device}-${model}${width === 1 ? '' : `-x${width}`}.json`);
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);

const rounded = (value, digits = 1) => (value === null || value === undefined ? '-' : value.toFixed(digits));
const megabytes = (value) => (value ? `${Math.round(value / 1e6)} MB` : '-');
const { machine } = result;
console.log(
  `${machine.device}, ${machine.cores} cores (${machine.threads} threads), torch ${machine.torch}, load ${rounded(machine.load_at_start)}, ${result.date}`,
);
console.log(`${model}, batches of ${result.setting.batch_size}; images/s, median of ${result.setting.rounds} rounds taken in turns:`);
for (const [name, speed] of Object.entries(result.images_per_second)) {
  const ratio = result.ratio[name];
  console.log(
    `  ${name.padEnd(28)} ${rounded(speed).padStart(10)}${ratio === undefined ? '' : `   ${rounded(ratio, 2)} x ${result.compared_with}`}`,
  );
}
if (result.setting.device === 'cpu') {
  console.log('images per processor second, loader processes included:');
  for (const [name, speed] of Object.entries(result.images_per_processor_second)) {
    const ratio = result.ratio_by_processor_time[name];
    console.log(`  ${name.padEnd(28)} ${rounded(speed).padStart(10)}${ratio === undefined ? '' : `   ${rounded(ratio, 2)} x plain`}`);
  }
}
for (const [name, start] of Object.entries(result.start)) {
  const onDevice = start.device_bytes === null ? '' : `, ${megabytes(start.device_bytes)} on the device`;
  console.log(
    `  ${name}: first batch after ${rounded(start.seconds_to_first_batch, 2)} s, ${megabytes(start.resident_bytes)} with its loader processes${onDevice}`,
  );
}
for (const row of result.several_trials) {
  const each = row.per_trial.map((speed) => rounded(speed)).join(', ');
  console.log(`  ${row.trials} trial${row.trials === 1 ? '' : 's'} at once: ${each} images/s each, ${rounded(row.in_all)} in all`);
}
console.log(`kept in ${path.relative(process.cwd(), file)}`);
