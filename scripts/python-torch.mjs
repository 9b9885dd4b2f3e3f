#!/usr/bin/env node
// A Python with torch and pytest for the CIFAR-100 payload's tests and benchmark: Debian's python3-torch (no torchvision, no GPU libraries), and a venv over it.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = path.join(root, '.cache', 'python-torch');
const requirements = path.join(root, 'test', 'python', 'cifar100', 'requirements.txt');
const DEBIAN_PACKAGES = ['python3-torch', 'python3-numpy', 'python3-venv'];

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** Runs a command while other work goes on. Returns why it failed, or undefined. */
async function attempt(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  let errors = '';
  child.stderr.on('data', (data) => (errors += data));
  const status = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', resolve);
  });
  if (status === 0) return undefined;
  return `\`${command} ${args.join(' ')}\` failed: ${(errors || String(status)).trim().slice(-500)}`;
}

const hasTorch = (python) => succeeds(python, ['-c', 'import torch, numpy']);
const hasEverything = (python) => succeeds(python, ['-c', 'import torch, numpy, pytest, jsonschema']);

/** Installs Debian's packages where that is allowed. Returns why it could not be done, or undefined. */
async function installTorch(say) {
  if (process.getuid?.() !== 0)
    return `torch is missing and only root may install it: apt-get install --no-install-recommends ${DEBIAN_PACKAGES.join(' ')}`;
  if (!succeeds('apt-get', ['--version']))
    return 'torch is missing and this is no Debian: name a Python that has it in HOLDFAST_TORCH_PYTHON';
  say('installing python3-torch (about 150 MB) …');
  const install = ['install', '-y', '-q', '--no-install-recommends', ...DEBIAN_PACKAGES];
  // The lists of a fresh machine are empty, those of an old one are stale: only then are they fetched.
  return (await attempt('apt-get', install)) && ((await attempt('apt-get', ['update', '-q'])) ?? (await attempt('apt-get', install)));
}

/**
 * Path of a Python with torch, numpy, pytest and jsonschema: `{ python }`, or `{ reason }` in one sentence when this machine cannot have it.
 * HOLDFAST_TORCH_PYTHON names another Python that has torch already (a newer torch, one with CUDA); with pytest and jsonschema it is taken as it is.
 */
export async function ensureTorchPython(say = console.error) {
  const named = process.env.HOLDFAST_TORCH_PYTHON;
  if (named && hasEverything(named)) return { python: named };
  const base = named || '/usr/bin/python3';
  const python = path.join(folder, 'bin', 'python');
  const stamp = path.join(folder, '.holdfast-stamp');
  const wanted = createHash('sha256').update(base).update(readFileSync(requirements)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && hasTorch(python)) return { python };
  if (!hasTorch(base)) {
    const reason = base === '/usr/bin/python3' ? await installTorch(say) : `${base} has no torch and numpy`;
    if (reason !== undefined) return { reason };
  }
  say('making .cache/python-torch …');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.dirname(folder), { recursive: true });
  const reason =
    (await attempt(base, ['-m', 'venv', '--system-site-packages', folder])) ??
    (await attempt(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', requirements]));
  if (reason !== undefined) return { reason };
  writeFileSync(stamp, wanted);
  return { python };
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { python, reason } = await ensureTorchPython();
  console.log(python ?? reason);
  process.exitCode = python ? 0 : 1;
}
