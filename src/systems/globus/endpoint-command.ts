import { spawn } from 'node:child_process';
import { DriverError } from '../driver.ts';
import type { Environment } from './environment.ts';

/** What a program answered; `missing` when it is not installed. */
export interface ProgramAnswer {
  readonly kind: 'exited' | 'missing';
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one program with its words (never a shell line). The endpoint's machine may be this one or behind SSH. */
export type RunProgram = (
  words: readonly string[],
  options?: { readonly input?: string; readonly timeoutSeconds?: number },
) => Promise<ProgramAnswer>;

/** Runs programs on this computer. Output above 4 MiB is cut; a program that takes longer than its time is ended. */
export function localProgram(env: Environment = process.env): RunProgram {
  return (words, options = {}) =>
    new Promise((resolve, reject) => {
      const [program, ...rest] = words;
      if (program === undefined) throw new RangeError('no program');
      const child = spawn(program, rest, { env: { ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      const timer = setTimeout(() => child.kill('SIGKILL'), (options.timeoutSeconds ?? 120) * 1000);
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        if (error.code === 'ENOENT') resolve({ kind: 'missing', code: 127, stdout: '', stderr: `${program}: not found` });
        else reject(error);
      });
      // A detached daemon keeps the pipes open after its parent has ended.
      child.on('exit', (code) => {
        clearTimeout(timer);
        setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
          resolve({ kind: 'exited', code: code ?? 137, stdout: text(out), stderr: text(err) });
        }, 50);
      });
      child.stdin.on('error', () => undefined);
      child.stdin.end(options.input ?? '');
    });
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8').slice(-4_194_304);
}

/** The endpoint's program: HOLDFAST_GLOBUS_COMPUTE_ENDPOINT or the one in PATH. */
export function endpointProgram(env: Environment = process.env): string {
  return env.HOLDFAST_GLOBUS_COMPUTE_ENDPOINT || 'globus-compute-endpoint';
}

/** An answer of the endpoint's program, or DriverError refused with its own words. */
export async function askEndpointProgram(run: RunProgram, program: string, words: readonly string[], input?: string): Promise<string> {
  const answer = await run([program, ...words], input === undefined ? {} : { input });
  if (answer.kind === 'missing') {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-MISSING',
      `${program} is not installed there, or not in PATH (${answer.stderr}). Run \`pip install globus-compute-endpoint\` in the environment of the endpoint, and activate it.`,
    );
  }
  if (answer.code !== 0) {
    const said = `${answer.stdout}\n${answer.stderr}`.trim().split('\n').slice(-8).join('\n');
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENDPOINT-PROGRAM',
      `${program} ${words[0]} failed (exit ${answer.code}): ${said}\nMend that and run the command again.`,
    );
  }
  return answer.stdout;
}
