import { ServiceError, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ReportError } from '../report/atomic.ts';
import { BadSpec } from '../spec/bad-spec.ts';
import { DriverError } from '../systems/driver.ts';
import { TemporalUnreachable } from '../temporal/connection.ts';
import { NoTemporalBinary } from '../temporal/server-binary.ts';
import { CliError, type Exit } from './exit-codes.ts';

/** What is said of an error. */
export interface ToldError {
  readonly exit: Exit;
  readonly code: string;
  readonly message: string;
  /** Not the user's mistake and not foreseen: worth a stack trace. */
  readonly isUnexpected?: boolean;
}

type Row = readonly [matches: (error: unknown) => boolean, told: (error: Error) => ToldError];

const isA =
  (type: abstract new (...args: never[]) => Error) =>
  (error: unknown): boolean =>
    error instanceof type;

const ERRORS: readonly Row[] = [
  [isA(CliError), (error) => ({ exit: (error as CliError).exit, code: (error as CliError).code, message: error.message })],
  [isA(BadSpec), (error) => ({ exit: 'usage', code: 'HF-SPEC', message: error.message })],
  [isA(TemporalUnreachable), (error) => ({ exit: 'unreachable', code: 'HF-TEMPORAL-UNREACHABLE', message: error.message })],
  [isA(NoTemporalBinary), (error) => ({ exit: 'unreachable', code: 'HF-TEMPORAL-BINARY', message: error.message })],
  [isA(ReportError), (error) => ({ exit: 'failed', code: (error as ReportError).code, message: error.message })],
  [
    isA(DriverError),
    (error) => ({ exit: DRIVER_EXITS[(error as DriverError).class], code: (error as DriverError).code, message: error.message }),
  ],
  [
    isA(WorkflowUpdateFailedError),
    (error) => ({ exit: 'failed', code: 'HF-REFUSED', message: error.cause instanceof Error ? error.cause.message : error.message }),
  ],
  [isA(WorkflowNotFoundError), (error) => ({ exit: 'failed', code: 'HF-NOT-FOUND', message: `${error.message}. See \`holdfast ls\`.` })],
  [
    // The server's own words: it is there, and had nobody to ask.
    (error) => isUnreachable(error) && /before a worker could|no poller/i.test(reason(error as Error)),
    (error) => ({
      exit: 'unreachable',
      code: 'HF-NO-WORKER',
      message: `No worker answers (${reason(error)}). Start one with \`holdfast worker\`, or ask again if one is there and busy.`,
    }),
  ],
  [
    isUnreachable,
    (error) => ({
      exit: 'unreachable',
      code: 'HF-TEMPORAL-UNREACHABLE',
      message: `Temporal does not answer (${reason(error)}). Is the server up? \`holdfast dev\` starts one.`,
    }),
  ],
];

const DRIVER_EXITS: Readonly<Record<DriverError['class'], Exit>> = {
  needs_login: 'needsLogin',
  transport: 'unreachable',
  refused: 'failed',
};

/** gRPC status codes that mean that nobody answered: DEADLINE_EXCEEDED, UNAVAILABLE. */
const SILENT_CODES = [4, 14];

/** True for an error of the Temporal client that means that the server did not answer. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof ServiceError)) return false;
  const cause = error.cause as { code?: unknown } | undefined;
  return SILENT_CODES.includes(Number(cause?.code));
}

function reason(error: Error): string {
  const cause = error instanceof ServiceError ? (error.cause as { details?: unknown } | undefined) : undefined;
  return (
    String(cause?.details ?? error.message)
      .split('\n')[0]
      ?.slice(0, 160) ?? ''
  );
}

/** What to tell the user about an error, and how to exit. */
export function told(error: unknown): ToldError {
  const row = ERRORS.find(([matches]) => matches(error));
  if (row !== undefined) return row[1](error as Error);
  const message = error instanceof Error ? error.message : String(error);
  return { exit: 'failed', code: 'HF-UNEXPECTED', message, isUnexpected: true };
}
