import { CliError, type Exit } from './exit-codes.ts';
import type { CliIo, CommonOptions } from './io.ts';
import { optionWords, runPayloadScript } from './payload-script.ts';

/** Data sets that can be fetched, and the script of their payload that does it. */
const DATA_SETS: Readonly<Record<string, string>> = { cifar100: 'data.py' };

export interface DataOptions extends CommonOptions {
  /** An archive, or a folder with the files, that is already on this computer. */
  readonly from?: string;
  readonly url?: string;
  /** Makes synthetic data of the same format instead. */
  readonly generate?: boolean;
  readonly trainImages?: number;
  readonly testImages?: number;
  readonly seed?: number;
  readonly verify?: boolean;
  readonly detach?: boolean;
  readonly status?: boolean;
  readonly keepArchive?: boolean;
}

/**
 * `holdfast data cifar100 DIR`: fetches the data set and goes on where an earlier run stopped; checks every file and repairs what is wrong.
 * With --verify it only looks, with --generate it makes a synthetic stand-in, with --detach it goes on in the background (--status asks).
 * Example: `await data('cifar100', 'data', { from: 'cifar-100-python.tar.gz' }, processIo())`.
 */
export async function data(dataSet: string, directory: string, options: DataOptions, io: CliIo): Promise<Exit> {
  const script = DATA_SETS[dataSet];
  if (script === undefined) {
    const known = Object.keys(DATA_SETS).join(', ');
    throw new CliError('usage', 'HF-DATA-SET', `The data set ${dataSet} is not known. Holdfast can fetch: ${known}.`);
  }
  return runPayloadScript(script, [directory, ...optionWords(pick(options))], io);
}

function pick({ from, url, generate, trainImages, testImages, seed, verify, detach, status, keepArchive, json }: DataOptions) {
  return { from, url, generate, trainImages, testImages, seed, verify, detach, status, keepArchive, json };
}
