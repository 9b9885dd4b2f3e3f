// A worker as a process of its own, for tests that kill it. Settings come as one JSON argument.

import pino from 'pino';
import { createLocalDriver } from '../../dist/src/systems/local/driver.js';
import { startWorkers } from '../../dist/src/worker.js';

const { address, bundleFile, stateDirectory, workingDirectory, slots, logFile } = JSON.parse(process.argv[2]);
const logger = pino({ level: 'info' }, pino.destination({ dest: logFile, append: true, sync: true }));
const driver = createLocalDriver({
  name: 'local',
  slots,
  stateDirectory,
  workingDirectory,
  python: process.env.HOLDFAST_TEST_PYTHON ?? 'python3',
});
const workers = await startWorkers({
  drivers: new Map([['local', driver]]),
  logger,
  bundleFile,
  server: { address, namespace: 'default' },
});
console.log('ready');
await workers.finished;
