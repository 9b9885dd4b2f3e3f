import path from 'node:path';
import pino, { type Logger, type LoggerOptions } from 'pino';
import { startDev } from '../dev.ts';
import { makeFolder } from '../make-folder.ts';
import { loadDrivers } from '../systems/load-drivers.ts';
import { startWorkers } from '../worker.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, onInterrupt, print, progressOf, type QuietOptions } from './io.ts';
import { writingTo } from './output-place.ts';

export interface WorkerOptions extends QuietOptions {
  readonly systems: readonly string[];
  readonly logLevel: string;
}

export interface DevCommandOptions extends WorkerOptions {
  readonly port?: number;
  readonly uiPort?: number;
  readonly folder?: string;
}

const CHATTY = ['trace', 'debug', 'info'];
const LEVELS = [...CHATTY, 'warn', 'error', 'silent'];

/** JSON lines for a machine, readable lines on a terminal; to standard output (1) or error (2). */
function loggerFor(options: WorkerOptions, io: CliIo, descriptor: 1 | 2 = 1): Logger {
  if (!LEVELS.includes(options.logLevel)) {
    throw new CliError('usage', 'HF-USAGE', `--log-level ${options.logLevel} is not known. Choose ${LEVELS.join(', ')}.`);
  }
  const isPretty = options.json !== true && io.output.isTTY === true;
  const basics = logOptions(options.quiet === true && CHATTY.includes(options.logLevel) ? 'warn' : options.logLevel);
  if (isPretty) return pino({ ...basics, transport: { target: 'pino-pretty', options: prettyOptions(io.env) } });
  return pino(basics, pino.destination(descriptor));
}

/** Instants of JSON lines are ISO 8601, in UTC. */
export function logOptions(level: string): LoggerOptions {
  return { level, timestamp: pino.stdTimeFunctions.isoTime };
}

/** Instants of people's lines have day, month, year and this computer's time. */
export function prettyOptions(env: CliIo['env']) {
  return { translateTime: 'SYS:dd-mm-yyyy HH:MM:ss', ignore: 'pid,hostname', colorize: (env.NO_COLOR ?? '') === '' };
}

/** `holdfast worker --systems a,b`: runs workflows, and the side effects of these systems, until it is told to stop. */
export async function worker(options: WorkerOptions, io: CliIo): Promise<Exit> {
  const logger = loggerFor(options, io);
  const running = await startWorkers({ drivers: await loadDrivers(options.systems), logger });
  logger.info(
    { address: running.address, namespace: running.namespace, systems: options.systems },
    'worker is running; Ctrl-C stops it in order',
  );
  onInterrupt(io, () => running.shutdown());
  await running.finished;
  return 'ok';
}

/** `holdfast dev`: Temporal's dev server on a file and a worker, for one person on one computer. Ctrl-C stops both; campaigns go on at the next start. */
export async function dev(options: DevCommandOptions, io: CliIo): Promise<Exit> {
  const { folder } = options;
  if (folder !== undefined) await writingTo('--folder', folder, () => makeFolder(path.resolve(folder)));
  // With --json standard output is one document.
  const logger = loggerFor(options, io, options.json === true ? 2 : 1);
  const started = await startDev({
    systems: options.systems,
    logger,
    say: progressOf(io, options),
    signal: io.interrupted,
    ...(options.port === undefined ? {} : { port: options.port }),
    ...(options.uiPort === undefined ? {} : { uiPort: options.uiPort }),
    ...(options.folder === undefined ? {} : { folder: options.folder }),
  });
  if (started === undefined) return 'ok';
  if (started.isJoined && (options.port !== undefined || options.uiPort !== undefined))
    io.errors.write('The server of this folder runs already: --port and --ui-port change nothing. --folder starts another one.\n');
  print(
    io,
    options,
    { address: started.address, uiUrl: started.uiUrl, systems: options.systems },
    `Temporal is at ${started.address}, its Web UI at ${started.uiUrl}; a worker runs ${options.systems.join(', ')}. Ctrl-C stops both, campaigns go on at the next start.`,
  );
  const interrupted = new Promise<void>((resolve) => onInterrupt(io, resolve));
  await Promise.race([started.ended, interrupted]);
  await started.stop();
  return 'ok';
}
