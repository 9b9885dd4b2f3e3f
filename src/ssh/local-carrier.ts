import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Carrier, FileCopy, ProcessEnd, RemoteProcess } from './carrier.ts';
import { sshError } from './errors.ts';
import type { LoginState } from './transport.ts';

/** This computer as a system: for a worker that runs on the login node itself, where no SSH is needed. `shell` stands for the login shell. */
export function localCarrier(options: { readonly shell?: string; readonly env?: NodeJS.ProcessEnv } = {}): Carrier {
  const state: LoginState = { kind: 'ready', since: new Date().toISOString() };
  return {
    host: 'this computer',
    exec: async (line) =>
      childProcess(spawn(options.shell ?? '/bin/sh', ['-c', line], { env: options.env ?? process.env, detached: true }), false),
    explain: async (end) =>
      sshError('HF-SSH-NO-SHELL', `The shell on this computer ended at once (${end.stderr || `exit status ${end.code}`}).`),
    put: (copy) => append(copy.localFile, copy.remoteFile, copy),
    get: (copy) => append(copy.remoteFile, copy.localFile, copy),
    state: () => state,
    check: async () => state,
    refresh: async () => undefined,
    close: async () => undefined,
  };
}

async function append(from: string, to: string, copy: FileCopy): Promise<void> {
  const end = copy.size - 1;
  if (end < copy.offset) return writeFile(to, '', { flag: 'a' });
  await pipeline(createReadStream(from, { start: copy.offset, end }), createWriteStream(to, { flags: 'a' }), { signal: copy.signal });
  copy.progress(copy.size);
}

/** A child process with three pipes as a RemoteProcess. `endsWithChannel`: it is only the channel's client and is ended with it. */
export function childProcess(child: ChildProcessWithoutNullStreams, endsWithChannel: boolean): RemoteProcess {
  const words: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => {
    words.push(chunk);
    if (words.length > 50) words.shift();
  });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('error', (error) => resolve({ code: null, stderr: error.message }));
    child.once('close', (code) => resolve({ code, stderr: Buffer.concat(words).toString('utf8').trim().slice(-2_000) }));
  });
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    ended,
    drop() {
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      if (endsWithChannel) child.kill('SIGTERM');
      else child.unref();
    },
  };
}
