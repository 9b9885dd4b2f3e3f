import { CommanderError } from 'commander';
import { EXIT_CODES, type Exit, withCode } from './exit-codes.ts';
import { type CliIo, processIo } from './io.ts';
import { tellUsage } from './usage-errors.ts';

/** Runs one command line and returns its exit status. Errors are told in words; a stack trace stands only behind a fault of ours, with HOLDFAST_DEBUG=1. */
export async function main(argv: readonly string[], io: CliIo = processIo()): Promise<number> {
  let exit: Exit = 'ok';
  // Other programs start ask-tell once a search: it does not wait for Temporal's client and the other commands to load.
  const { program } = argv[0] === 'ask-tell' ? await import('./ask-tell-command.ts') : await import('./program.ts');
  const command = program(io, (end) => {
    exit = end;
  });
  tellUsage(command, io);
  try {
    await command.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_CODES.ok.status;
      // Its words are on the terminal already; a program reads the document.
      if (argv.includes('--json')) {
        const message = error.message.replace(/^error: /, '').replace(/\s+/g, ' ');
        io.output.write(`${JSON.stringify({ error: { code: 'HF-USAGE', message, exit: EXIT_CODES.usage.status } })}\n`);
      }
      return EXIT_CODES.usage.status;
    }
    const { told } = await import('./told-errors.ts');
    const problem = told(error);
    if (argv.includes('--json')) {
      io.output.write(
        `${JSON.stringify({ error: { code: problem.code, message: problem.message, exit: EXIT_CODES[problem.exit].status } })}\n`,
      );
    } else {
      io.errors.write(`${withCode(problem)}\n`);
      if (problem.isUnexpected && io.env.HOLDFAST_DEBUG !== '1')
        io.errors.write('This should not have happened; HOLDFAST_DEBUG=1 shows where.\n');
    }
    if (io.env.HOLDFAST_DEBUG === '1' && error instanceof Error) io.errors.write(`${error.stack ?? ''}\n`);
    return EXIT_CODES[problem.exit].status;
  }
  return EXIT_CODES[exit].status;
}
