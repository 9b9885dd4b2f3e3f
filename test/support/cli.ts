import { PassThrough, Writable } from 'node:stream';
import type { CliIo } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';

export interface CliRun {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface FakeTerminal {
  readonly columns: number;
  readonly rows: number;
}

class Collector extends Writable {
  text = '';
  isTTY?: boolean;
  columns?: number;
  rows?: number;
  override _write(chunk: Buffer | string, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** One command line in this process, its outputs collected. `interrupt` stands for Ctrl-C; with `terminal` the output claims to be one. */
export function startCli(
  words: readonly string[],
  options: { terminal?: FakeTerminal; env?: Record<string, string>; input?: string } = {},
) {
  const [out, err] = [new Collector(), new Collector()];
  const input = new PassThrough() as PassThrough & { isTTY?: boolean };
  if (options.input !== undefined) input.end(options.input);
  if (options.terminal !== undefined) {
    Object.assign(out, { isTTY: true, ...options.terminal });
    input.isTTY = true;
  }
  const controller = new AbortController();
  const io: CliIo = { env: options.env ?? {}, input, output: out, errors: err, interrupted: controller.signal };
  const exit = main(words, io);
  return {
    interrupt: () => controller.abort(),
    soFar: () => out.text,
    errorsSoFar: () => err.text,
    end: async (): Promise<CliRun> => ({ exit: await exit, out: out.text, err: err.text }),
  };
}

export function cli(...words: string[]): Promise<CliRun> {
  return startCli(words).end();
}

export async function cliJson<T = Record<string, unknown>>(...words: string[]): Promise<T> {
  const { out, err, exit } = await cli(...words, '--json');
  try {
    return JSON.parse(out) as T;
  } catch (cause) {
    throw new Error(`holdfast ${words.join(' ')} (exit ${exit}) printed no JSON: ${out}${err}`, { cause });
  }
}

/** What a terminal of this size shows after the text: cursor up, carriage return, erase to the end of line and screen, and line feeds. */
export function screenOf(text: string): string[] {
  const lines: string[] = [''];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is read
  for (const part of text.split(/(\u001b\[[?\d;]*[A-Za-z]|\n|\r)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is read
    const control = /^\u001b\[(\??[\d;]*)([A-Za-z])$/.exec(part);
    if (part === '\n') {
      row += 1;
      lines[row] ??= '';
    } else if (control?.[2] === 'A') row -= Number(control[1]);
    else if (control?.[2] === 'J') lines.length = row + 1;
    else if (part !== '' && part !== '\r' && control === null) lines[row] = part;
  }
  return lines;
}
