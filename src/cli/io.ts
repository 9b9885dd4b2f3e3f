import { connect } from 'node:net';
import type { Client } from '@temporalio/client';

/** The outside of every command; tests give their own. */
export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly errors: NodeJS.WritableStream;
  /** Ends the command's view (Ctrl-C); never the campaign. */
  readonly interrupted: AbortSignal;
}

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean;
}

/** Of commands that take long: `--quiet` leaves the result and errors. */
export interface QuietOptions extends CommonOptions {
  readonly quiet?: boolean;
}

/** Says how far a command is, a line at a time; nothing with `--quiet`. */
export function progressOf(io: Pick<CliIo, 'errors'>, options: { readonly quiet?: boolean }): (line: string) => void {
  return options.quiet === true ? () => undefined : (line) => void io.errors.write(`${line}\n`);
}

/** Streams and environment of this process; Ctrl-C, and a reader that goes away, interrupt. */
export function processIo(): CliIo {
  const controller = new AbortController();
  const leave = () => controller.abort();
  process.once('SIGINT', leave);
  for (const stream of [process.stdout, process.stderr]) endWithReader(stream, leave);
  return { env: process.env, input: process.stdin, output: process.stdout, errors: process.stderr, interrupted: controller.signal };
}

/** Whoever read our words has gone (`holdfast watch | head -1`): that ends the view as Ctrl-C does, and is no fault. Other errors are thrown as ever. */
export function endWithReader(stream: Pick<NodeJS.WritableStream, 'on'>, leave: () => void): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    leave();
  });
}

/** Prints one JSON document, or the text. A text always ends with one line break. */
export function print(io: CliIo, options: CommonOptions, json: unknown, text: string): void {
  const out = options.json === true ? JSON.stringify(json, null, 2) : text;
  if (out !== '') io.output.write(out.endsWith('\n') ? out : `${out}\n`);
}

/** Calls `act` at Ctrl-C, at once when it was pressed already. */
export function onInterrupt({ interrupted }: Pick<CliIo, 'interrupted'>, act: () => void): void {
  if (interrupted.aborted) act();
  else interrupted.addEventListener('abort', act, { once: true });
}

/** Runs `work` with a client of the environment's Temporal server and closes the connection. Throws TemporalUnreachable. */
export async function withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
  // Loaded only here: half of the commands need no server, and Temporal's client takes half a second to load.
  const { connectClient, connectionSettings, TemporalUnreachable } = await import('../temporal/connection.ts');
  const { address } = connectionSettings();
  const refusal = await refusalOf(address);
  if (refusal !== undefined) throw new TemporalUnreachable(address, refusal);
  const { client, connection } = await connectClient();
  try {
    return await work(client);
  } finally {
    await connection.close();
  }
}

/** gRPC tries again until its deadline even where nothing listens; a refused port is known at once. Undefined when it may be worth trying. */
function refusalOf(address: string): Promise<Error | undefined> {
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(address) ?? [];
  if (host === undefined || port === undefined) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: 2000 });
    const end = (error?: Error) => {
      socket.destroy();
      resolve(error);
    };
    socket.once('connect', () => end());
    socket.once('timeout', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' ? error : undefined));
  });
}

const STYLES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] } as const;
export type Style = keyof typeof STYLES;
export type Paint = (style: Style, text: string) => string;

/** Colours on a terminal only, and none when NO_COLOR is set (no-color.org) or TERM is dumb. */
export function painter(io: Pick<CliIo, 'env' | 'output'>): Paint {
  const isColoured = io.output.isTTY === true && (io.env.NO_COLOR ?? '') === '' && io.env.TERM !== 'dumb';
  return (style, text) => (isColoured ? `\u001b[${STYLES[style][0]}m${text}\u001b[${STYLES[style][1]}m` : text);
}
