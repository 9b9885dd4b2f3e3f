import {
  chmodSync,
  existsSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DoneRecord, LaunchRecord } from '../../../src/domain/spool.ts';
import { placeBundle, readBundle } from '../../../src/systems/spool/bundle.ts';
import { acknowledge, readEnded } from '../../../src/systems/spool/ends.ts';
import { readAgents } from '../../../src/systems/spool/heartbeats.ts';
import { makeLaunchFolder } from '../../../src/systems/spool/launch-folder.ts';
import { placeOffer, withdrawOrStop } from '../../../src/systems/spool/offers.ts';
import { launchRecord, offerOf, temporaryFolder } from './launch-plan.ts';

let home: ReturnType<typeof temporaryFolder>;
let launch: string;

beforeEach(async () => {
  home = temporaryFolder();
  launch = path.join(home.folder, 'launch');
  await makeLaunchFolder(launch, launchRecord('c', ['true']));
});
afterEach(() => home.remove());

const queue = (name: string) => readdirSync(path.join(launch, 'spool', name)).sort();
const inSpool = (...parts: string[]) => path.join(launch, 'spool', ...parts);

function doneRecord(trial: number, change: Partial<DoneRecord> = {}): DoneRecord {
  const name = `trial-${String(trial).padStart(4, '0')}`;
  return {
    version: 1,
    campaign: 'c',
    trial: name,
    attempt: 1,
    status: 'completed',
    exit_code: 0,
    signal: null,
    error: null,
    values: [0.5],
    metrics: { y: 0.5 },
    curve: [[1, 0.5]],
    step: 1,
    started_at: 1,
    ended_at: 2,
    run_seconds: 1,
    pilot: 'c.p1',
    host: 'here',
    slot: 0,
    resumed_from: null,
    has_checkpoint: false,
    directory: `trials/${name}/attempt-1`,
    files: [],
    ...change,
  };
}

function claim(name: string, agent = 'c.p1'): void {
  mkdirSync(inSpool('claimed', agent), { recursive: true });
  writeFileSync(inSpool('claimed', agent, `${name}.json`), '{}');
}

const end = (record: DoneRecord) => writeFileSync(inSpool('done', `${record.trial}.${record.attempt}.json`), JSON.stringify(record));

describe('offers', () => {
  test('an offer that is repeated lies in ready once', async () => {
    expect(await placeOffer(launch, offerOf('c', 1))).toBe('offered');
    expect(await placeOffer(launch, offerOf('c', 1))).toBe('offered');
    expect(queue('ready')).toEqual(['trial-0001.1.json']);
    expect(JSON.parse(readFileSync(inSpool('ready', 'trial-0001.1.json'), 'utf8'))).toEqual(offerOf('c', 1));
  });

  test('an offer of what is claimed adds nothing', async () => {
    claim('trial-0001.1');
    expect(await placeOffer(launch, offerOf('c', 1))).toBe('offered');
    expect(queue('ready')).toEqual([]);
  });

  test('an offer of what has ended adds nothing, and brings a record back that was taken in', async () => {
    end(doneRecord(1));
    await acknowledge(launch, ['trial-0001.1']);
    expect(queue('collected')).toEqual(['trial-0001.1.json']);
    expect(await placeOffer(launch, offerOf('c', 1))).toBe('done');
    expect([queue('ready'), queue('done'), queue('collected')]).toEqual([[], ['trial-0001.1.json'], []]);
  });

  test('what was withdrawn can be offered again', async () => {
    await placeOffer(launch, offerOf('c', 1));
    expect(await withdrawOrStop(launch, 'trial-0001', 1, 'pruned')).toBe('withdrawn');
    expect(queue('ready')).toEqual([]);
    expect(await placeOffer(launch, offerOf('c', 1))).toBe('offered');
    expect([queue('ready'), queue('withdrawn')]).toEqual([['trial-0001.1.json'], []]);
  });

  test('a claimed attempt is asked to stop by a file that holds the reason', async () => {
    claim('trial-0001.1');
    expect(await withdrawOrStop(launch, 'trial-0001', 1, 'pruned at rung 3')).toBe('stopping');
    expect(readFileSync(inSpool('stop', 'trial-0001.1'), 'utf8')).toBe('pruned at rung 3\n');
  });

  test('an attempt that has ended is not asked to stop', async () => {
    end(doneRecord(1));
    expect(await withdrawOrStop(launch, 'trial-0001', 1, 'late')).toBe('done');
    expect(queue('stop')).toEqual([]);
  });

  test('an attempt that left no trace is unknown', async () => {
    expect(await withdrawOrStop(launch, 'trial-0001', 1, 'why')).toBe('unknown');
  });

  test('an offer that lies in ready again after its start is not taken for withdrawn', async () => {
    mkdirSync(path.join(launch, 'trials', 'trial-0001', 'attempt-1'), { recursive: true });
    writeFileSync(path.join(launch, 'trials', 'trial-0001', 'attempt-1', 'started'), '{}');
    await placeOffer(launch, offerOf('c', 1));
    expect(await withdrawOrStop(launch, 'trial-0001', 1, 'why')).toBe('stopping');
  });

  test('a second offer that is withdrawn is no withdrawal of what an agent has claimed', async () => {
    await placeOffer(launch, offerOf('c', 1));
    mkdirSync(inSpool('claimed', 'p1'));
    writeFileSync(inSpool('claimed', 'p1', 'trial-0001.1.json'), readFileSync(inSpool('ready', 'trial-0001.1.json')));
    expect(await withdrawOrStop(launch, 'trial-0001', 1, 'why')).toBe('stopping');
    expect([queue('ready'), queue('stop')]).toEqual([[], ['trial-0001.1']]);
  });
});

describe('ends', () => {
  test('done records are read by trial and leave with their acknowledgement', async () => {
    for (const trial of [10, 9, 10000]) end(doneRecord(trial));
    const read = await readEnded(launch, 'c');
    expect(read.ended.map(({ record }) => record.trial)).toEqual(['trial-0009', 'trial-0010', 'trial-10000']);
    await acknowledge(launch, ['trial-0009.1', 'trial-0009.1', 'trial-0077.1']);
    expect((await readEnded(launch, 'c')).ended.map(({ name }) => name)).toEqual(['trial-0010.1', 'trial-10000.1']);
  });

  test('a record has another identity when it comes back after its acknowledgement', async () => {
    end(doneRecord(1));
    const [before] = (await readEnded(launch, 'c')).ended;
    await acknowledge(launch, ['trial-0001.1']);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await placeOffer(launch, offerOf('c', 1));
    const [after] = (await readEnded(launch, 'c')).ended;
    expect(after?.id).not.toBe(before?.id);
  });

  test('a byte limit leaves the rest for the next reading, and always brings one', async () => {
    for (const trial of [1, 2, 3]) end(doneRecord(trial));
    expect((await readEnded(launch, 'c', 1)).ended.map(({ name }) => name)).toEqual(['trial-0001.1']);
  });

  const good = JSON.stringify(doneRecord(1));
  const cases: readonly (readonly [string, string])[] = [
    ['a truncated record', good.slice(0, 200)],
    ['an empty record', ''],
    ['another trial’s record', JSON.stringify(doneRecord(2))],
    ['another campaign’s record', JSON.stringify(doneRecord(1, { campaign: 'd' }))],
    ['a record with NaN', good.replace('[0.5]', '[NaN]')],
    ['a class that nobody knows', JSON.stringify({ ...doneRecord(1), status: 'failed', error: { class: 'weather', message: 'rain' } })],
    ['another version', JSON.stringify({ ...doneRecord(1), version: 2 })],
  ];
  test.each(cases)('%s is kept in broken and replaced, so that its trial goes on', async (_what, text) => {
    writeFileSync(inSpool('done', 'trial-0001.1.json'), text);
    const read = await readEnded(launch, 'c');
    expect(read.broken).toHaveLength(1);
    expect(read.ended[0]?.record).toMatchObject({ trial: 'trial-0001', attempt: 1, status: 'failed', error: { class: 'bad_result' } });
    expect(readFileSync(inSpool('broken', 'trial-0001.1.json'), 'utf8')).toBe(text);
    const again = await readEnded(launch, 'c');
    expect(again.broken).toEqual([]);
    expect(again.ended[0]?.record).toEqual(read.ended[0]?.record);
  });

  test('every cut of a record is refused without an exception', async () => {
    for (let length = 0; length < good.length; length += 7) {
      writeFileSync(inSpool('done', 'trial-0001.1.json'), good.slice(0, length));
      expect((await readEnded(launch, 'c')).broken).toHaveLength(1);
    }
  });

  test('a foreign file in done is put aside', async () => {
    writeFileSync(inSpool('done', 'notes.json'), '{}');
    expect(await readEnded(launch, 'c')).toMatchObject({ ended: [], broken: [{ name: 'notes' }] });
    expect([queue('done'), queue('broken')]).toEqual([[], ['notes.json']]);
  });

  test('files that are still being written are not read', async () => {
    writeFileSync(inSpool('done', 'trial-0001.1.json.123.tmp'), '{"ver');
    expect(await readEnded(launch, 'c')).toEqual({ ended: [], broken: [] });
  });
});

describe('launch folders', () => {
  const record = (change: Partial<LaunchRecord['owner']>): LaunchRecord => ({
    ...launchRecord('c', ['true']),
    owner: { namespace: 'default', workflow_id: 'c', epoch: 1, ...change },
  });

  test('making one twice is the same as once', async () => {
    await makeLaunchFolder(launch, record({}));
    await makeLaunchFolder(launch, record({ epoch: 2 }));
    expect(JSON.parse(readFileSync(path.join(launch, 'launch.json'), 'utf8'))).toMatchObject({ owner: { epoch: 2 } });
  });

  test.each([
    ['another campaign', { workflow_id: 'd' }],
    ['another namespace', { namespace: 'other' }],
  ])('%s does not get the folder', async (_whose, owner) => {
    await expect(makeLaunchFolder(launch, record(owner))).rejects.toMatchObject({ class: 'refused', code: 'HF-SPOOL-OWNER' });
  });

  test('an earlier start of the same campaign does not get it back', async () => {
    await makeLaunchFolder(launch, record({ epoch: 5 }));
    await expect(makeLaunchFolder(launch, record({ epoch: 4 }))).rejects.toMatchObject({ code: 'HF-SPOOL-OWNER' });
  });

  test('unreadable heartbeats count as absent', async () => {
    mkdirSync(path.join(launch, 'pilots', 'p1'), { recursive: true });
    const identity = { pid: 2, start_time: '1', boot_id: 'b', host: 'h', agent: 'p1', pilot: 'p1', slots: 2 };
    writeFileSync(path.join(launch, 'pilots', 'p1', 'agent.json'), JSON.stringify(identity));
    writeFileSync(path.join(launch, 'pilots', 'p1', 'heartbeat.json'), '{"version": 1, "pil');
    expect(await readAgents(launch)).toEqual([{ pilotFolder: path.join(launch, 'pilots', 'p1'), identity }]);
  });
});

describe('bundles', () => {
  const code = () => path.join(home.folder, 'code');
  const put = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(code(), name)), { recursive: true });
    writeFileSync(path.join(code(), name), text);
  };

  test('the digest is of names, contents and execute bits, not of times and caches', async () => {
    put('train.py', 'print(1)');
    put('lib/net.py', 'x = 1');
    const { sha256 } = await readBundle(code());
    utimesSync(path.join(code(), 'train.py'), 1, 1);
    put('__pycache__/train.pyc', 'cache');
    put('lib/net.pyc', 'cache');
    put('.git/HEAD', 'ref');
    expect((await readBundle(code())).sha256).toBe(sha256);
    chmodSync(path.join(code(), 'train.py'), 0o755);
    const executable = (await readBundle(code())).sha256;
    put('lib/net.py', 'x = 2');
    const changed = (await readBundle(code())).sha256;
    expect(new Set([sha256, executable, changed]).size).toBe(3);
  });

  test('moving text from one file to the next changes the digest', async () => {
    put('a', 'xy');
    put('b', 'z');
    const { sha256 } = await readBundle(code());
    put('a', 'x');
    put('b', 'yz');
    expect((await readBundle(code())).sha256).not.toBe(sha256);
  });

  test('two copies at once make one folder with all files', async () => {
    put('train.py', 'print(1)');
    put('lib/net.py', 'x = 1');
    const bundle = await readBundle(code());
    const [first, second] = await Promise.all([placeBundle(bundle, launch), placeBundle(bundle, launch)]);
    expect(first).toBe(second);
    expect(readdirSync(path.join(launch, 'bundle'))).toEqual([bundle.sha256]);
    expect(readFileSync(path.join(first, 'lib', 'net.py'), 'utf8')).toBe('x = 1');
  });

  test('a power cut leaves no empty file under a name that says that it is right: all is on disk before it has that name', async () => {
    put('train.py', 'print(1)');
    put('lib/deep/net.py', 'x = 1');
    const bundle = await readBundle(code());
    const target = path.join(launch, 'bundle', bundle.sha256);
    const synced = new Set<number>();
    const handle = await open(code(), 'r');
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const { sync } = prototype;
    const spy = vi.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
      if (!existsSync(target)) synced.add(fstatSync(this.fd).ino);
      return sync.call(this);
    });
    try {
      await placeBundle(bundle, launch);
    } finally {
      spy.mockRestore();
    }
    const placed = ['', 'train.py', 'lib', 'lib/deep', 'lib/deep/net.py'];
    expect(placed.filter((name) => !synced.has(statSync(path.join(target, name)).ino))).toEqual([]);
  });

  test('code that changes while it is copied is not placed', async () => {
    put('train.py', 'print(1)');
    const bundle = await readBundle(code());
    put('train.py', 'print(2)');
    await expect(placeBundle(bundle, launch)).rejects.toMatchObject({ class: 'transport', code: 'HF-BUNDLE-CHANGED' });
    expect(readdirSync(path.join(launch, 'bundle'))).toEqual([]);
  });

  test.each([
    ['a folder that is not there', () => undefined, 'HF-BUNDLE-MISSING'],
    ['an empty folder', () => mkdirSync(code()), 'HF-BUNDLE-EMPTY'],
    [
      'a link to a folder above itself',
      () => {
        put('a/b', '');
        symlinkSync('..', path.join(code(), 'a', 'up'));
      },
      'HF-BUNDLE-LOOP',
    ],
  ])('%s is refused', async (_what, make, errorCode) => {
    make();
    await expect(readBundle(code())).rejects.toMatchObject({ class: 'refused', code: errorCode });
    expect(existsSync(path.join(launch, 'bundle', 'x'))).toBe(false);
  });
});
