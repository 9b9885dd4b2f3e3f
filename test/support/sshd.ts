import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const SSHD = '/usr/sbin/sshd';

/** Why the tests of SSH cannot run here, or undefined. */
export function whyNoSshd(): string | undefined {
  if (!existsSync(SSHD)) return `${SSHD} is not here: apt-get install openssh-server`;
  return undefined;
}

export interface SshdOptions {
  readonly maxSessions?: number;
  /** Lines of sshd_config. */
  readonly config?: readonly string[];
  /** Login shell of all sessions, e.g. /usr/bin/tcsh; its rc files are read from `home`. */
  readonly loginShell?: string;
  /** Environment of sessions, over HOME=<home>. */
  readonly sessionEnv?: Readonly<Record<string, string>>;
}

/** A real sshd on loopback with keys, home folder and configuration of its own. The user is the one that runs the tests. */
export interface TestSshd {
  readonly port: number;
  readonly folder: string;
  /** HOME of sessions and of the client: rc files, .ssh/config, .ssh/known_hosts, .ssh/id_ed25519. */
  readonly home: string;
  /** Environment for the client side: HOME and HOLDFAST_RUNTIME_DIR. */
  readonly env: NodeJS.ProcessEnv;
  readonly clientConfig: string;
  readonly log: () => string;
  /** Logins that sshd accepted, and attempts that it refused. */
  readonly logins: () => { accepted: number; failed: number };
  readonly hostKey: (type?: 'ed25519' | 'rsa') => string;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/**
 * Starts sshd in the foreground. Sessions get HOME=<home>, so nothing of the account's own is read or touched; another login shell than the
 * account's is started by a forced command.
 */
export async function startSshd(options: SshdOptions = {}): Promise<TestSshd> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-sshd-'));
  const home = join(folder, 'home');
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 });
  for (const type of ['ed25519', 'rsa']) keygen(type, join(folder, `host_${type}`));
  keygen('ed25519', join(home, '.ssh', 'id_ed25519'));
  const authorized = join(folder, 'authorized_keys');
  writeFileSync(authorized, readFileSync(join(home, '.ssh', 'id_ed25519.pub')), { mode: 0o600 });
  const shellWrapper = join(folder, 'login-shell');
  writeFileSync(shellWrapper, `#!/bin/sh\nexec ${options.loginShell} -c "$SSH_ORIGINAL_COMMAND"\n`, { mode: 0o755 });
  const port = await freePort();
  const log = join(folder, 'sshd.log');
  const config = join(folder, 'sshd_config');
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      ...['ed25519', 'rsa'].map((type) => `HostKey ${join(folder, `host_${type}`)}`),
      `PidFile ${join(folder, 'sshd.pid')}`,
      `AuthorizedKeysFile ${authorized}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      `MaxSessions ${options.maxSessions ?? 10}`,
      'LogLevel VERBOSE',
      'PrintMotd no',
      'Subsystem sftp internal-sftp',
      ...(options.config ?? []),
      // The first SetEnv line counts, so all stand in one.
      `SetEnv ${Object.entries({ HOME: home, ...options.sessionEnv })
        .map(([name, value]) => `"${name}=${value}"`)
        .join(' ')}`,
      // sftp must not go through the shell.
      ...(options.loginShell
        ? [`ForceCommand case "$SSH_ORIGINAL_COMMAND" in internal-sftp) exec /usr/lib/openssh/sftp-server;; *) exec ${shellWrapper};; esac`]
        : []),
      '',
    ].join('\n'),
  );
  const clientConfig = join(home, '.ssh', 'config');
  const name = userInfo().username;
  writeFileSync(
    clientConfig,
    [
      'Host testhost',
      '  HostName 127.0.0.1',
      `  Port ${port}`,
      `  User ${name}`,
      `  IdentityFile ${join(home, '.ssh', 'id_ed25519')}`,
      '  IdentitiesOnly yes',
      '  IdentityAgent none',
      `  UserKnownHostsFile ${join(home, '.ssh', 'known_hosts')}`,
      '  GlobalKnownHostsFile none',
      '',
    ].join('\n'),
  );
  const hostKey = (type: 'ed25519' | 'rsa' = 'ed25519') =>
    readFileSync(join(folder, `host_${type}.pub`), 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ');
  writeFileSync(join(home, '.ssh', 'known_hosts'), `[127.0.0.1]:${port} ${hostKey()}\n`);

  let server: ChildProcess | undefined;
  const start = async () => {
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    server = spawn(SSHD, ['-D', '-f', config, '-E', log], { stdio: 'ignore' });
    for (let tries = 0; !(existsSync(log) && readFileSync(log, 'utf8').includes('Server listening')); tries++) {
      if (tries > 600 || server.exitCode !== null)
        throw new Error(`sshd did not start: ${existsSync(log) ? readFileSync(log, 'utf8') : 'no log'}`);
      await sleep(50);
    }
  };
  const stop = async () => {
    const running = server;
    server = undefined;
    if (!running || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    for (const child of childrenOf(running.pid)) killQuietly(child);
    running.kill('SIGKILL');
    await gone;
    writeFileSync(log, readFileSync(log, 'utf8').replaceAll('Server listening', 'Server was listening'));
  };
  await start();
  return {
    port,
    folder,
    home,
    env: { ...process.env, HOME: home, HOLDFAST_RUNTIME_DIR: join(folder, 'run'), SSH_AUTH_SOCK: undefined },
    clientConfig,
    log: () => readFileSync(log, 'utf8'),
    logins: () => {
      const text = readFileSync(log, 'utf8');
      return {
        accepted: (text.match(/^Accepted (?!key )/gm) ?? []).length,
        failed: (text.match(/^Failed |Too many authentication failures/gm) ?? []).length,
      };
    },
    hostKey,
    start,
    stop,
  };
}

/** Stops it and removes its folder. */
export async function removeSshd(sshd: TestSshd): Promise<void> {
  await sshd.stop();
  rmSync(sshd.folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Process ids of a process's children (the per-connection sshds), theirs included. */
export function childrenOf(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  const pairs = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The command's name stands in brackets and may hold anything; the parent is the second word after it.
        const words = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
        return [[Number(name), Number(words[1])] as const];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
  const below = (parent: number): number[] => pairs.flatMap(([child, its]) => (its === parent ? [child, ...below(child)] : []));
  return below(pid);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export function keygen(type: string, file: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file, ...(type === 'rsa' ? ['-b', '2048'] : [])]);
}

/**
 * A port that nothing listens on, below those that a system gives to whoever asks for any (32768 and above on Linux): while a server that had it
 * is away, no connection and no other server is given it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
