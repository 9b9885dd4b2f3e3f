import { Command, InvalidArgumentError, Option } from 'commander';
import type { AskTellCommandOptions } from './ask-tell.ts';
import type { Exit } from './exit-codes.ts';
import type { CliIo } from './io.ts';

export const ASK_TELL = 'the optimiser alone, JSON lines in and out; needs no server';

/** Adds the options of `holdfast ask-tell` to a command. */
export function withAskTellOptions(command: Command): Command {
  return command
    .requiredOption('--space <file>', 'a campaign file, or a file that holds a space only')
    .option('--sampler <name>', 'auto, gp, tpe, cmaes, random, sobol, grid, …')
    .option('--seed <n>', 'the same seed and lines give the same answers', wholeNumber)
    .addOption(new Option('--direction <way>', 'of every objective, instead of what the file says').choices(['minimize', 'maximize']))
    .option('--options <json>', 'options of the sampler');
}

/** The command line that has this command only, and loads nothing that it does not need. */
export function program(io: CliIo, finish: (exit: Exit) => void): Command {
  const root = new Command('holdfast').showSuggestionAfterError(true);
  const command = root.command('ask-tell').description(ASK_TELL).option('--json', 'an error is one JSON document instead of text');
  withAskTellOptions(command).action(async (options: AskTellCommandOptions) => {
    finish(await (await import('./ask-tell.ts')).runAskTell(options, io));
  });
  return root;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError(`"${text}" is no whole number.`);
  return value;
}
