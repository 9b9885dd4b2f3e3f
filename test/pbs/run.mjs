#!/usr/bin/env node
// The conformance suite against a PBS site: node test/pbs/run.mjs --host HOST --queue QUEUE [--account A] [--filesystems home:flare]
// [--user U] [--transport openssh|ssh2] [--patience SECONDS], or --system PROFILE --queue QUEUE. Without options: the stand-in.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const names = ['host', 'system', 'queue', 'account', 'filesystems', 'user', 'transport', 'patience'];
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
const env = { ...process.env };
for (const [name, value] of Object.entries(values)) env[`HOLDFAST_PBS_${name.toUpperCase()}`] = value;
const run = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/pbs/conformance.test.ts', '--reporter=verbose'], {
  stdio: 'inherit',
  env,
});
process.exit(run.status ?? 1);
