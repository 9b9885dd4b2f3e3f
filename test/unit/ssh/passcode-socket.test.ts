import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sshError } from '../../../src/ssh/errors.ts';
import type { AskPerson } from '../../../src/ssh/login-questions.ts';
import { loginThroughWorker, servePasscodes, workerLoginState } from '../../../src/ssh/passcode-socket.ts';
import { runtimeFolder, socketPath } from '../../../src/ssh/runtime-folder.ts';
import type { LoginState } from '../../../src/ssh/transport.ts';

let folder: string;
let env: NodeJS.ProcessEnv;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hf-pw-'));
  env = { HOLDFAST_RUNTIME_DIR: join(folder, 'run') };
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const ready: LoginState = { kind: 'ready', since: '2026-01-01T00:00:00.000Z' };
const waiting: LoginState = { kind: 'needs_login', since: '2026-01-01T00:00:00.000Z', why: 'no login' };
const question = { who: 'me@h', instructions: 'Token', prompts: [{ text: 'PIN: ', isEchoed: false }] };

async function serving<T>(login: (ask: AskPerson) => Promise<LoginState>, act: () => Promise<T>): Promise<T> {
  const server = await servePasscodes('aurora', { login, state: () => waiting }, env);
  try {
    return await act();
  } finally {
    await server.close();
  }
}

it('carries questions to the terminal and answers to the login, and says how it ended', async () => {
  const got: (readonly string[])[] = [];
  const login = async (ask: AskPerson) => {
    got.push(await ask(question), await ask({ ...question, prompts: [] }));
    return ready;
  };
  const asked: unknown[] = [];
  const state = await serving(login, () =>
    loginThroughWorker(
      'aurora',
      async (q) => {
        asked.push(q);
        return q.prompts.map(() => '123 456');
      },
      env,
    ),
  );
  expect(state).toEqual(ready);
  expect(got).toEqual([['123 456'], []]);
  expect(asked[0]).toEqual(question);
});

it('socket and folder are for the user alone', async () => {
  await serving(
    async () => ready,
    async () => {
      const path = socketPath('pw', 'aurora', env);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    },
  );
  expect(existsSync(socketPath('pw', 'aurora', env))).toBe(false);
});

it('a refusal of the server reaches the terminal in its words', async () => {
  const login = async () => {
    throw sshError('HF-SSH-LOGIN-REFUSED', 'h refused the login as me.');
  };
  await expect(serving(login, () => loginThroughWorker('aurora', async () => [], env))).rejects.toMatchObject({
    class: 'needs_login',
    message: 'h refused the login as me.',
  });
});

it('a terminal that goes away ends the login it began', async () => {
  let ended: unknown;
  const login = async (ask: AskPerson) => {
    await ask(question).catch((error: unknown) => {
      ended = error;
    });
    return waiting;
  };
  await serving(login, async () => {
    await expect(loginThroughWorker('aurora', () => Promise.reject(new Error('interrupted')), env)).rejects.toThrow('interrupted');
    while (ended === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
  });
  expect(ended).toBeInstanceOf(Error);
});

it('two terminals never log in at once', async () => {
  let finish: () => void = () => undefined;
  const login = () => new Promise<LoginState>((resolve) => (finish = () => resolve(ready)));
  await serving(login, async () => {
    const first = loginThroughWorker('aurora', async () => [], env);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await expect(loginThroughWorker('aurora', async () => [], env)).rejects.toThrow(/Another terminal/);
    finish();
    expect((await first).kind).toBe('ready');
  });
});

it('asking for the state logs nobody in', async () => {
  let logins = 0;
  const state = await serving(
    async () => {
      logins++;
      return ready;
    },
    () => workerLoginState('aurora', env),
  );
  expect(state).toEqual(waiting);
  expect(logins).toBe(0);
});

it('nonsense on the socket is refused and the worker stays up', async () => {
  await serving(
    async () => ready,
    async () => {
      const said = await new Promise<string>((resolve) => {
        const socket = createConnection(socketPath('pw', 'aurora', env));
        let text = '';
        socket.on('data', (chunk) => (text += chunk.toString()));
        socket.on('close', () => resolve(text));
        socket.write('{"want":"everything"}\n');
      });
      expect(said).toContain('refused');
      expect((await workerLoginState('aurora', env))?.kind).toBe('needs_login');
    },
  );
});

it('a second worker of the system is refused, a dead one’s socket is replaced', async () => {
  await serving(
    async () => ready,
    () =>
      expect(servePasscodes('aurora', { login: async () => ready, state: () => ready }, env)).rejects.toMatchObject({ class: 'refused' }),
  );
  writeFileSync(socketPath('pw', 'aurora', env), '');
  await serving(
    async () => ready,
    async () => expect(await workerLoginState('aurora', env)).toEqual(waiting),
  );
});

it('without a worker the terminal is told to start one', async () => {
  await expect(loginThroughWorker('polaris', async () => [], env)).rejects.toThrow(/holdfast worker --systems polaris/);
  expect(await workerLoginState('polaris', env)).toBeUndefined();
});

it('a path too long for a socket is refused with what to do', () => {
  expect(() => socketPath('cm', 'x', { HOLDFAST_RUNTIME_DIR: join(folder, 'x'.repeat(90)) })).toThrow(/HOLDFAST_RUNTIME_DIR/);
});

it('a folder that others may enter is closed to them', () => {
  const open = mkdtempSync(join(folder, 'open-'));
  runtimeFolder({ HOLDFAST_RUNTIME_DIR: open });
  expect(statSync(open).mode & 0o077).toBe(0);
});
