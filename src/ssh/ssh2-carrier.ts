import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Client, ClientChannel, SFTPWrapper } from 'ssh2';
import { DriverError } from '../systems/driver.ts';
import type { Carrier, FileCopy, ProcessEnd, RemoteProcess } from './carrier.ts';
import { ChannelRefused, sshError } from './errors.ts';
import type { AskPerson } from './login-questions.ts';
import type { SshSettings } from './settings.ts';
import { appendRemote, readRemote } from './sftp-copy.ts';
import { connectSsh2, type Ssh2Connection } from './ssh2-connect.ts';
import type { LoginState } from './transport.ts';

const MAX_BACKOFF_SECONDS = 300;

export interface Ssh2Carrier extends Carrier {
  /** One login on a person's word; the only way to a connection where `auth` is passcode or where the server refused. Throws DriverError. */
  login(ask: AskPerson): Promise<LoginState>;
}

/** One connection of the worker's own. With keys it comes back by itself, with back-off; after a refusal, or with passcodes, only by `login`. */
export function ssh2Carrier(system: string, settings: SshSettings, env: NodeJS.ProcessEnv = process.env): Ssh2Carrier {
  const advice = `Run \`holdfast login ${system}\` in a terminal.`;
  let connection: Ssh2Connection | undefined;
  let opening: Promise<Ssh2Connection> | undefined;
  let failures = 0;
  let notBefore = 0;
  /** What a refused login said: nothing is tried until a person asks for it. */
  let blocked: DriverError | undefined;
  let isClosed = false;
  let state: LoginState =
    settings.auth === 'passcode'
      ? { kind: 'needs_login', since: now(), why: `Not logged in yet. ${advice}` }
      : { kind: 'unreachable', since: now(), why: 'Not connected yet.', retrySeconds: 0 };

  function set(next: LoginState): LoginState {
    state = next.kind === state.kind && next.kind !== 'ready' ? { ...next, since: state.since } : next;
    return state;
  }

  async function open(ask: AskPerson | undefined): Promise<Ssh2Connection> {
    try {
      const opened = await connectSsh2(settings, ask, env);
      connection = opened;
      failures = 0;
      blocked = undefined;
      set({ kind: 'ready', since: now() });
      opened.client.on('error', () => undefined);
      opened.client.on('close', () => ended(opened));
      if (isClosed) endAll(opened);
      return opened;
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      if (error.class === 'transport') {
        const seconds = Math.min(MAX_BACKOFF_SECONDS, 2 ** failures++) * (0.5 + Math.random() / 2);
        notBefore = performance.now() + seconds * 1000;
        if (settings.auth === 'keys') set({ kind: 'unreachable', since: now(), why: error.message, retrySeconds: Math.ceil(seconds) });
      } else {
        blocked = error;
        set({ kind: 'needs_login', since: now(), why: error.message });
      }
      throw error;
    }
  }

  function ended(which: Ssh2Connection): void {
    if (connection !== which) return;
    connection = undefined;
    endAll(which);
    if (settings.auth === 'passcode')
      set({ kind: 'needs_login', since: now(), why: `The connection to ${settings.host} has ended. ${advice}` });
    else set({ kind: 'unreachable', since: now(), why: `The connection to ${settings.host} has ended.`, retrySeconds: 0 });
  }

  /** The open connection, or with keys a new one. Everybody who waits shares one attempt. */
  async function connected(): Promise<Ssh2Connection> {
    if (connection) return connection;
    if (isClosed) throw sshError('HF-SSH-CUT', `The connection to ${settings.host} was closed by this worker.`);
    if (opening) return opening;
    if (blocked) throw blocked;
    if (settings.auth === 'passcode') throw sshError('HF-SSH-NEEDS-LOGIN', `${settings.host} is not logged in. ${advice}`);
    const waitMs = notBefore - performance.now();
    if (waitMs > 0 && state.kind === 'unreachable')
      throw sshError('HF-SSH-UNREACHABLE', `${state.why} (next attempt in ${Math.ceil(waitMs / 1000)} s)`);
    opening = open(undefined).finally(() => {
      opening = undefined;
    });
    return opening;
  }

  async function sftp<T>(act: (session: SFTPWrapper) => Promise<T>, copy: FileCopy): Promise<T> {
    const { client } = await connected();
    // ssh2 leaves what is under way on a dead connection unanswered, so everything races with the connection's end.
    const cut = connectionEnd(client, () =>
      sshError('HF-SSH-CUT', `The connection to ${settings.host} ended during a file copy. It goes on where it ended.`),
    );
    let session: SFTPWrapper | undefined;
    const drop = () => session?.end();
    copy.signal.addEventListener('abort', drop, { once: true });
    try {
      session = await Promise.race([openSftp(client), cut.ended]);
      return await Promise.race([act(session), cut.ended]);
    } catch (error) {
      if (copy.signal.aborted) throw sshError('HF-SSH-ABORTED', 'The file copy was cancelled. It goes on where it ended.', error);
      if (error instanceof DriverError || error instanceof ChannelRefused) throw error;
      throw sshError(
        'HF-SSH-TRANSFER',
        `${copy.remoteFile} could not be copied (${(error as Error).message}). It goes on where it ended.`,
        error,
      );
    } finally {
      cut.forget();
      copy.signal.removeEventListener('abort', drop);
      session?.end();
    }
  }

  return {
    host: settings.host,
    async exec(line) {
      const current = await connected();
      try {
        return channelProcess(current.client, await openChannel(current.client, line, settings.host));
      } catch (error) {
        // A connection that takes no command is over, though its last event may not have come yet.
        if (error instanceof DriverError) ended(current);
        throw error;
      }
    },
    async explain(end) {
      if (!connection)
        return settings.auth === 'passcode'
          ? sshError('HF-SSH-NEEDS-LOGIN', `The connection to ${settings.host} ended before the command was sent. ${advice}`)
          : sshError('HF-SSH-CUT', `The connection to ${settings.host} ended before the command was sent. It is tried again.`);
      const words = end.stderr.trim().slice(-300);
      return sshError(
        'HF-SSH-NO-SHELL',
        `The login shell on ${settings.host} ended at once (exit status ${end.code}${words ? `: ${words}` : ''}). Nothing was run; it is tried again.`,
      );
    },
    put: (copy) =>
      sftp((session) => appendRemote(session, createReadStream(copy.localFile, { start: copy.offset, highWaterMark: 32_768 }), copy), copy),
    get: (copy) =>
      sftp(async (session) => {
        await pipeline(readRemote(session, copy), createWriteStream(copy.localFile, { flags: 'a' }));
      }, copy),
    state: () => state,
    async check() {
      // A failure is the answer: it stands in the state.
      await connected().catch(() => undefined);
      return state;
    },
    refresh: async () => undefined,
    async login(ask) {
      if (connection) return state;
      await opening?.catch(() => undefined);
      if (connection) return state;
      opening = open(settings.auth === 'passcode' ? ask : undefined).finally(() => {
        opening = undefined;
      });
      await opening;
      return state;
    },
    async close() {
      isClosed = true;
      const open = connection;
      connection = undefined;
      if (open) endAll(open);
    },
  };
}

/** Rejects at the end of a connection. `forget` takes the listener off. */
function connectionEnd(client: Client, error: () => Error): { readonly ended: Promise<never>; readonly forget: () => void } {
  let forget: () => void = () => undefined;
  const ended = new Promise<never>((_, reject) => {
    const onClose = () => reject(error());
    client.once('close', onClose);
    forget = () => client.removeListener('close', onClose);
  });
  ended.catch(() => undefined);
  return { ended, forget: () => forget() };
}

function openSftp(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => client.sftp((error, opened) => (error ? reject(refusal(error)) : resolve(opened))));
}

function openChannel(client: Client, line: string, host: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    const cut = (cause?: unknown) =>
      reject(sshError('HF-SSH-CUT', `The connection to ${host} ended before the command was sent. It is tried again.`, cause));
    client.once('close', cut);
    try {
      client.exec(line, (error, opened) => {
        client.removeListener('close', cut);
        if (error) reject(refusal(error));
        else resolve(opened);
      });
    } catch (error) {
      // ssh2 throws `Not connected` outright.
      cut(error);
    }
  });
}

function endAll({ client, hops }: Ssh2Connection): void {
  client.end();
  for (const hop of hops) hop.end();
}

/** A server without a free channel (RFC 4254, 5.1: reasons 1 to 4); anything else is the connection's end. */
function refusal(error: Error & { reason?: unknown }): Error {
  return error.reason !== undefined || /channel open failure|open failed/i.test(error.message)
    ? new ChannelRefused(error.message)
    : sshError('HF-SSH-CUT', `The connection ended before the command was sent (${error.message}). It is tried again.`, error);
}

function channelProcess(client: Client, channel: ClientChannel): RemoteProcess {
  let code: number | null = null;
  let words = Buffer.alloc(0);
  channel.on('exit', (status: number | null) => {
    code = status;
  });
  channel.stderr.on('data', (chunk: Buffer) => {
    words = Buffer.concat([words, chunk]).subarray(-2_000);
  });
  return {
    stdin: channel,
    stdout: channel,
    stderr: channel.stderr,
    ended: new Promise<ProcessEnd>((resolve) => {
      const end = () => {
        client.removeListener('close', end);
        resolve({ code, stderr: words.toString('utf8') });
      };
      channel.once('close', end);
      client.once('close', end);
    }),
    drop() {
      channel.on('error', () => undefined);
      channel.resume();
      channel.stderr.resume();
      channel.close();
    },
  };
}

function now(): string {
  return new Date().toISOString();
}
