import { createInterface } from 'node:readline';
import { type AskTell, answer, openAskTell } from '../search/ask-tell.ts';
import { CliError, type Exit } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { readSpaceFile } from './space-file.ts';

export interface AskTellCommandOptions {
  /** Campaign file, or a file that holds a space only. */
  readonly space: string;
  readonly sampler?: string;
  readonly seed?: number;
  readonly direction?: 'minimize' | 'maximize';
  /** Options of the sampler as JSON. */
  readonly options?: string;
  readonly json?: boolean;
}

/**
 * `holdfast ask-tell --space FILE`: the optimiser alone, one JSON object a line on standard input and output (docs/guides/ask-tell.md). Needs no server and
 * leaves nothing behind; ends with its input.
 */
export async function runAskTell(options: AskTellCommandOptions, io: CliIo): Promise<Exit> {
  let session: AskTell;
  try {
    session = await opened(options);
  } catch (error) {
    // Whoever drives us reads lines of JSON; --json makes every command tell its error so.
    if (options.json !== true) io.output.write(`${JSON.stringify({ error: (error as Error).message })}\n`);
    throw error;
  }
  const lines = createInterface({ input: io.input, crlfDelay: Number.POSITIVE_INFINITY });
  io.interrupted.addEventListener('abort', () => lines.close());
  // Whoever read our answers has gone: that is the end too, and no fault.
  io.output.on('error', () => lines.close());
  for await (const line of lines) {
    const said = answer(session, line);
    session = said.session;
    if (said.lines.length > 0) io.output.write(`${said.lines.join('\n')}\n`);
  }
  return 'ok';
}

/** @throws BadSpec for the space, CliError for everything else that cannot be used. */
async function opened({ space: file, direction, sampler, seed, options }: AskTellCommandOptions): Promise<AskTell> {
  const {
    space,
    objectives = [{ metric: 'value', direction: 'minimize', reduce: 'result' } as const],
    metricConstraints = [],
  } = await readSpaceFile(file);
  const directed = direction ? objectives.map((o) => ({ ...o, direction })) : objectives;
  const given = optionsOf(options);
  try {
    return openAskTell(space, {
      objectives: directed,
      metricConstraints,
      options: given,
      ...(sampler === undefined ? {} : { sampler }),
      ...(seed === undefined ? {} : { seed }),
    });
  } catch (error) {
    throw new CliError('usage', 'HF-ASK-TELL', (error as Error).message);
  }
}

function optionsOf(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below: the same words fit.
  }
  throw new CliError('usage', 'HF-ASK-TELL', `--options ${text} is not a JSON object. Write it like '{"trust_region": false}'.`);
}
