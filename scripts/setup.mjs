// What a fresh clone lacks, got with the ordinary clients: npm packages and Python environments. Only Node's own modules here.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { installNodePackages } from './npm-packages.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const cache = path.join(root, '.cache');

/** A set-up step that failed: one sentence and what to do. */
export class SetupFailed extends Error {}

/** Runs a command; its output is shown only when it fails. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    let output = '';
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    child.stdout?.on('data', (data) => (output += data));
    child.stderr?.on('data', (data) => (output += data));
    child.once('error', (error) => reject(new SetupFailed(`${command} cannot be run: ${error.message}`)));
    child.once('close', (code) =>
      code === 0
        ? resolve(output)
        : reject(new SetupFailed(`\`${command} ${args.join(' ')}\` ended with ${code}:\n${output.slice(-3000)}`, { cause: output })),
    );
  });
}

/** Does one part of the work and says how long it took, when it took long enough to matter. */
export async function timed(say, name, work) {
  const started = Date.now();
  try {
    return await work();
  } finally {
    const seconds = Math.round((Date.now() - started) / 1000);
    if (seconds > 0) say(`${name}: ${seconds} s`);
  }
}

const digest = (text) => createHash('sha256').update(text).digest('hex');

/** Node ≥ 20.16 and the packages of package-lock.json. */
export async function ensureNodePackages(say) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 16))
    throw new SetupFailed(`Node ${process.versions.node} is too old: Holdfast needs Node 20.16 or newer.`);
  const stamp = path.join(root, 'node_modules', '.holdfast-stamp');
  const wanted = digest(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  say('installing npm packages …');
  await installNodePackages(root, say);
  writeFileSync(stamp, wanted);
}

/**
 * A Python environment under .cache/<name> with the packages of a requirements file. Returns its python.
 * Needs Python ≥ 3.9 with venv (Debian: python3-venv).
 */
export async function ensurePython(name, requirementsFile, say) {
  const folder = path.join(cache, name);
  const python = path.join(folder, 'bin', 'python');
  const stamp = path.join(folder, '.holdfast-stamp');
  const wanted = digest(readFileSync(path.join(root, requirementsFile), 'utf8'));
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  const base = process.env.HOLDFAST_BASE_PYTHON ?? 'python3';
  const version = (await run(base, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'])).trim();
  const [major, minor] = version.split('.').map(Number);
  if (major < 3 || minor < 9)
    throw new SetupFailed(`${base} is ${version}: the demonstration needs Python 3.9 or newer (HOLDFAST_BASE_PYTHON names another).`);
  say(`installing Python packages (${requirementsFile}) …`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  try {
    await run(base, ['-m', 'venv', folder]);
  } catch (error) {
    throw new SetupFailed(`${base} cannot make a virtual environment; on Debian: apt-get install python3-venv.\n${error.message}`);
  }
  await installPythonPackages(python, requirementsFile);
  writeFileSync(stamp, wanted);
  return python;
}

/** An index that cannot be reached is told in one sentence, not in pip's pages. */
async function installPythonPackages(python, requirementsFile) {
  const flags = ['--quiet', '--disable-pip-version-check', '--retries', '2', '--timeout', '20'];
  try {
    await run(python, ['-m', 'pip', 'install', ...flags, '-r', requirementsFile]);
  } catch (error) {
    const said = String(error.cause);
    if (!/NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError/.test(said)) throw error;
    throw new SetupFailed(
      `The package index of pip cannot be reached, so the packages of ${requirementsFile} are not installed: the first run needs the network. Check it, \`python3 -m pip config list\` and the proxy, then run this again. pip's last words: ${said.trim().split('\n').at(-1)}`,
    );
  }
}

/** Runs a script's main and ends with one clear message instead of a stack trace for what a person can mend. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    console.error(error instanceof SetupFailed || error?.code?.startsWith?.('HF-') ? error.message : error);
    process.exitCode = 1;
  }
}
