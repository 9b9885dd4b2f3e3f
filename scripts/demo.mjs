#!/usr/bin/env node
// `npm run demo`: from a fresh clone to a finished campaign on this computer.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { ensureNodePackages, ensurePython, main, root } from './setup.mjs';

await main(async () => {
  const say = (text) => console.log(`· ${text}`);
  await ensureNodePackages(say);
  const python = await ensurePython('python', 'remote/requirements-demo.txt', say);
  await build({ say });
  process.chdir(root);
  process.env.HOLDFAST_PYTHON ??= python;
  const { runDemo } = await import(pathToFileURL(path.join(root, 'dist/src/demo.js')).href);
  return runDemo({ say });
});
// Worker and client may leave threads and timers behind; everything is stopped and told, so nothing is lost by ending now.
process.stdout.write('', () => process.exit());
