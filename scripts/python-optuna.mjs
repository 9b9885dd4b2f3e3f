#!/usr/bin/env node
// A Python with Optuna and torch for bench/search: GPSampler needs torch and CmaEsSampler cmaes, which the test environment has not.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureTorchPython } from './python-torch.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = path.join(root, '.cache', 'python-optuna');
const PACKAGES = ['optuna>=5', 'scipy', 'cmaes', 'numpy<2'];

function attempt(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.status === 0
    ? undefined
    : `\`${command} ${args.join(' ')}\` failed: ${(result.stderr || String(result.error)).slice(-500)}`;
}

/** Path of a Python with optuna, torch and scipy: `{ python }`, or `{ reason }` in one sentence when this machine cannot have it. */
export async function ensureOptunaPython(say = console.error) {
  const python = path.join(folder, 'bin', 'python');
  if (existsSync(python) && attempt(python, ['-c', 'import optuna, torch, scipy, cmaes']) === undefined) return { python };
  const torch = await ensureTorchPython(say);
  if (torch.python === undefined) return torch;
  // A venv over a venv would not see torch: its base, which has it, is taken.
  const base = spawnSync(torch.python, ['-c', 'import sys; print(sys._base_executable)'], { encoding: 'utf8' }).stdout.trim();
  say('making .cache/python-optuna …');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.dirname(folder), { recursive: true });
  const reason =
    attempt(base, ['-m', 'venv', '--system-site-packages', folder]) ??
    attempt(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...PACKAGES]);
  return reason === undefined ? { python } : { reason };
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { python, reason } = await ensureOptunaPython();
  console.log(python ?? reason);
  process.exitCode = python ? 0 : 1;
}
