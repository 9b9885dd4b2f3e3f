import type { Exit } from './exit-codes.ts';
import type { CliIo, CommonOptions } from './io.ts';
import { optionWords, runPayloadScript } from './payload-script.ts';

export interface AnalyzeOptions extends CommonOptions {
  /** File for the whole summary as JSON. */
  readonly out?: string;
  readonly minimize?: boolean;
  /** Data set to describe as well. */
  readonly data?: string;
}

/**
 * `holdfast analyze DIR`: reads every results.json below a folder, ours and those of the prototype, and prints counts, failures by class, the
 * spread of the objective and the best configuration. It needs no server: the files are enough.
 */
export async function analyze(directory: string, options: AnalyzeOptions, io: CliIo): Promise<Exit> {
  const { json, out, minimize, data } = options;
  return runPayloadScript('analyze.py', [directory, ...optionWords({ json, out, minimize, data })], io);
}
