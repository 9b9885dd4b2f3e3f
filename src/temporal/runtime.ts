import { makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { sdkLog } from './sdk-log.ts';

let isInstalled = false;

/** Sends the log lines of the SDK and of its core to ours. Once per process, before the first connection; later calls change nothing. */
export function installRuntime(logger: Logger): void {
  if (isInstalled) return;
  isInstalled = true;
  Runtime.install({
    // Straight to the terminal, as they go by default, the core's lines would break into the live view.
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'WARN' }) } },
    logger: sdkLog(logger),
  });
}
