import { ApplicationFailure } from '@temporalio/activity';
import { DriverError, type SystemDriver } from '../src/systems/driver.ts';
import type { ActivityDeps } from './deps.ts';

/** Failure types that workflows tell apart; `src/domain` and options.ts use the same words. */
const TYPE_OF_CLASS = { needs_login: 'NeedsLogin', refused: 'Refused', transport: 'Transport' } as const;

/** Runs a driver's call and turns its errors into what the workflow can judge: only transport is tried again. */
export async function asActivityFailure<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    throw ApplicationFailure.create({
      // The code goes with the words: the Web UI and the campaign's notices show the message alone.
      message: `${error.message} [${error.code}]`,
      type: TYPE_OF_CLASS[error.class],
      nonRetryable: error.class !== 'transport',
      details: [error.code],
      cause: error,
    });
  }
}

/** The driver of a system this worker holds. */
export function driverOf(deps: ActivityDeps, system: string): SystemDriver {
  const driver = deps.drivers.get(system);
  if (driver === undefined) {
    throw ApplicationFailure.retryable(
      `This worker does not hold system ${system} (it holds: ${[...deps.drivers.keys()].join(', ') || 'none'}).`,
      'NoSuchSystem',
    );
  }
  return driver;
}
