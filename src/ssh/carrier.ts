import type { Readable, Writable } from 'node:stream';
import type { DriverError } from '../systems/driver.ts';
import type { LoginState } from './transport.ts';

/** What the transports differ in. `shell.ts` builds the RemoteShell on top of any of them. */
export interface Carrier {
  /** For messages: `aurora.alcf.anl.gov`. */
  readonly host: string;
  /** Starts one command line in the login shell. Throws DriverError, or ChannelRefused when the server has no channel left. */
  exec(line: string): Promise<RemoteProcess>;
  /** Why a process ended before its first word: ChannelRefused to wait for a channel, else what is thrown. */
  explain(end: ProcessEnd): Promise<ChannelRefusedOrError>;
  /** Appends the local file's bytes from `offset` on to the remote file, which has `offset` bytes. */
  put(copy: FileCopy): Promise<void>;
  /** Appends the remote file's bytes from `offset` to `size` to the local file, which has `offset` bytes. */
  get(copy: FileCopy): Promise<void>;
  state(): LoginState;
  check(): Promise<LoginState>;
  /** Brings `state()` up to date after a command contradicted it; without the network. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

export type ChannelRefusedOrError = Error | DriverError;

export interface RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when both outputs have ended; never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** Closes the channel. What runs remotely goes on. */
  drop(): void;
}

export interface ProcessEnd {
  readonly code: number | null;
  /** Last words of stderr, for the message. */
  readonly stderr: string;
}

export interface FileCopy {
  readonly localFile: string;
  readonly remoteFile: string;
  readonly offset: number;
  readonly size: number;
  readonly signal: AbortSignal;
  readonly progress: (bytes: number) => void;
}
