import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Carrier, FileCopy, ProcessEnd } from './carrier.ts';
import { ChannelRefused, sshError } from './errors.ts';
import { childProcess } from './local-carrier.ts';
import { quoteSftpPath } from './quote.ts';
import { socketPath } from './runtime-folder.ts';
import type { SshSettings } from './settings.ts';
import type { LoginState } from './transport.ts';

/** What the user's OpenSSH is called with. */
export interface MasterAddress {
  readonly system: string;
  readonly settings: SshSettings;
  readonly socket: string;
}

/** Where a system's master lies: the same in the worker and in `holdfast login`. */
export function masterAddress(system: string, settings: SshSettings, env: NodeJS.ProcessEnv = process.env): MasterAddress {
  const identity = ['cm', system, settings.user ?? '', settings.host, settings.port ?? ''].join('\n');
  return { system, settings, socket: socketPath('cm', identity, env) };
}

/** Words that name the host to ssh; `sftp` spells the same ones. */
export function hostWords({ settings }: MasterAddress): string[] {
  return [
    ...(settings.config_file === undefined ? [] : ['-F', settings.config_file]),
    ...(settings.user === undefined ? [] : ['-o', `User=${settings.user}`]),
    ...(settings.port === undefined ? [] : ['-o', `Port=${settings.port}`]),
  ];
}

/**
 * Without these a refused channel or a dead master silently becomes a login of its own, and six wrong ones lock the account (measured:
 * OpenSSH 9.2, 3 refused channels = 3 logins). ProxyCommand=false is what makes that impossible: there is no way to a server but the socket.
 */
function guard({ socket }: MasterAddress): string[] {
  return [
    'ControlMaster=no',
    `ControlPath=${socket}`,
    'BatchMode=yes',
    'ProxyCommand=false',
    'LogLevel=ERROR',
    'PermitLocalCommand=no',
    'RemoteCommand=none',
    'ForwardAgent=no',
    'ForwardX11=no',
    'ClearAllForwardings=yes',
    'EscapeChar=none',
  ].flatMap((option) => ['-o', option]);
}

const loginAdvice = (system: string) => `Run \`holdfast login ${system}\` in a terminal.`;

/** What `holdfast login` leaves beside the socket. */
export interface MasterRecord {
  /** Full name of the login node, where it says one. */
  readonly node?: string;
  readonly since: string;
}

/** Where `holdfast login` notes which node a connection leads to: beside its socket. */
export function masterRecordFile(address: MasterAddress): string {
  return `${address.socket}.json`;
}

/** The user's own OpenSSH connection, opened by `holdfast login`. Nothing here can log in. */
export function controlMasterCarrier(address: MasterAddress): Carrier {
  const { settings, system } = address;
  let state: LoginState = { kind: 'needs_login', since: now(), why: `Not logged in yet. ${loginAdvice(system)}` };

  function set(next: LoginState): LoginState {
    if (next.kind === state.kind && next.kind !== 'ready') return state;
    state = next;
    return state;
  }

  async function check(): Promise<LoginState> {
    if (await isMasterAlive(address)) {
      const record = await readRecord(address);
      return set({ kind: 'ready', since: record?.since ?? now(), ...(record?.node === undefined ? {} : { node: record.node }) });
    }
    return set({ kind: 'needs_login', since: now(), why: `The connection to ${settings.host} has ended. ${loginAdvice(system)}` });
  }

  async function explain(end: ProcessEnd): Promise<Error> {
    const words = end.stderr.slice(-300);
    if (end.code === null)
      return sshError(
        'HF-SSH-CONFIG',
        `OpenSSH's client cannot be started (${words}). Install it (openssh-client), or use transport: ssh2.`,
      );
    // A refused session ends in the fallback, which the guard turns into 255; the same happens without a master.
    if ((await check()).kind === 'needs_login')
      return sshError('HF-SSH-NEEDS-LOGIN', `${settings.host} is not logged in. ${loginAdvice(system)}`);
    if (end.code === 255) return new ChannelRefused(words || `ssh ended with status ${end.code}`);
    return sshError(
      'HF-SSH-NO-SHELL',
      `The login shell on ${settings.host} ended at once (exit status ${end.code}${words ? `: ${words}` : ''}). Nothing was run; it is tried again.`,
    );
  }

  async function sftp(batch: string, folder: string, copy: FileCopy, isEnough = false): Promise<void> {
    const child = spawn('sftp', ['-q', ...guard(address), ...hostWords(address), '-b', '-', '--', settings.host], {
      cwd: folder,
      stdio: 'pipe',
    });
    const enough = isEnough ? watchSize(join(folder, 'local'), copy, () => child.kill('SIGKILL')) : undefined;
    const end = await finish(child, batch, copy.signal);
    if ((await enough?.stop()) === true || end.code === 0) {
      copy.progress(copy.size);
      return;
    }
    if (copy.signal.aborted) throw sshError('HF-SSH-ABORTED', 'The file copy was cancelled. It goes on where it ended.');
    if ((await check()).kind === 'needs_login')
      throw sshError('HF-SSH-NEEDS-LOGIN', `${settings.host} is not logged in; the copy goes on where it ended. ${loginAdvice(system)}`);
    if (end.code === 255 && !/ENOENT|not found|denied|No such file/.test(end.stderr)) throw new ChannelRefused(end.stderr.slice(-300));
    throw sshError(
      'HF-SSH-TRANSFER',
      `${copy.remoteFile} could not be copied (${end.stderr.slice(-300) || `sftp ended with status ${end.code}`}). It goes on where it ended.`,
    );
  }

  return {
    host: settings.host,
    exec: async (line) =>
      childProcess(spawn('ssh', ['-T', ...guard(address), ...hostWords(address), '--', settings.host, line], { stdio: 'pipe' }), true),
    explain,
    // Paths on this computer are handed over as a link with a plain name; sftp finds the offset itself, from the size of the part.
    put: (copy) =>
      withLink(copy.localFile, (folder) =>
        sftp(`${copy.offset > 0 ? 'reput' : 'put'} local ${quoteSftpPath(copy.remoteFile)}\n`, folder, copy),
      ),
    get: async (copy) => {
      if (copy.offset === 0) await writeFile(copy.localFile, '');
      await withLink(copy.localFile, (folder) => sftp(`reget ${quoteSftpPath(copy.remoteFile)} local\n`, folder, copy, true));
    },
    state: () => state,
    check,
    refresh: async () => {
      await check();
    },
    close: async () => undefined,
  };
}

/** True when the socket's master answers. Opens nothing. */
export async function isMasterAlive(address: MasterAddress): Promise<boolean> {
  const child = spawn('ssh', [...guard(address), ...hostWords(address), '-O', 'check', '--', address.settings.host], { stdio: 'pipe' });
  return (await finish(child, '', AbortSignal.timeout(10_000))).code === 0;
}

/** Ends the master (`holdfast login --logout`). */
export async function endMaster(address: MasterAddress): Promise<void> {
  const child = spawn('ssh', [...guard(address), ...hostWords(address), '-O', 'exit', '--', address.settings.host], { stdio: 'pipe' });
  await finish(child, '', AbortSignal.timeout(10_000));
  await rm(masterRecordFile(address), { force: true });
}

/** The arguments with which a person's ssh opens the master; one prompt, one attempt. `node`: a login node by its full name. */
export function openMasterWords(address: MasterAddress, node?: string): string[] {
  const { settings, socket } = address;
  const options = [
    `ControlPath=${socket}`,
    'ControlMaster=yes',
    'ControlPersist=yes',
    'NumberOfPasswordPrompts=1',
    `ServerAliveInterval=${settings.keep_alive_seconds}`,
    'ServerAliveCountMax=3',
    `ConnectTimeout=${settings.connect_timeout_seconds}`,
    'ConnectionAttempts=1',
    'ExitOnForwardFailure=no',
    'ClearAllForwardings=yes',
    'ForwardX11=no',
    'ForwardAgent=no',
    'PermitLocalCommand=no',
    'RemoteCommand=none',
    ...(node === undefined ? [] : [`HostName=${node}`]),
  ];
  return ['-M', '-N', '-f', '-T', ...options.flatMap((option) => ['-o', option]), ...hostWords(address), '--', settings.host];
}

/** What `holdfast login` noted of the connection; undefined when nothing can be read. */
export async function readRecord(address: MasterAddress): Promise<MasterRecord | undefined> {
  try {
    return JSON.parse(await readFile(masterRecordFile(address), 'utf8')) as MasterRecord;
  } catch {
    // Opened by hand, or by an older version: the node's name is for people only.
    return undefined;
  }
}

/** Feeds a child and waits for it; on `signal` it is ended. Never rejects. */
async function finish(child: ChildProcessWithoutNullStreams, input: string, signal: AbortSignal): Promise<ProcessEnd> {
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  if (signal.aborted) kill();
  const remote = childProcess(child, true);
  child.stdout.resume();
  child.stdin.end(input);
  const end = await remote.ended;
  signal.removeEventListener('abort', kill);
  return end;
}

/** Ends a download that has what was asked for: sftp itself would follow a growing log for as long as it grows. */
function watchSize(file: string, copy: FileCopy, end: () => void): { stop: () => Promise<boolean> } {
  const look = async () => {
    const bytes = (await stat(file).catch(() => undefined))?.size ?? 0;
    copy.progress(Math.min(bytes, copy.size));
    return bytes >= copy.size && copy.size > 0;
  };
  const timer = setInterval(() => {
    look().then(
      (has) => (has ? end() : undefined),
      () => undefined,
    );
  }, 200);
  return {
    stop() {
      clearInterval(timer);
      return look();
    },
  };
}

async function withLink(file: string, act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-copy-'));
  try {
    await symlink(resolve(file), join(folder, 'local'));
    await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function now(): string {
  return new Date().toISOString();
}
