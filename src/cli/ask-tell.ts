import { createInterface } from 'node:readline';
import { answer, openAskTell } from '../search/ask-tell.ts';
import { samplerEntry } from '../search/registry.ts';
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
}

/**
 * `holdfast ask-tell --space FILE`: the optimiser alone, one JSON object a line on standard input and output (docs/guides/ask-tell.md). Needs no server and
 * leaves nothing behind; ends with its input.
 */
export async function runAskTell(options: AskTellCommandOptions, io: CliIo): Promise<Exit> {
  const { space, objectives = [{ metric: 'value', direction: 'minimize', reduce: 'result' } as const] } = await readSpaceFile(
    options.space,
  );
  const { direction, sampler = 'auto', seed = 0 } = options;
  try {
    samplerEntry(sampler);
  } catch (error) {
    throw new CliError('usage', 'HF-ASK-TELL', (error as Error).message);
  }
  const directed = direction ? objectives.map((o) => ({ ...o, direction })) : objectives;
  let session = openAskTell(space, { objectives: directed, sampler, seed, options: optionsOf(options.options) });
  const lines = createInterface({ input: io.input, crlfDelay: Number.POSITIVE_INFINITY });
  io.interrupted.addEventListener('abort', () => lines.close());
  for await (const line of lines) {
    const said = answer(session, line);
    session = said.session;
    if (said.lines.length > 0) io.output.write(`${said.lines.join('\n')}\n`);
  }
  return 'ok';
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
