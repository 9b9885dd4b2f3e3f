import { Writable } from 'node:stream';
import pino from 'pino';
import pretty from 'pino-pretty';
import { describe, expect, it } from 'vitest';
import { logOptions, prettyOptions } from '../../../src/cli/worker-commands.ts';
import { cli } from '../../support/cli.ts';

function collector() {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { stream, text: () => lines.join('') };
}

describe('the worker’s log', () => {
  it('has the year, the level and the name of the campaign in every line, as JSON and for people', () => {
    const json = collector();
    pino(logOptions('info'), json.stream).info({ campaign: 'digits-1' }, 'report written');
    const record = JSON.parse(json.text()) as { time: string };
    expect(record).toMatchObject({ level: 30, campaign: 'digits-1', msg: 'report written' });
    expect(record.time).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

    const people = collector();
    const written = pretty({ ...prettyOptions({ NO_COLOR: '1' }), destination: people.stream, sync: true });
    pino(logOptions('info'), written).warn({ campaign: 'digits-1' }, 'late');
    expect(people.text()).toMatch(/^\[\d\d-\d\d-20\d\d \d\d:\d\d:\d\d\] WARN: late\n\s+campaign: "digits-1"/);
  });

  it('leaves out what is below its level, and a level that is not known is refused', async () => {
    const { stream, text } = collector();
    pino(logOptions('warn'), stream).info('not this');
    expect(text()).toBe('');
    const { exit, err } = await cli('worker', '--log-level', 'loud');
    expect(exit).toBe(2);
    expect(err).toContain('--log-level loud is not known. Choose trace, debug, info, warn, error, silent.');
  });
});
