import { Writable } from 'node:stream';
import pino from 'pino';
import { expect, test } from 'vitest';
import { sdkLog } from '../../../src/temporal/sdk-log.ts';

function logOf(level: string) {
  const lines: { level: string; msg: string }[] = [];
  const stream = new Writable({
    write(piece, _encoding, done) {
      lines.push(JSON.parse(String(piece)) as (typeof lines)[number]);
      done();
    },
  });
  const formatters = { level: (label: string) => ({ level: label }) };
  return { lines, sdk: sdkLog(pino({ level, formatters }, stream)) };
}

test('a line of the SDK keeps its level, whichever way it comes: debugging lines do not flood the log of `holdfast dev`', () => {
  const { lines, sdk } = logOf('info');
  sdk.log('TRACE', 'Got workflow activation', { jobs: [] });
  sdk.log('DEBUG', 'Creating worker', { options: {} });
  sdk.debug('Activity started');
  sdk.log('INFO', 'told');
  sdk.log('WARN', 'Workflow failed');
  sdk.error('lost');
  expect(lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual(['info told', 'warn Workflow failed', 'error lost']);
});

test('what is expected is told to those who ask for debugging lines', () => {
  const expected = [
    'Worker state changed',
    'No Nexus services registered, not polling for Nexus tasks',
    'No workflows registered, not polling for workflow tasks',
    'Query not found when attempting to respond to it',
  ];
  const [usual, chatty] = [logOf('info'), logOf('debug')];
  for (const { sdk } of [usual, chatty]) for (const line of expected) sdk.log('WARN', line);
  expect(usual.lines).toEqual([]);
  expect(chatty.lines.map(({ msg }) => msg)).toEqual(expected);
});
