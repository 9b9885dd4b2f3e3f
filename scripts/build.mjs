#!/usr/bin/env node
// Compiles TypeScript to dist/ and prebuilds the workflow bundle; does nothing when the sources have not changed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const stampFile = path.join(root, 'dist', '.stamp');

/** Digest of names, sizes and times of everything that is compiled. */
function sourceStamp() {
  const hash = createHash('sha256');
  const visit = (entry) => {
    const file = path.join(root, entry);
    const stat = statSync(file);
    if (stat.isDirectory()) for (const name of readdirSync(file).sort()) visit(path.join(entry, name));
    else hash.update(`${entry} ${stat.size} ${stat.mtimeMs}\n`);
  };
  for (const entry of ['src', 'workflows', 'activities', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']) visit(entry);
  return hash.digest('hex');
}

const silent = () => undefined;

/** Builds when needed, one process at a time. Throws when the compiler finds an error. */
export async function build(options = {}) {
  const release = await takeTurn();
  try {
    await buildAlone(options);
  } finally {
    release();
  }
}

/** Two commands started together must not clear each other's dist/: the second waits, and then finds everything built. */
async function takeTurn() {
  const lock = path.join(root, '.cache', 'build.lock');
  mkdirSync(path.dirname(lock), { recursive: true });
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (!isHeld(lock)) rmSync(lock, { force: true });
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** A lock whose process has died holds nobody up; one that is being written is given five seconds, one that has just gone is tried again. */
function isHeld(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (!(pid > 0)) return Date.now() - statSync(lock).mtimeMs < 5000;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM' || error.code === 'ENOENT';
  }
}

async function buildAlone({ say = console.error, isForced = false } = {}) {
  const stamp = sourceStamp();
  if (!isForced && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  say('building …');
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, encoding: 'utf8' });
  if (compiled.status !== 0) throw new Error(`TypeScript does not compile:\n${compiled.stdout}${compiled.stderr}`);
  const { bundleWorkflowCode } = await import(pathToFileURL(path.join(root, 'node_modules/@temporalio/worker/lib/index.js')).href);
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(root, 'dist', 'workflows', 'index.js'),
    logger: { trace: silent, debug: silent, info: silent, warn: say, error: say, log: silent },
  });
  writeFileSync(path.join(root, 'dist', 'workflow-bundle.js'), code);
  writeFileSync(stampFile, stamp);
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await build({ isForced: process.argv.includes('--force') });
}
