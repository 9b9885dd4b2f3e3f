import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import ssh2, { type Client, type ConnectConfig } from 'ssh2';
import type { DriverError } from '../systems/driver.ts';
import { parseJump, type ResolvedHost, resolveHost } from './config-file.ts';
import { sshError } from './errors.ts';
import { hostKeyCheck } from './host-key-check.ts';
import type { AskPerson } from './login-questions.ts';
import type { SshSettings } from './settings.ts';
import { loginAttempts } from './ssh2-login.ts';

const MAX_JUMPS = 8;
/** A login with keys that takes longer hangs. */
const KEY_LOGIN_SECONDS = 60;
/** A person who does not answer for so long has left; servers give up sooner (LoginGraceTime 120 s). */
const PERSON_LOGIN_SECONDS = 600;

/** An open connection; `hops` are the connections to jump hosts, to be ended with it. */
export interface Ssh2Connection {
  readonly client: Client;
  readonly host: ResolvedHost;
  readonly hops: readonly Client[];
}

/**
 * Connects once, through the jump hosts, checks each host's key and logs in. One attempt: what failed is thrown as DriverError and not tried
 * again here. `ask` absent: keys only.
 */
export async function connectSsh2(settings: SshSettings, ask: AskPerson | undefined, env: NodeJS.ProcessEnv): Promise<Ssh2Connection> {
  const target = resolveHost({ host: settings.host, user: settings.user, port: settings.port, configFile: settings.config_file }, env);
  const hops: Client[] = [];
  try {
    for (const jump of route(target, settings, env)) hops.push(await openHop(jump, hops.at(-1), settings, ask));
    return { client: await openHop(target, hops.at(-1), settings, ask), host: target, hops };
  } catch (error) {
    for (const hop of hops) hop.end();
    throw error;
  }
}

function route(target: ResolvedHost, settings: SshSettings, env: NodeJS.ProcessEnv, depth = 0): ResolvedHost[] {
  if (depth > MAX_JUMPS) throw sshError('HF-SSH-CONFIG', `ProxyJump of ${settings.host} goes in a circle. Mend ~/.ssh/config.`);
  return target.jumps.flatMap((jump, index) => {
    const hop = resolveHost({ ...parseJump(jump), configFile: settings.config_file }, env);
    // As in OpenSSH, only the first hop's own ProxyJump counts.
    return index === 0 ? [...route(hop, settings, env, depth + 1), hop] : [hop];
  });
}

async function openHop(
  host: ResolvedHost,
  through: Client | undefined,
  settings: SshSettings,
  ask: AskPerson | undefined,
): Promise<Client> {
  const keyCheck = hostKeyCheck(host);
  const seconds = settings.connect_timeout_seconds;
  const sock = await (through ? forward(through, host, seconds) : tcp(host, seconds));
  const client = new ssh2.Client();
  return new Promise<Client>((resolve, reject) => {
    let verdict: DriverError | undefined;
    let isDone = false;
    let timer = setTimeout(
      () => fail(sshError('HF-SSH-UNREACHABLE', `${where(host)} did not say who it is within ${seconds} s. It is tried again.`)),
      seconds * 1000,
    );
    const fail = (error: Error) => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      client.destroy();
      sock.destroy();
      reject(error);
    };
    const login = loginAttempts(host, ask, (cause) =>
      fail(sshError('HF-SSH-LOGIN-REFUSED', `The login on ${where(host)} was given up: ${cause.message}.`, cause)),
    );
    client.on('handshake', () => {
      clearTimeout(timer);
      const limit = ask ? PERSON_LOGIN_SECONDS : KEY_LOGIN_SECONDS;
      timer = setTimeout(
        () =>
          fail(sshError(ask ? 'HF-SSH-LOGIN-REFUSED' : 'HF-SSH-UNREACHABLE', `The login on ${where(host)} did not end within ${limit} s.`)),
        limit * 1000,
      );
    });
    client.on('ready', () => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      resolve(client);
    });
    client.on('error', (cause: Error & { level?: string }) => {
      // An agent that cannot be asked: ssh2 says so and goes on to the next key.
      if (cause.level !== 'agent') fail(verdict ?? connectError(cause, host, login, ask !== undefined));
    });
    client.on('close', () =>
      fail(sshError('HF-SSH-UNREACHABLE', `${where(host)} closed the connection during the login. It is tried again.`)),
    );
    const config: ConnectConfig = {
      sock,
      username: host.user,
      readyTimeout: 0,
      keepaliveInterval: settings.keep_alive_seconds * 1000,
      keepaliveCountMax: 3,
      authHandler: login.handler,
      hostVerifier: (key: Buffer) => {
        verdict = keyCheck.judge(key);
        return verdict === undefined;
      },
      // Taken out and put first, in this order (ssh2 reads the keys as they stand).
      algorithms: { serverHostKey: { append: [], remove: [...keyCheck.preferred], prepend: [...keyCheck.preferred] } },
    };
    client.connect(config);
  });
}

function connectError(
  cause: Error & { level?: string },
  host: ResolvedHost,
  login: ReturnType<typeof loginAttempts>,
  hasPerson: boolean,
): DriverError {
  if (cause.level !== 'client-authentication')
    return sshError('HF-SSH-UNREACHABLE', `${where(host)} cannot be reached (${cause.message}). It is tried again.`, cause);
  const skipped = login.skipped.length > 0 ? ` Not used: ${login.skipped.join('; ')}.` : '';
  if (hasPerson)
    return sshError(
      'HF-SSH-LOGIN-REFUSED',
      `${where(host)} refused the login as ${host.user}. Nothing is tried again by itself; check the code before the next attempt.`,
      cause,
    );
  if (login.wantsPerson())
    return sshError(
      'HF-SSH-NEEDS-LOGIN',
      `${where(host)} asks for a password or passcode. Set ssh.auth: passcode in the system's profile and run \`holdfast login\`.${skipped}`,
      cause,
    );
  const tried = login.tried.length > 0 ? login.tried.join(', ') : 'no key was found';
  return sshError(
    'HF-SSH-LOGIN-REFUSED',
    `${where(host)} refused the login as ${host.user} (${tried}).${skipped} Nothing is tried again until you run \`holdfast login\`.`,
    cause,
  );
}

function tcp(host: ResolvedHost, seconds: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: host.hostName, port: host.port });
    socket.setNoDelay(true);
    const fail = (words: string, cause?: Error) => {
      socket.destroy();
      reject(sshError('HF-SSH-UNREACHABLE', `${where(host)} cannot be reached (${words}). It is tried again.`, cause));
    };
    const timer = setTimeout(() => fail(`no connection within ${seconds} s`), seconds * 1000);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      fail(error.message, error);
    });
  });
}

function forward(through: Client, host: ResolvedHost, seconds: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const fail = (words: string, cause?: Error) =>
      reject(
        sshError('HF-SSH-UNREACHABLE', `${where(host)} cannot be reached through the jump host (${words}). It is tried again.`, cause),
      );
    const timer = setTimeout(() => fail(`no connection within ${seconds} s`), seconds * 1000);
    through.forwardOut('127.0.0.1', 0, host.hostName, host.port, (error, stream) => {
      clearTimeout(timer);
      if (error) fail(error.message, error);
      else resolve(stream);
    });
  });
}

function where(host: ResolvedHost): string {
  return host.port === 22 ? host.hostName : `${host.hostName}:${host.port}`;
}
