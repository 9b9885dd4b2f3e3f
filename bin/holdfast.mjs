#!/usr/bin/env node
// The `holdfast` command: builds when the sources are newer than dist/, then runs dist/src/cli/main.js.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const entry = path.join(root, 'dist', 'src', 'cli', 'main.js');

const hasPackages = existsSync(path.join(root, 'node_modules', 'commander'));
if (!hasPackages) {
  console.error(`The packages of Holdfast are not installed in ${root}. Run \`npm ci\` there first.`);
  process.exit(1);
}
// An image or an installed copy may have no sources; then dist/ is what there is.
if (existsSync(path.join(root, 'src')) && process.env.HOLDFAST_NO_BUILD !== '1') {
  const { build } = await import(pathToFileURL(path.join(root, 'scripts', 'build.mjs')).href);
  try {
    await build({ say: (text) => console.error(text) });
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
const { main } = await import(pathToFileURL(entry).href);
// A command may have set its own status (endpoint status).
process.exitCode = (await main(process.argv.slice(2))) || process.exitCode;
// The client keeps timers alive after its connection is closed; the answer is out, so nothing is lost by ending now.
process.stdout.write('', () => process.exit());
