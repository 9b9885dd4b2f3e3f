/** What the exit status of every command means; the same table stands in the README. */
export const EXIT_CODES = {
  ok: { status: 0, meaning: 'done' },
  failed: { status: 1, meaning: 'failed: the campaign, the trial, or what was asked' },
  usage: { status: 2, meaning: 'wrong usage or a campaign file with mistakes' },
  needsLogin: { status: 3, meaning: 'a system needs a login: run `holdfast login <system>`' },
  budgetSpent: { status: 4, meaning: 'the budget is spent: nothing more can be started' },
  unreachable: { status: 5, meaning: 'Temporal, a worker or a system does not answer' },
} as const;

export type Exit = keyof typeof EXIT_CODES;

/** A command that could not do what was asked, in one or two sentences for the user. */
export class CliError extends Error {
  readonly exit: Exit;
  readonly code: string;
  constructor(exit: Exit, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exit = exit;
    this.code = code;
  }
}

/** The message with its stable code behind it, on a line of its own behind a list; docs/errors.md has an entry for each. */
export function withCode({ message, code }: { readonly message: string; readonly code: string }): string {
  return `${message}${message.includes('\n') ? '\n' : ' '}[${code}]`;
}
