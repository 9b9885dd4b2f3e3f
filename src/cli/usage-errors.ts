import { type Command, InvalidArgumentError } from 'commander';
import type { CliIo } from './io.ts';

/**
 * Makes a command and those below it tell wrong usage as every other mistake is told: the words, the code, and which help to read. Commander
 * throws instead of ending the process. To be called once, when all commands are there.
 */
export function tellUsage(command: Command, io: Pick<CliIo, 'output' | 'errors'>, words = command.name()): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.output.write(text),
    writeErr: (text) => io.errors.write(text),
    outputError: (text, write) => write(`${text.replace(/^error: /, '').trim()} [HF-USAGE]\n`),
  });
  command.showHelpAfterError(`(${words} --help lists ${command.commands.length > 0 ? 'the commands' : 'its options'})`);
  refuseSwallowedOptions(command);
  for (const each of command.commands) tellUsage(each, io, `${words} ${each.name()}`);
}

/** `export --csv --json` means two options, but commander takes the second for the file of the first and writes a file of that name. */
function refuseSwallowedOptions(command: Command): void {
  const flags = new Set(command.options.flatMap(({ long, short }) => [long, short]));
  for (const option of command.options.filter(({ required, variadic }) => required && !variadic)) {
    const before = option.parseArg;
    option.argParser((value: string, previous: unknown) => {
      if (flags.has(value)) throw new InvalidArgumentError('It is an option itself: its value is missing.');
      return before === undefined ? value : before(value, previous);
    });
  }
}
