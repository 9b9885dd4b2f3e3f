import type { LogLevel, Logger as SdkLogger } from '@temporalio/worker';
import type { Logger } from 'pino';

/**
 * Lines of the SDK that tell a person nothing: what a worker of ours does not serve, and means so; its states, which our own lines tell; a question whose
 * asker has gone.
 */
const EXPECTED = /^(No (workflows|Nexus services) registered|Worker state changed|Query not found when attempting to respond)/;

const OUR_LEVEL = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

/** The SDK's lines in our log, each at its own level; at `debug` those that are expected. */
export function sdkLog(logger: Logger): SdkLogger {
  const log = (level: LogLevel, message: string, meta?: object) =>
    logger[EXPECTED.test(message) && level !== 'TRACE' ? 'debug' : OUR_LEVEL[level]](meta ?? {}, message);
  return {
    log,
    trace: (message, meta) => log('TRACE', message, meta),
    debug: (message, meta) => log('DEBUG', message, meta),
    info: (message, meta) => log('INFO', message, meta),
    warn: (message, meta) => log('WARN', message, meta),
    error: (message, meta) => log('ERROR', message, meta),
  };
}
