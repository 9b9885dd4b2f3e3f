import { Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';

let isInstalled = false;

/** What the SDK warns of and we mean so: a system's queue has activities alone. */
const EXPECTED = /^No workflows registered/;

/** Sends the SDK's own log lines to ours. Once per process, before the first connection; later calls change nothing. */
export function installRuntime(logger: Logger): void {
  if (isInstalled) return;
  isInstalled = true;
  const write = (level: 'trace' | 'debug' | 'info' | 'warn' | 'error', message: string, meta?: object) =>
    logger[EXPECTED.test(message) ? 'debug' : level](meta ?? {}, message);
  Runtime.install({
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
