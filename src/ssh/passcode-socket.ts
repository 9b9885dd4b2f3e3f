import { chmod, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { sshError } from './errors.ts';
import type { AskPerson } from './login-questions.ts';
import { socketPath } from './runtime-folder.ts';
import type { LoginState } from './transport.ts';

/**
 * How a person's one-time passcode reaches the worker that holds the connection: a socket of mode 0600 in a folder of mode 0700 on this
 * computer, one JSON object a line. The terminal asks for a login, the worker sends on what the server asks, the terminal answers. Answers
 * are used once, kept nowhere, and never pass through Temporal, a file or a log.
 */
const questionSchema = z.object({
  who: z.string(),
  instructions: z.string(),
  prompts: z.array(z.object({ text: z.string(), isEchoed: z.boolean() })),
});
const fromTerminal = z.union([z.strictObject({ want: z.enum(['login', 'state']) }), z.strictObject({ answers: z.array(z.string()) })]);
const stateSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), since: z.string(), node: z.string().exactOptional() }),
  z.object({ kind: z.literal('needs_login'), since: z.string(), why: z.string() }),
  z.object({ kind: z.literal('unreachable'), since: z.string(), why: z.string(), retrySeconds: z.number() }),
]);
const fromWorker = z.union([z.object({ ask: questionSchema }), z.object({ state: stateSchema }), z.object({ refused: z.string() })]);

const MAX_LINE_BYTES = 100_000;

export interface PasscodeServer {
  readonly path: string;
  close(): Promise<void>;
}

export interface PasscodeTarget {
  readonly login: (ask: AskPerson) => Promise<LoginState>;
  readonly state: () => LoginState;
}

/**
 * The worker's side, for one system. Serves one login at a time. Throws DriverError `refused` when another worker of this computer already
 * serves the system; a socket that a dead worker left is replaced.
 */
export async function servePasscodes(
  system: string,
  target: PasscodeTarget,
  env: NodeJS.ProcessEnv = process.env,
): Promise<PasscodeServer> {
  const path = socketPath('pw', system, env);
  if (await isServed(path))
    throw sshError(
      'HF-SSH-CONFIG',
      `Another worker on this computer already holds the connection to ${system} (${path}). Stop it, or leave ${system} out of --systems.`,
    );
  await rm(path, { force: true });
  let isBusy = false;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    talk(socket).catch((error: Error) => socket.end(`${JSON.stringify({ refused: error.message })}\n`));
  });

  async function talk(socket: Socket): Promise<void> {
    const lines = lineReader(socket);
    const say = (message: z.input<typeof fromWorker>) => socket.write(`${JSON.stringify(message)}\n`);
    const first = fromTerminal.parse(await lines());
    if (!('want' in first)) throw new Error('A login begins with a question.');
    if (first.want === 'state') {
      socket.end(`${JSON.stringify({ state: target.state() })}\n`);
      return;
    }
    if (isBusy) throw new Error('Another terminal is logging in right now.');
    isBusy = true;
    try {
      const state = await target.login(async (question) => {
        say({
          ask: { who: question.who, instructions: question.instructions, prompts: question.prompts.map((prompt) => ({ ...prompt })) },
        });
        const answer = fromTerminal.parse(await lines());
        if (!('answers' in answer) || answer.answers.length !== question.prompts.length) throw new Error('the terminal sent no answer');
        return answer.answers;
      });
      say({ state });
      socket.end();
    } finally {
      isBusy = false;
    }
  }

  const before = process.umask(0o177);
  try {
    await listen(server, path);
  } finally {
    process.umask(before);
  }
  await chmod(path, 0o600);
  return {
    path,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The terminal's side of one login. Throws DriverError: `transport` when no worker holds the system, `needs_login` with the server's refusal. */
export async function loginThroughWorker(system: string, ask: AskPerson, env: NodeJS.ProcessEnv = process.env): Promise<LoginState> {
  const socket = await connectWorker(system, env);
  const lines = lineReader(socket);
  try {
    socket.write(`${JSON.stringify({ want: 'login' })}\n`);
    for (;;) {
      const message = fromWorker.parse(await lines());
      if ('state' in message) return message.state;
      if ('refused' in message) throw sshError('HF-SSH-LOGIN-REFUSED', message.refused);
      socket.write(`${JSON.stringify({ answers: await ask(message.ask) })}\n`);
    }
  } finally {
    socket.destroy();
  }
}

/** What the worker knows; never logs in. Undefined when no worker on this computer holds the system. */
export async function workerLoginState(system: string, env: NodeJS.ProcessEnv = process.env): Promise<LoginState | undefined> {
  const socket = await connectWorker(system, env).catch(() => undefined);
  if (!socket) return undefined;
  try {
    socket.write(`${JSON.stringify({ want: 'state' })}\n`);
    const message = fromWorker.parse(await lineReader(socket)());
    return 'state' in message ? message.state : undefined;
  } finally {
    socket.destroy();
  }
}

async function connectWorker(system: string, env: NodeJS.ProcessEnv): Promise<Socket> {
  const path = socketPath('pw', system, env);
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (cause) =>
      reject(
        sshError(
          'HF-SSH-UNREACHABLE',
          `No worker on this computer holds the connection to ${system}. Start one with: holdfast worker --systems ${system}`,
          cause,
        ),
      ),
    );
  });
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

/** Next line as JSON; rejects at the end of the connection or at an overlong line. */
function lineReader(socket: Socket): () => Promise<unknown> {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_LINE_BYTES) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  return async () => {
    const next = await lines.next();
    if (next.done === true) throw new Error('the other side went away');
    return JSON.parse(next.value);
  };
}
