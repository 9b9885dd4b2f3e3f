import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssh2, { type AuthContext, type Connection, type KeyboardAuthContext } from 'ssh2';
import { keygen } from './sshd.ts';

/** A server that lets people in with one-time passcodes, as sites with tokens do: every code is good once. */
export interface PasscodeTestServer {
  readonly port: number;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly clientConfig: string;
  /** Answers that arrived, right or wrong, by method. */
  readonly attempts: { readonly method: string; readonly answer: string; readonly isRight: boolean }[];
  /** Authentication requests other than `none`, whatever came of them. */
  readonly requests: string[];
  readonly connections: () => number;
  cut(): void;
  close(): Promise<void>;
}

export interface PasscodeServerOptions {
  readonly codes: readonly string[];
  /** `keyboard-interactive` unless the site takes passcodes as passwords. */
  readonly method?: 'keyboard-interactive' | 'password';
  /** The site wants a key first, then the passcode. */
  readonly keyFirst?: boolean;
}

export async function startPasscodeServer(options: PasscodeServerOptions): Promise<PasscodeTestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-otp-'));
  const home = join(folder, 'home');
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 });
  keygen('ed25519', join(folder, 'host'));
  keygen('ed25519', join(home, '.ssh', 'id_ed25519'));
  const method = options.method ?? 'keyboard-interactive';
  const left = new Set(options.codes);
  const attempts: PasscodeTestServer['attempts'] = [];
  const requests: string[] = [];
  const open = new Set<Connection>();
  let connections = 0;

  const judge = (context: AuthContext, answer: string) => {
    const isRight = left.delete(answer);
    attempts.push({ method: context.method, answer, isRight });
    if (isRight) context.accept();
    else context.reject([method]);
  };
  const server = new ssh2.Server({ hostKeys: [readFileSync(join(folder, 'host'))] }, (client) => {
    connections++;
    open.add(client);
    let hasKey = options.keyFirst !== true;
    client.on('error', () => open.delete(client));
    client.on('close', () => open.delete(client));
    client.on('authentication', (context) => {
      if (context.method !== 'none') requests.push(context.method);
      if (!hasKey) {
        if (context.method !== 'publickey') return context.reject(['publickey']);
        if (context.signature === undefined) return context.accept();
        hasKey = true;
        return context.reject([method], true);
      }
      if (context.method !== method) return context.reject([method]);
      if (context.method === 'password') return judge(context, context.password);
      (context as KeyboardAuthContext).prompt([{ prompt: 'Enter PASSCODE: ', echo: false }], 'Token', 'One code, one try.', (answers) =>
        judge(context, answers[0] ?? ''),
      );
    });
    client.on('ready', () => {
      client.on('session', (accept) => {
        accept().on('exec', (acceptExec, _reject, info) => {
          const channel = acceptExec();
          const child = spawn('/bin/sh', ['-c', info.command], { env: { ...process.env, HOME: home } });
          channel.pipe(child.stdin);
          child.stdout.pipe(channel, { end: false });
          child.stderr.pipe(channel.stderr, { end: false });
          child.on('close', (code) => {
            channel.exit(code ?? 255);
            channel.end();
          });
        });
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const key = readFileSync(join(folder, 'host.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(join(home, '.ssh', 'known_hosts'), `[127.0.0.1]:${port} ${key}\n`);
  const clientConfig = join(home, '.ssh', 'config');
  writeFileSync(
    clientConfig,
    `Host otphost\n  HostName 127.0.0.1\n  Port ${port}\n  User me\n  IdentityFile ${join(home, '.ssh', 'id_ed25519')}\n  IdentityAgent none\n  UserKnownHostsFile ${join(home, '.ssh', 'known_hosts')}\n  GlobalKnownHostsFile none\n`,
  );
  return {
    port,
    folder,
    env: { ...process.env, HOME: home, HOLDFAST_RUNTIME_DIR: join(folder, 'run'), SSH_AUTH_SOCK: undefined },
    clientConfig,
    attempts,
    requests,
    connections: () => connections,
    cut() {
      for (const client of open) (client as Connection & { _sock?: { destroy(): void } })._sock?.destroy();
    },
    async close() {
      for (const client of open) client.end();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
