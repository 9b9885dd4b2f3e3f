import { existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../package-root.ts';
import { suggest } from '../spec/problem.ts';
import type { PresetAnswers } from './cifar-presets.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { PRESETS } from './init-presets.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';
import { whyUnwritable } from './output-place.ts';

export interface InitOptions extends CommonOptions {
  readonly preset: string;
  readonly name?: string;
  readonly force?: boolean;
  /** Answers for the presets on CIFAR-100. */
  readonly system?: string;
  readonly account?: string;
  readonly queue?: string;
  readonly endpointId?: string;
  readonly dataDir?: string;
}

/**
 * `holdfast init [FILE] --preset digits|own|quick|standard|thorough`: writes a campaign file to start from; an existing file is kept. Training code that ships
 * with Holdfast is named by its whole path where the command is not called in Holdfast's own folder.
 */
export async function init(file: string, options: InitOptions, io: CliIo): Promise<Exit> {
  const preset = PRESETS[options.preset];
  if (preset === undefined) {
    throw new CliError('usage', 'HF-USAGE', `--preset ${options.preset} is not known. ${suggest(options.preset, Object.keys(PRESETS))}`);
  }
  const name = options.name ?? path.basename(file).replace(/\.[^.]+$/, '');
  const text = shippedCode(preset.text(name, answersOf(options)), process.cwd());
  try {
    await writeFile(file, text, { flag: options.force === true ? 'w' : 'wx' });
  } catch (error) {
    throw notWritten(file, error);
  }
  print(io, options, { file, preset: options.preset, name }, `${file} is written (${preset.summary}). Next: holdfast validate ${file}`);
  return 'ok';
}

function shippedCode(text: string, folder: string): string {
  if (existsSync(path.join(folder, 'remote/training'))) return text;
  return text.replace(/bundle: (remote\/training\/\w+)/, (_, code: string) => `bundle: ${JSON.stringify(path.join(packageRoot(), code))}`);
}

const ANSWERS = ['system', 'account', 'queue', 'endpointId', 'dataDir'] as const;

function answersOf(options: InitOptions): PresetAnswers {
  const given = ANSWERS.filter((name) => options[name] !== undefined);
  if (given.length > 0 && PRESETS[options.preset]?.takesAnswers !== true) {
    const takers = Object.keys(PRESETS).filter((name) => PRESETS[name]?.takesAnswers === true);
    throw new CliError(
      'usage',
      'HF-USAGE',
      `--${given[0]?.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for the presets ${takers.join(', ')} only.`,
    );
  }
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}

/** A place that nothing can be written to is a wrong name (exit 2); a file that is kept, or a disk that is full, is a failure. */
function notWritten(file: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException;
  const isFolder = code === 'EISDIR' || (code === 'EEXIST' && statSync(file, { throwIfNoEntry: false })?.isDirectory() === true);
  const said = (exit: Exit, message: string) => new CliError(exit, 'HF-INIT', message, { cause: error });
  if (code === 'EEXIST' && !isFolder)
    return said('failed', `${file} is there already and was kept. Choose another name, or --force to replace it.`);
  if (code === 'ENOENT' && !existsSync(path.dirname(file))) return said('usage', `The folder of ${file} does not exist. Make it first.`);
  const reason = isFolder ? 'that is a folder, no file' : whyUnwritable(error);
  if (reason !== undefined) return said('usage', `${file} cannot be written: ${reason}. Name another place.`);
  return said('failed', `${file} cannot be written (${code ?? String(error)}).`);
}
