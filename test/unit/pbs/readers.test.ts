import { describe, expect, it } from 'vitest';
import { isFullJobId } from '../../../src/systems/pbs/job-id.ts';
import { readPbsJson, readQstatJson } from '../../../src/systems/pbs/qstat-json.ts';
import { readPbsText, readQstatText } from '../../../src/systems/pbs/qstat-text.ts';
import { readQueues, readWalltime, writeWalltime } from '../../../src/systems/pbs/queues.ts';
import { golden, goldens, program } from './goldens.ts';

const HOST = 'aurora-pbs-0001.hostmgmt.cm.aurora.test';
const textCases = goldens.filter((each) => each.stdout.toString('latin1').startsWith('Job Id: ') && !each.command.includes('-F dsv'));
const jsonCases = goldens.filter((each) => each.stdout.toString('latin1').startsWith('{') && each.json !== undefined);

describe('qstat text', () => {
  it('reads the running and the finished job of one request, the unknown one left out', () => {
    const { objects, isComplete } = readQstatText(golden('query-E-text').stdout);
    expect(isComplete).toBe(true);
    expect([...objects.keys()]).toEqual([`1246.${HOST}`, `1247.${HOST}`]);
    expect(objects.get(`1247.${HOST}`)?.attributes.get('Exit_status')).toBe('3');
    expect(objects.get(`1247.${HOST}`)?.attributes.get('Variable_List')).toContain('A=nan,B=00');
  });

  it.each(textCases.map((each) => [`${each.case} (${each.client})`, each] as const))('%s is read whole', (_name, each) => {
    const listing = readQstatText(each.stdout);
    expect(listing.damaged).toEqual([]);
    expect(listing.objects.size).toBe(each.stdout.toString('latin1').match(/^Job Id: /gm)?.length);
  });

  it('joins folded lines to what -w prints', () => {
    const folded = readQstatText(golden('state-R-text').stdout).objects.get(`4.${HOST}`);
    const wide = readQstatText(golden('state-R-text-wide').stdout).objects.get(`4.${HOST}`);
    for (const name of ['Submit_arguments', 'Variable_List', 'Output_Path', 'comment']) {
      expect(folded?.attributes.get(name)).toBe(wide?.attributes.get(name));
    }
  });

  it('keeps the good jobs when one block holds foreign words', () => {
    const text = golden('query-E-text').stdout.toString().replace('    queue = debug\n', '    queue = debug\nWelcome to Aurora!\n');
    const listing = readQstatText(text);
    expect([...listing.objects.keys()]).toEqual([`1247.${HOST}`]);
    expect(listing.damaged).toEqual([`1246.${HOST}`]);
  });
});

describe('qstat JSON', () => {
  it.each(jsonCases.map((each) => [`${each.case} (${each.client})`, each] as const))('%s is read', (_name, each) => {
    const form =
      program(each.command) === 'pbsnodes' ? 'node' : / -Q /.test(each.command) ? 'queue' : / -B /.test(each.command) ? 'server' : 'job';
    // A backslash before the closing quote cannot be mended: `"…D=end\\",`.
    const isBeyondRepair = each.case === 'json-backslash' && each.client === '23.06.06';
    expect(readPbsJson(each.stdout, form)).toMatchObject({ kind: isBeyondRepair ? 'unreadable' : 'listing' });
  });

  it('reads what 23.06.06 prints for nan, zeros and odd numbers as the words they were', () => {
    const read = readQstatJson(golden('json-nan', '23.06.06').stdout);
    if (read.kind !== 'listing') throw new Error(read.why);
    expect(read.isRepaired).toBe(true);
    const variables = [...read.listing.objects.values()][0]?.attributes;
    expect(['A', 'B', 'C', 'F'].map((name) => variables?.get(`Variable_List.${name}`))).toEqual(['nan', 'inf', '-inf', 'nan(x)']);
  });

  it('agrees with the text of the same job about what decides', () => {
    for (const name of ['json-nan', 'json-submit-args', 'json-utf8', 'json-number-odd', 'json-name-007', 'json-nan-name']) {
      for (const client of ['master', '23.06.06'] as const) {
        const read = readQstatJson(golden(name, client).stdout);
        if (read.kind !== 'listing') throw new Error(`${name}: ${read.why}`);
        const [json] = read.listing.objects.values();
        const [text] = readQstatText(golden(`${name}-text`).stdout).objects.values();
        expect(json?.id).toBe(text?.id);
        for (const attribute of ['job_state', 'substate', 'Hold_Types', 'queue'])
          expect(json?.attributes.get(attribute)).toBe(text?.attributes.get(attribute));
      }
    }
  });

  it('takes no jobs and a server that is down for the same: nothing is proven', () => {
    for (const name of ['empty-qstat-json', 'server-down-qstat-json', 'query-history-off']) {
      const read = readQstatJson(golden(name).stdout);
      expect(read).toMatchObject({ kind: 'listing', listing: { isComplete: false } });
    }
  });

  it('drops a job that is printed twice with different contents and keeps one printed twice alike', () => {
    const alike = readQstatJson(golden('query-E-duplicate').stdout);
    expect(alike.kind === 'listing' && alike.listing.objects.size).toBe(2);
    const different = readQstatJson('{"Jobs":{"1.s":{"job_state":"R"},"1.s":{"job_state":"F"}}}');
    expect(different.kind === 'listing' && different.listing).toMatchObject({ damaged: ['1.s'] });
  });
});

describe('ids', () => {
  it.each(
    goldens
      .filter((each) => program(each.command) === 'qsub' && each.exit === 0 && each.case !== 'version-qsub')
      .map((each) => [each.case, each] as const),
  )('qsub of %s printed one full id', (_name, each) => {
    expect(isFullJobId(each.stdout.toString().trim())).toBe(true);
  });

  it.each(goldens.filter((each) => program(each.command) === 'qselect' && each.exit === 0).map((each) => [each.case, each] as const))(
    'qselect of %s is a list of full ids',
    (_name, each) => {
      expect(
        each.stdout
          .toString()
          .trim()
          .split('\n')
          .filter((line) => line !== '' && !isFullJobId(line)),
      ).toEqual([]);
    },
  );

  it.each(['', ' ', '42', '42.', 'bogus-id', '42.host*', '12 34', '12[.x', '0046.host', '.host', '-1.host'])('%j is no full id', (text) => {
    expect(isFullJobId(text)).toBe(false);
  });
});

describe('queues', () => {
  it('reads the limits of both writers alike', () => {
    const master = readPbsJson(golden('queues-json').stdout, 'queue');
    const older = readPbsJson(golden('queues-json', '23.06.06').stdout, 'queue');
    if (master.kind !== 'listing' || older.kind !== 'listing') throw new Error('unreadable');
    const queues = readQueues(master.listing);
    expect(readQueues(older.listing)).toEqual(queues);
    expect(queues.find((queue) => queue.name === 'capacity')).toMatchObject({
      isRouting: false,
      maxNodes: 16,
      maxWalltimeSeconds: 168 * 3600,
      maxQueuedPerUser: 5,
      maxRunningPerUser: 2,
    });
    expect(queues.find((queue) => queue.name === 'prod')).toMatchObject({ isRouting: true });
  });

  it('reads a queue with two limits of one kind, which one client prints as duplicate keys', () => {
    const limits = (['master', '23.06.06'] as const).map((client) => {
      const read = readPbsJson(golden('queues-json-two-limits', client).stdout, 'queue');
      return read.kind === 'listing' ? read.listing.objects.get('debug')?.attributes.get('max_queued') : undefined;
    });
    expect(limits).toEqual(['[o:PBS_ALL=1000],[u:tom=15]', '[o:PBS_ALL=1000],[u:tom=15]']);
  });

  it('reads nodes as text', () => {
    const { objects, isComplete } = readPbsText(golden('pbsnodes-text').stdout, 'node');
    expect(isComplete).toBe(true);
    expect(objects.get('aurora-pbs-0001')?.attributes.get('state')).toBe('free');
  });

  it('writes the walltimes it reads', () => {
    for (const text of ['00:05:00', '01:00:00', '168:00:00', '00:00:59'])
      expect(writeWalltime(readWalltime(text) ?? Number.NaN)).toBe(text);
    expect(readWalltime('abc')).toBeUndefined();
  });
});
