// Builds the bench with tsc (Node 20 does not run TypeScript) and runs one of its programs: node bench/search/run.mjs [main|timing|…] [arguments]
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const out = join(root, '.cache/bench-search', process.env.BENCH_BUILD ?? 'build');
if (process.env.BENCH_SKIP_BUILD === undefined || !existsSync(out)) {
  const built = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(here, 'tsconfig.json'), '--outDir', out], { stdio: 'inherit' });
  if (built.status !== 0) process.exit(built.status ?? 1);
}
const [program = 'main', ...rest] = process.argv[2]?.startsWith('--') ? ['main', ...process.argv.slice(2)] : process.argv.slice(2);
process.argv = [process.argv[0], join(here, program), ...rest];
await import(pathToFileURL(join(out, 'bench/search', `${program}.js`)).href);
