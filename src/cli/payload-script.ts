import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { cacheFolder, packageRoot } from '../package-root.ts';
import { CliError, type Exit, withCode } from './exit-codes.ts';
import type { CliIo } from './io.ts';

/** Exit codes of the payload's scripts. 3: a detached fetch is still under way, which is no failure; the output says so. */
const EXITS: Readonly<Record<number, Exit>> = { 0: 'ok', 1: 'failed', 2: 'usage', 3: 'ok' };

/** The Python that runs our own scripts: HOLDFAST_PYTHON, else the environment that the set-up made (it has numpy), else python3. */
export function scriptPython(env: CliIo['env']): string {
  const own = path.join(cacheFolder(), 'python', 'bin', 'python');
  return env.HOLDFAST_PYTHON ?? (existsSync(own) ? own : 'python3');
}

/**
 * Runs a script of remote/training/cifar100 with the words given; its output is the command's. Ctrl-C ends it.
 * Throws CliError when Python cannot be started or was killed.
 */
export async function runPayloadScript(script: string, words: readonly string[], io: CliIo): Promise<Exit> {
  const python = scriptPython(io.env);
  const file = path.join(packageRoot(), 'remote', 'training', 'cifar100', script);
  const child = spawn(python, [file, ...words], { stdio: ['ignore', 'pipe', 'pipe'], signal: io.interrupted, killSignal: 'SIGTERM' });
  let hasAnswer = false;
  let said = '';
  let complaint = '';
  child.stdout.on('data', (piece: Buffer) => {
    hasAnswer = true;
    io.output.write(piece);
  });
  child.stderr.on('data', (piece: Buffer) => {
    said = `${said}${piece}`.slice(-2000);
    // The script's last words go the way of every other error; progress and warnings pass.
    const text = piece.toString();
    const at = complaint === '' ? text.search(/^error: /m) : 0;
    if (at >= 0) complaint += text.slice(at);
    if (at !== 0) io.errors.write(at > 0 ? text.slice(0, at) : text);
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...end) => resolve(end));
  }).catch((cause: Error) => {
    throw new CliError('failed', 'HF-PYTHON', `${python} cannot be run (${cause.message}). Name a Python in HOLDFAST_PYTHON.`, { cause });
  });
  if (code === null)
    throw new CliError('failed', 'HF-PYTHON', `${script} was ended by ${signal}. Start it again: it goes on from where it was.`);
  const exit = EXITS[code] ?? 'failed';
  // A program that asked for JSON gets a document even when the script has only words.
  if (words.includes('--json') && !hasAnswer && exit !== 'ok')
    throw new CliError(exit, 'HF-SCRIPT', wordsOf(complaint || said) || `${script} ended with ${code}.`);
  if (complaint !== '') io.errors.write(`${withCode({ message: wordsOf(complaint), code: 'HF-SCRIPT' })}\n`);
  return exit;
}

const wordsOf = (text: string): string => text.trim().replace(/^error: /, '');

/** Words of a command line from options: true → `--name`, a value → `--name value`; what is absent or false is left out. */
export function optionWords(options: Readonly<Record<string, string | number | boolean | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return value === true ? [flag] : [flag, String(value)];
  });
}
