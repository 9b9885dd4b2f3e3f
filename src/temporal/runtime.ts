import { makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';

let isInstalled = false;

/**
 * Lines of the SDK that tell a person nothing: what a worker of ours does not serve, and means so; its states, which our own lines tell; a question whose
 * asker has gone.
 */
const EXPECTED = /^(No (workflows|Nexus services) registered|Worker state changed|Query not found when attempting to respond)/;

/** Sends the SDK's own log lines to ours. Once per process, before the first connection; later calls change nothing. */
export function installRuntime(logger: Logger): void {
  if (isInstalled) return;
  isInstalled = true;
  const write = (level: 'trace' | 'debug' | 'info' | 'warn' | 'error', message: string, meta?: object) =>
    logger[EXPECTED.test(message) ? 'debug' : level](meta ?? {}, message);
  Runtime.install({
    // The core's lines come the same way: straight to the terminal they would break into the live view.
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'WARN' }) } },
    logger: {
      trace: (message, meta) => write('trace', message, meta),
      debug: (message, meta) => write('debug', message, meta),
      info: (message, meta) => write('info', message, meta),
      warn: (message, meta) => write('warn', message, meta),
      error: (message, meta) => write('error', message, meta),
      log: (level, message, meta) => write(level === 'WARN' ? 'warn' : level === 'ERROR' ? 'error' : 'info', message, meta),
    },
  });
}
