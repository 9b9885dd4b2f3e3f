import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolveHost } from './config-file.ts';
import { masterAddress } from './control-master.ts';
import { hostKeyCheck } from './host-key-check.ts';
import { knownHostName } from './known-hosts.ts';
import { workerLoginState } from './passcode-socket.ts';
import { runtimeFolder } from './runtime-folder.ts';
import type { SshSettings } from './settings.ts';
import type { LimitedShell } from './shell.ts';
import { usableKeys } from './ssh2-login.ts';
import type { RemoteShell } from './transport.ts';

export interface SshFinding {
  readonly id: string;
  readonly title: string;
  readonly status: 'ok' | 'warn' | 'fail' | 'skip';
  readonly found: string;
  /** What to do; with warn and fail. */
  readonly advice?: string;
}

export interface SshDoctorContext {
  readonly system: string;
  readonly settings: SshSettings;
  readonly shell: LimitedShell;
  readonly env: NodeJS.ProcessEnv;
}

type Result = Omit<SshFinding, 'id' | 'title'>;

interface Check {
  readonly id: string;
  readonly title: string;
  /** The check needs a login and is skipped without one. */
  readonly isRemote: boolean;
  readonly transports: readonly SshSettings['transport'][];
  readonly run: (context: SshDoctorContext) => Promise<Result>;
}

const EVERY = ['openssh', 'ssh2', 'none'] as const;
const BY_SSH = ['openssh', 'ssh2'] as const;

const ok = (found: string): Result => ({ status: 'ok', found });
const warn = (found: string, advice: string): Result => ({ status: 'warn', found, advice });
const fail = (found: string, advice: string): Result => ({ status: 'fail', found, advice });

/** One row per question. None of them can log in where a person's login is needed. */
export const SSH_CHECKS: readonly Check[] = [
  { id: 'ssh-client', title: 'OpenSSH client', isRemote: false, transports: ['openssh'], run: checkClient },
  { id: 'ssh-sockets', title: 'Folder for sockets', isRemote: false, transports: BY_SSH, run: checkSockets },
  { id: 'ssh-config', title: 'Host in ~/.ssh/config', isRemote: false, transports: ['ssh2'], run: checkConfig },
  { id: 'ssh-host-key', title: 'Host key on file', isRemote: false, transports: ['ssh2'], run: checkHostKey },
  { id: 'ssh-keys', title: 'Keys', isRemote: false, transports: ['ssh2'], run: checkKeys },
  { id: 'ssh-login', title: 'Login', isRemote: false, transports: BY_SSH, run: checkLogin },
  { id: 'ssh-answer', title: 'Time of an answer', isRemote: true, transports: EVERY, run: checkAnswer },
  { id: 'ssh-channels', title: 'Channels of the connection', isRemote: true, transports: BY_SSH, run: checkChannels },
  { id: 'ssh-programs', title: 'Programs on the login node', isRemote: true, transports: EVERY, run: checkPrograms },
  { id: 'ssh-tasks', title: 'Task cap of the login node', isRemote: true, transports: EVERY, run: checkTasks },
  { id: 'ssh-clock', title: 'Clock of the login node', isRemote: true, transports: EVERY, run: checkClock },
  { id: 'ssh-copies', title: 'File copies', isRemote: true, transports: EVERY, run: checkCopies },
];

/** Runs the table's rows for one system, one after the other. Never throws: what a check throws is its finding. */
export async function diagnoseSsh(context: SshDoctorContext): Promise<SshFinding[]> {
  const findings: SshFinding[] = [];
  for (const { id, title, isRemote, transports, run } of SSH_CHECKS) {
    if (!transports.includes(context.settings.transport)) continue;
    const result: Result =
      isRemote && context.shell.state().kind !== 'ready'
        ? { status: 'skip', found: 'not logged in' }
        : await run(context).catch((error: Error) => fail(error.message, 'Mend what the message names, then run doctor again.'));
    findings.push({ id, title, ...result });
  }
  return findings;
}

async function checkClient(): Promise<Result> {
  const words = await promisify(execFile)('ssh', ['-V']).then(
    ({ stderr }) => stderr.trim(),
    () => undefined,
  );
  if (words === undefined) return fail('ssh cannot be started', "Install OpenSSH's client (openssh-client).");
  const version = Number(/OpenSSH_(\d+\.\d+)/.exec(words)?.[1]);
  return version >= 7.6 ? ok(words) : fail(words, 'Use OpenSSH 7.6 or newer: older ones do not know RemoteCommand=none.');
}

async function checkSockets({ system, settings, env }: SshDoctorContext): Promise<Result> {
  const folder = runtimeFolder(env);
  return ok(settings.transport === 'openssh' ? masterAddress(system, settings, env).socket : folder);
}

function resolved({ settings, env }: SshDoctorContext) {
  return resolveHost({ host: settings.host, user: settings.user, port: settings.port, configFile: settings.config_file }, env);
}

async function checkConfig(context: SshDoctorContext): Promise<Result> {
  const host = resolved(context);
  const way = host.jumps.length > 0 ? ` through ${host.jumps.join(', ')}` : '';
  return ok(`${host.user}@${host.hostName}:${host.port}${way}`);
}

async function checkHostKey(context: SshDoctorContext): Promise<Result> {
  const host = resolved(context);
  const { preferred } = hostKeyCheck(host);
  const name = knownHostName(host.keyName, host.port);
  return preferred.length > 0
    ? ok(`${name}: ${preferred.join(', ')}`)
    : fail(
        `${name} is not in ${host.knownHostsFiles[0]}`,
        `Log in once with ssh ${context.settings.host} and compare the fingerprint with the one your site publishes.`,
      );
}

async function checkKeys(context: SshDoctorContext): Promise<Result> {
  if (context.settings.auth === 'passcode') return { status: 'skip', found: 'a person types a passcode' };
  const { usable, skipped } = usableKeys(resolved(context));
  if (usable.length > 0) return ok(usable.join(', '));
  return fail(
    skipped.length > 0 ? skipped.join('; ') : 'no key and no agent',
    'Make one with ssh-keygen -t ed25519, or start your agent, or set ssh.auth: passcode.',
  );
}

async function checkLogin({ system, settings, shell, env }: SshDoctorContext): Promise<Result> {
  // A passcode's connection is the worker's; this process has none of its own.
  const isWorkers = settings.transport === 'ssh2' && settings.auth === 'passcode';
  const state = (isWorkers ? await workerLoginState(system, env) : undefined) ?? (await shell.check());
  if (state.kind === 'ready') return ok(`since ${state.since}${state.node === undefined ? '' : ` on ${state.node}`}`);
  return state.kind === 'needs_login'
    ? warn(state.why, `Run holdfast login ${system} in a terminal.`)
    : fail(state.why, 'Check the network and the host name; it is tried again by itself.');
}

async function text(shell: RemoteShell, script: string, timeoutSeconds = 30): Promise<string> {
  const answer = await shell.run({ script, timeoutSeconds });
  if (answer.kind === 'unknown') throw new Error(answer.why);
  return answer.stdout.toString('utf8').trim();
}

const SLOW_ANSWER_MS = 5_000;

async function checkAnswer({ shell }: SshDoctorContext): Promise<Result> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const started = performance.now();
    await text(shell, ':');
    times.push(performance.now() - started);
  }
  const median = [...times].sort((a, b) => a - b)[1] ?? 0;
  const found = `${Math.round(median)} ms (median of 3)`;
  return median < SLOW_ANSWER_MS
    ? ok(found)
    : warn(found, 'The login node or its rc files are slow: look at ~/.bashrc and at the load there.');
}

async function checkChannels({ shell, settings }: SshDoctorContext): Promise<Result> {
  const wanted = settings.max_channels;
  await Promise.all(Array.from({ length: wanted }, () => text(shell, 'sleep 1')));
  const given = shell.channels();
  return given >= wanted
    ? ok(`${given} at once`)
    : warn(
        `the server gives ${given} at once, ${wanted} are wanted`,
        'Other sessions on this connection count too (MaxSessions). It works as it is, more slowly; ssh.max_channels sets the number.',
      );
}

const PROGRAMS = ['dd', 'mktemp', 'wc', 'head', 'cut', 'mv', 'mkdir', 'timeout', 'setsid', 'python3'];

async function checkPrograms({ shell }: SshDoctorContext): Promise<Result> {
  const missing = await text(
    shell,
    `for p in ${PROGRAMS.join(' ')}; do command -v "$p" >/dev/null 2>&1 || echo "$p"; done; command -v sha256sum >/dev/null 2>&1 || command -v shasum >/dev/null 2>&1 || echo sha256sum`,
  );
  const python = await text(shell, 'python3 -c "import sys; print(\'%d.%d\' % sys.version_info[:2])" 2>/dev/null || :');
  if (missing !== '')
    return fail(`missing: ${missing.split('\n').join(', ')}`, 'Ask your site, or add their folder to the PATH of non-interactive shells.');
  const [major = 0, minor = 0] = python.split('.').map(Number);
  return major === 3 && minor >= 6
    ? ok(`all there, python ${python}`)
    : fail(`python3 is ${python || 'not usable'}`, 'The agent needs Python 3.6 or newer as python3.');
}

const FEW_TASKS = 32;

async function checkTasks({ shell }: SshDoctorContext): Promise<Result> {
  const words = await text(
    shell,
    'd=/sys/fs/cgroup/users/$(id -un); [ -r "$d/pids.max" ] || d=/sys/fs/cgroup/user.slice/user-$(id -u).slice; if [ -r "$d/pids.max" ]; then echo "$(cat "$d/pids.max") $(cat "$d/pids.current")"; else echo "$(ulimit -u 2>/dev/null || echo unlimited) $(ps -U "$(id -u)" -o pid= 2>/dev/null | wc -l)"; fi',
  );
  const [max = '', used = ''] = words.split(/\s+/);
  const found = `${used} of ${max} tasks in use`;
  return /^\d+$/.test(max) && Number(max) - Number(used) < FEW_TASKS
    ? warn(found, 'End what you do not need there: near the cap, commands fail to start.')
    : ok(found);
}

const LARGE_OFFSET_SECONDS = 120;

async function checkClock({ shell }: SshDoctorContext): Promise<Result> {
  const before = Date.now() / 1000;
  const there = Number(await text(shell, 'date +%s'));
  const offset = Math.round(there - (before + Date.now() / 1000) / 2);
  const found = `${offset >= 0 ? '+' : ''}${offset} s against this computer`;
  return Math.abs(offset) < LARGE_OFFSET_SECONDS
    ? ok(found)
    : warn(found, 'Times that people read will differ by that much. Nothing is decided by comparing clocks.');
}

async function checkCopies({ shell }: SshDoctorContext): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-doctor-'));
  const name = `.holdfast-doctor-${randomBytes(4).toString('hex')}`;
  try {
    const there = `${await text(shell, 'echo "$HOME"')}/${name}`;
    const content = randomBytes(65_536);
    await writeFile(join(folder, 'out'), content);
    const started = performance.now();
    await shell.upload(join(folder, 'out'), there);
    await shell.download(there, join(folder, 'back'));
    const milliseconds = Math.round(performance.now() - started);
    await shell.run({ script: 'rm -f -- "$1"', args: [there] });
    return (await readFile(join(folder, 'back'))).equals(content)
      ? ok(`64 KiB there and back in ${milliseconds} ms`)
      : fail('a file came back changed', 'Tell your site.');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
