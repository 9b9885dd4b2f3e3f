import { setTimeout as sleep } from 'node:timers/promises';
import type { Carrier, FileCopy, ProcessEnd } from './carrier.ts';
import { ChannelGate } from './channel-gate.ts';
import { ChannelRefused, sshError } from './errors.ts';
import { type Exchange, MarkedOutput, makeExchange } from './exchange.ts';
import { downloadFile, uploadFile } from './transfer.ts';
import type { RemoteAnswer, RemoteCommand, RemoteShell } from './transport.ts';

const MAX_CHANNELS = 4;
const DEFAULT_TIMEOUT_SECONDS = 60;
const DEFAULT_MAX_STDOUT = 16 * 1024 * 1024;
const MAX_STDERR = 1024 * 1024;

export interface LimitedShell extends RemoteShell {
  /** Channels that may be open at once: what was asked for, less what the server refused. */
  readonly channels: () => number;
}

/** The RemoteShell over a carrier: random markers, channel limit, timeouts, verified copies. */
export function makeRemoteShell(carrier: Carrier, maxChannels = MAX_CHANNELS): LimitedShell {
  const gate = new ChannelGate(Math.min(maxChannels, MAX_CHANNELS));
  let wasReady = false;

  /** A connection made anew may have more room than the last one. */
  const noteState = () => {
    const isReady = carrier.state().kind === 'ready';
    if (isReady && !wasReady) gate.reset();
    wasReady = isReady;
  };

  /** Runs `act` with a channel of ours; a refusal of the server's is waited out, as long as nothing was run. */
  async function withChannel<T>(deadline: number, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    for (let pause = 50; ; pause = Math.min(2_000, pause * 2)) {
      const release = await gate.acquire(deadline, signal);
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof ChannelRefused)) throw error;
        gate.refused();
        if (performance.now() + pause > deadline)
          throw sshError(
            'HF-SSH-BUSY',
            `${carrier.host} has no free channel on this connection (${error.message}). It is tried again later.`,
            error,
          );
      } finally {
        release();
        noteState();
      }
      await sleep(pause * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  const shell: RemoteShell = {
    async run(command: RemoteCommand, signal = new AbortController().signal) {
      const exchange = makeExchange(command);
      const deadline = performance.now() + (command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000;
      const result = await withChannel(deadline, signal, () => answer(carrier, exchange, command, deadline, signal));
      if ((result.kind === 'exited') !== (carrier.state().kind === 'ready')) await carrier.refresh();
      return result;
    },
    upload: (localFile, remoteFile, options = {}) => uploadFile({ shell, put }, localFile, remoteFile, options),
    download: (remoteFile, localFile, options = {}) => downloadFile({ shell, get }, remoteFile, localFile, options),
    state: () => carrier.state(),
    check: () => carrier.check().finally(noteState),
    close: () => carrier.close(),
  };
  const WAIT_FOR_CHANNEL_MS = 120_000;
  const put = (copy: FileCopy) => withChannel(performance.now() + WAIT_FOR_CHANNEL_MS, copy.signal, () => carrier.put(copy));
  const get = (copy: FileCopy) => withChannel(performance.now() + WAIT_FOR_CHANNEL_MS, copy.signal, () => carrier.get(copy));
  return { ...shell, channels: () => gate.channels };
}

type Interruption = 'time' | 'abort' | 'overflow';

/** One command over one channel. Throws when it is sure that nothing was run. */
async function answer(
  carrier: Carrier,
  exchange: Exchange,
  command: RemoteCommand,
  deadline: number,
  signal: AbortSignal,
): Promise<RemoteAnswer> {
  const stdout = new MarkedOutput(exchange, command.maxStdoutBytes ?? DEFAULT_MAX_STDOUT);
  const stderr = new MarkedOutput(exchange, MAX_STDERR);
  let isSent = false;
  let interruption: Interruption | undefined;
  let interrupt: (why: Interruption) => void = () => undefined;
  const interrupted = new Promise<undefined>((resolve) => {
    interrupt = (why) => {
      interruption ??= why;
      resolve(undefined);
    };
  });
  const onAbort = () => interrupt('abort');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const timer = setTimeout(() => interrupt('time'), Math.max(0, deadline - performance.now()));
  const settle = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  };

  const opening = carrier.exec(exchange.line);
  const remote = await Promise.race([opening, interrupted]).catch((error: unknown) => {
    settle();
    throw error;
  });
  if (!remote) {
    settle();
    // A channel that comes too late gets no script.
    opening.then((late) => late.drop()).catch(() => undefined);
    throw notSent(carrier, interruption, stdout.noise);
  }

  const complete = new Promise<undefined>((resolve) => {
    remote.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      if (stdout.hasBegun && !isSent && interruption === undefined) {
        isSent = true;
        remote.stdin.write(exchange.payload);
        remote.stdin.end(exchange.input);
      }
      if (stdout.hasOverflowed) interrupt('overflow');
      if (stdout.status !== undefined && stderr.status !== undefined) resolve(undefined);
    });
    remote.stderr.on('data', (chunk: Buffer) => {
      stderr.push(chunk);
      if (stdout.status !== undefined && stderr.status !== undefined) resolve(undefined);
    });
  });
  // The channel's own end says what a write error means.
  remote.stdin.on('error', () => undefined);
  let end: ProcessEnd | undefined;
  try {
    end = (await Promise.race([complete, interrupted, remote.ended])) ?? undefined;
  } finally {
    settle();
    remote.drop();
  }

  if (stdout.status !== undefined && stderr.status !== undefined && !stdout.hasOverflowed) {
    if (stdout.status === 'tmp')
      throw sshError(
        'HF-SSH-REMOTE-TMP',
        `${carrier.host} could not keep the command's input: no space or no rights in its temporary folder. Free some space there; it is tried again.`,
      );
    return { kind: 'exited', code: Number(stdout.status), stdout: stdout.body(), stderr: stderr.body() };
  }
  const host = carrier.host;
  if (!isSent) {
    if (interruption) throw notSent(carrier, interruption, stdout.noise);
    if (end) throw await carrier.explain({ code: end.code, stderr: end.stderr || stderr.noise.toString('utf8') });
  }
  if (interruption === 'overflow')
    return { kind: 'unknown', why: `the answer of ${host} is longer than ${command.maxStdoutBytes ?? DEFAULT_MAX_STDOUT} bytes` };
  if (interruption === 'abort') return { kind: 'unknown', why: 'cancelled while waiting for the answer' };
  if (interruption === 'time')
    return { kind: 'unknown', why: `no answer from ${host} within ${command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS} s` };
  return { kind: 'unknown', why: `the connection to ${host} ended before the answer was complete` };
}

function notSent(carrier: Carrier, interruption: Interruption | undefined, noise: Buffer): Error {
  if (interruption === 'abort') return sshError('HF-SSH-ABORTED', 'The command was cancelled before it was sent.');
  return sshError(
    'HF-SSH-STALLED',
    `${carrier.host} did not start a shell within the command's time${said(noise)}. Nothing was run; it is tried again.`,
  );
}

function said(noise: Buffer): string {
  const text = noise.toString('utf8').trim().slice(-200);
  return text ? ` (it said: ${text})` : '';
}
