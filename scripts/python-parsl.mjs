#!/usr/bin/env node
// A Python with Parsl for bench/pbs, in an environment of its own: the peer must not depend on what our tests need.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = path.join(root, '.cache', 'python-parsl');
/** Of 2026: earlier ones have other names for the executor's settings. */
const PACKAGES = ['parsl>=2026'];

function attempt(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.status === 0
    ? undefined
    : `\`${command} ${args.join(' ')}\` failed: ${(result.stderr || String(result.error)).slice(-500)}`;
}

/** Path of a Python with Parsl: `{ python }`, or `{ reason }` in one sentence when this machine cannot have it. */
export function ensureParslPython(say = console.error) {
  const python = path.join(folder, 'bin', 'python');
  if (existsSync(python) && attempt(python, ['-c', 'import parsl']) === undefined) return { python };
  say('making .cache/python-parsl …');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.dirname(folder), { recursive: true });
  const reason =
    attempt('python3', ['-m', 'venv', folder]) ??
    attempt(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...PACKAGES]);
  return reason === undefined ? { python } : { reason };
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { python, reason } = ensureParslPython();
  console.log(python ?? reason);
  process.exitCode = python ? 0 : 1;
}
