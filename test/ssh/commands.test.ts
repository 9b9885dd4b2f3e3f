import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { randomFrom, SEED } from '../support/random.ts';
import { begunCommand, exited, type LoggedIn, logIn, TRANSPORTS } from '../support/ssh-suite.ts';
import { removeSshd, type SshdOptions, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const reason = whyNoSshd();
if (reason) console.warn(`test/ssh is skipped: ${reason}`);

let sshd: TestSshd | undefined;
let proxy: TcpProxy | undefined;
let session: LoggedIn | undefined;

afterEach(async () => {
  await session?.end();
  await proxy?.close();
  if (sshd) await removeSshd(sshd);
  session = undefined;
  proxy = undefined;
  sshd = undefined;
});

async function server(options?: SshdOptions): Promise<TestSshd> {
  sshd = await startSshd(options);
  return sshd;
}

describe.skipIf(reason !== undefined).each(TRANSPORTS)('commands over %s', (transport) => {
  it.each([1, 2, 3])('six parallel commands with MaxSessions %i all run, without a login beyond the first', async (maxSessions) => {
    const there = await server({ maxSessions });
    session = await logIn(there, transport);
    const { shell } = session;
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => shell.run({ script: 'sleep 0.2; echo "$1"', args: [String(i)] })),
    );
    expect(answers.map((answer) => exited(answer).stdout)).toEqual(['0\n', '1\n', '2\n', '3\n', '4\n', '5\n']);
    expect(there.logins()).toEqual({ accepted: 1, failed: 0 });
  });

  it('a noisy rc file and a motd leave no byte in the answer', async () => {
    const there = await server();
    writeFileSync(
      join(there.home, '.bashrc'),
      'echo "*** MAINTENANCE on Monday ***"; echo "module: not found" >&2; printf "no newline"; cat >/dev/null & read -t 0.2 line\n',
    );
    session = await logIn(there, transport);
    expect(exited(await session.shell.run({ script: 'printf x; printf y >&2; exit 5' }))).toEqual({ code: 5, stdout: 'x', stderr: 'y' });
    expect(exited(await session.shell.run({ script: 'cat', input: 'from here\n' })).stdout).toBe('from here\n');
  });

  it.each(['/bin/zsh', '/bin/tcsh', '/bin/dash'])('a login shell %s harms no word', async (loginShell) => {
    const { existsSync } = await import('node:fs');
    if (!existsSync(loginShell)) return console.warn(`${loginShell} is not installed: not tried`);
    const there = await server({ loginShell });
    writeFileSync(join(there.home, '.tcshrc'), 'set echo\necho hello\nset backslash_quote\n');
    writeFileSync(join(there.home, '.zshenv'), 'echo hello; setopt verbose\n');
    session = await logIn(there, transport);
    const words = ["it's", '!!', 'a\nb', '$HOME `id` "x"', '\\', 'é*?[', '-n', ''];
    expect(exited(await session.shell.run({ script: 'printf "<%s>" "$@"', args: words })).stdout).toBe(
      words.map((word) => `<${word}>`).join(''),
    );
  });

  it('a connection cut while a command runs is unknown, the command finishes there, and it is never sent twice', async () => {
    const there = await server();
    proxy = await startProxy(there.port);
    writeFileSync(join(there.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${there.hostKey()}\n`);
    session = await logIn(there, transport, { port: proxy.port });
    const ran = join(there.home, 'ran');
    const { answer } = await begunCommand(session.shell, there.folder, { script: 'sleep 1; echo ran >>"$1"', args: [ran] });
    proxy.cut();
    expect((await answer).kind).toBe('unknown');
    const { existsSync, readFileSync } = await import('node:fs');
    while (!existsSync(ran)) await sleep(50);
    await sleep(1_500);
    expect(readFileSync(ran, 'utf8')).toBe('ran\n');
  });

  it(`a connection cut at any byte (HOLDFAST_SEED=${SEED}) gives an answer that is whole, an unknown or an error, never a wrong one`, async () => {
    const there = await server();
    proxy = await startProxy(there.port);
    writeFileSync(join(there.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${there.hostKey()}\n`);
    const counts = { exited: 0, unknown: 0, error: 0 };
    const random = randomFrom(SEED);
    for (let turn = 0; turn < 12; turn++) {
      proxy.cutAfter(Number.POSITIVE_INFINITY, 'toServer');
      const once = await logIn(there, transport, { port: proxy.port, system: `cut${turn}` });
      proxy.cutAfter(1 + Math.floor(random() * 3_000), turn % 2 === 0 ? 'toServer' : 'toClient');
      const mark = `turn-${turn}`;
      const answer = await once.shell
        .run({ script: 'cat; echo "$1"; exit 9', args: [mark], input: 'x'.repeat(500), timeoutSeconds: 20 })
        .catch((error: Error) => error);
      if (answer instanceof Error) {
        counts.error++;
        expect(answer).toMatchObject({ name: 'DriverError', class: expect.stringMatching(/transport|needs_login/) });
      } else {
        counts[answer.kind]++;
        if (answer.kind === 'exited') expect(exited(answer)).toEqual({ code: 9, stdout: `${'x'.repeat(500)}${mark}\n`, stderr: '' });
      }
      await once.end();
    }
    expect(counts.unknown + counts.error).toBeGreaterThan(0);
  });

  it('a connection that stalls ends in an error or unknown within the command’s time', async () => {
    const there = await server();
    proxy = await startProxy(there.port);
    writeFileSync(join(there.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${there.hostKey()}\n`);
    session = await logIn(there, transport, { port: proxy.port });
    expect(exited(await session.shell.run({ script: 'echo before' })).stdout).toBe('before\n');
    proxy.stall();
    await expect(session.shell.run({ script: 'echo never', timeoutSeconds: 2 })).rejects.toMatchObject({
      class: 'transport',
      code: 'HF-SSH-STALLED',
    });
    const before = there.logins().accepted;
    proxy.flow();
    expect(exited(await session.shell.run({ script: 'echo after' })).stdout).toBe('after\n');
    expect(there.logins().accepted).toBe(before);
  });

  it('a connection that says nothing for three signs of life is given up: keys come back by themselves, a master waits for a person', async () => {
    const there = await server();
    proxy = await startProxy(there.port);
    writeFileSync(join(there.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${there.hostKey()}\n`);
    session = await logIn(there, transport, { port: proxy.port, keepAliveSeconds: 1 });
    const { shell } = session;
    const { answer } = await begunCommand(shell, there.folder, { script: 'sleep 40', timeoutSeconds: 39 });
    const started = performance.now();
    proxy.stall();
    expect((await answer).kind).toBe('unknown');
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(shell.state().kind).toBe(transport === 'ssh2' ? 'unreachable' : 'needs_login');
    proxy.cut();
    proxy.flow();
    if (transport === 'ssh2') expect(exited(await shell.run({ script: 'echo back' })).stdout).toBe('back\n');
    else await expect(shell.run({ script: ':' })).rejects.toMatchObject({ class: 'needs_login' });
    expect(there.logins().accepted).toBe(transport === 'ssh2' ? 2 : 1);
  });

  it('twenty commands use one connection', async () => {
    const there = await server();
    session = await logIn(there, transport);
    for (let i = 0; i < 20; i++) exited(await session.shell.run({ script: ':' }));
    expect(there.logins()).toEqual({ accepted: 1, failed: 0 });
  });
});
