/**
 * One logged-in connection to one system, shared by all campaigns of the worker. Three carriers stand behind it: ssh2, the user's own
 * OpenSSH ControlMaster, and this computer (a worker that runs on the login node).
 *
 * Two rules hold for every call:
 * - A thrown DriverError means that nothing was run. `unknown` means that it may have run, is running, or has run: look before doing it again.
 * - No call ever asks for a password or passcode. Where one is needed the error's class is `needs_login` and a person runs `holdfast login`.
 */
export interface RemoteShell {
  /** Runs one script under the remote /bin/sh, whatever the login shell is. Bytes outside the random markers (motd, rc files) are dropped. */
  run(command: RemoteCommand, signal?: AbortSignal): Promise<RemoteAnswer>;
  /**
   * Copies a local file by SFTP, makes its parent folders, checks the sha256 remotely and renames it into place. A call after a cut goes on
   * where the last one ended; a call after a success moves nothing. Throws DriverError.
   */
  upload(localFile: string, remoteFile: string, options?: UploadOptions): Promise<void>;
  /** Copies a remote file by SFTP, checks its sha256 and renames it into place. Resumes like `upload`. Throws DriverError. */
  download(remoteFile: string, localFile: string, options?: DownloadOptions): Promise<void>;
  /** What is known without asking anybody. */
  state(): LoginState;
  /** Asks (a connection with keys is opened when there is none; a person's login is never attempted). */
  check(): Promise<LoginState>;
  /** Drops the connection; running remote commands go on. A ControlMaster is the user's and stays. */
  close(): Promise<void>;
}

export interface RemoteCommand {
  /** POSIX sh, at most 100,000 bytes. Runs as `sh -c` does: `exit 3` gives code 3, a syntax error code 2. */
  readonly script: string;
  /** "$1", "$2", … of the script: any text without NUL. */
  readonly args?: readonly string[];
  /** The script's stdin. The script starts only after all of it has arrived. Absent: /dev/null. */
  readonly input?: string | Buffer;
  /** Seconds until we stop waiting (default 60). The remote process is not ended by it: scripts that need that use `timeout`. */
  readonly timeoutSeconds?: number;
  /** Longer answers on stdout are `unknown` (default 16 MiB). stderr keeps its first 1 MiB. */
  readonly maxStdoutBytes?: number;
}

export type RemoteAnswer =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: Buffer; readonly stderr: Buffer }
  /** No exit status arrived: neither a success nor a failure. */
  | { readonly kind: 'unknown'; readonly why: string };

export interface UploadOptions {
  /** Permission bits of the remote file, default 0o644. */
  readonly mode?: number;
  readonly signal?: AbortSignal;
  /** Bytes that are there, of all. */
  readonly progress?: (bytes: number, of: number) => void;
}

export interface DownloadOptions {
  /** What the file must be; without it the remote side is asked before the copy. */
  readonly sha256?: string;
  /** A larger file is refused (class `refused`, HF-SSH-TOO-LARGE). */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
  readonly progress?: (bytes: number, of: number) => void;
}

/** `since`: ISO 8601, this computer's clock. */
export type LoginState =
  /** `node`: full name of the login node that answered, where known. */
  | { readonly kind: 'ready'; readonly since: string; readonly node?: string }
  /** Only a person can mend it. `why` ends with what to do. */
  | { readonly kind: 'needs_login'; readonly since: string; readonly why: string }
  /** Goes on trying by itself (keys), not before `retrySeconds`. */
  | { readonly kind: 'unreachable'; readonly since: string; readonly why: string; readonly retrySeconds: number };
