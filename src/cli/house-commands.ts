import { type Command, InvalidArgumentError } from 'commander';
import type { CleanOptions } from './clean.ts';
import { completion } from './completion.ts';
import type { CliIo, CommonOptions } from './io.ts';
import type { Add } from './program.ts';
import { version } from './version.ts';

/** Commands that keep this computer and the systems in order. */
export function houseCommands(root: Command, add: Add, io: CliIo): void {
  add(
    'clean [base]',
    'launch folders of campaigns that ended long ago: lists them with the reason why each goes or stays; --yes removes them',
    async (base: string | undefined, options: CleanOptions) => (await import('./clean.ts')).clean(base, options, io),
  )
    .option('--older-than <time>', 'only what ended so long ago: 24h, 7d, 30d', '30d')
    .option('--keep-best <n>', 'of each objective so many of the best campaigns stay', natural, 10)
    .option('--archive', 'pack each into <folder>.tar.gz instead of deleting it')
    .option('-s, --system <name>', 'where the folders lie: this computer, a PBS system, or a Globus Compute system', 'local')
    .option('-e, --endpoint-id <uuid>', 'of a Globus Compute system, unless its profile names one')
    .option('-y, --yes', 'do it');
  add('version', 'versions of Holdfast, Node and the Temporal SDK', (options: CommonOptions) => version(options, io));
  add(
    'completion <shell>',
    'completion script for bash, zsh or fish: source <(holdfast completion bash)',
    async (shell: string, options: CommonOptions) => completion(shell, options, root, io),
  );
}

function natural(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError(`"${text}" is no whole number of at least 0.`);
  return value;
}
