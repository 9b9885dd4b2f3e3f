import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DoneRecord } from '../../../src/domain/spool.ts';
import type { LookResult } from '../../../src/systems/driver.ts';
import { packBundle } from '../../../src/systems/pbs/bundle.ts';
import { compareQueues } from '../../../src/systems/pbs/compare-queues.ts';
import { newsOf } from '../../../src/systems/pbs/news.ts';
import { recoverTable } from '../../../src/systems/pbs/recover-table.ts';
import { offer, standInProfile } from '../../support/pbs/campaign.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-recover-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const done = (number: number, attempt: number, status: DoneRecord['status'], change: Partial<DoneRecord> = {}): DoneRecord => ({
  version: 1,
  campaign: 'c',
  trial: offer('c', number, 0).trial,
  attempt,
  status,
  exit_code: 0,
  signal: null,
  error: null,
  values: status === 'completed' ? [number / 10] : null,
  metrics: {},
  curve: [],
  step: null,
  started_at: 100,
  ended_at: 200,
  run_seconds: 10,
  pilot: 'c.p1',
  host: 'n1',
  slot: 0,
  resumed_from: null,
  has_checkpoint: false,
  directory: `trials/t/attempt-${attempt}`,
  files: [],
  ...change,
});

describe('recoverTable', () => {
  it('makes one row a trial: the completed attempt, else the last one; what is open stays queued', () => {
    const params = new Map([['trial-0001', { x: 0.5 }]]);
    const rows = recoverTable({
      done: [
        done(1, 1, 'failed', { error: { class: 'lost', message: 'gone' } }),
        done(1, 2, 'completed'),
        done(2, 1, 'returned'),
        done(3, 1, 'failed', { error: { class: 'exit_code', message: 'bad' } }),
        done(4, 1, 'failed', { error: { class: 'lost', message: 'gone' } }),
        done(5, 1, 'stopped', { values: [0.7] }),
      ],
      offers: [offer('c', 4, 0.4, 2), offer('c', 6, 0.6)],
      params,
    });
    expect(rows.map((row) => [row.number, row.state, row.attempts, row.values])).toEqual([
      [1, 'completed', 2, [0.1]],
      [2, 'queued', 1, undefined],
      [3, 'failed', 1, undefined],
      [4, 'queued', 2, undefined],
      [5, 'pruned', 1, [0.7]],
      [6, 'queued', 1, undefined],
    ]);
    expect(rows[0]).toMatchObject({ params: { x: 0.5 }, runSeconds: 20 });
  });
});

describe('newsOf', () => {
  const seen: Omit<LookResult, 'cursor'> = {
    ended: [],
    running: [
      {
        campaign: 'c',
        pilot: 'c.p1',
        busy: [{ trial: 'trial-0001', attempt: 1, slot: 0, run_seconds: 5, step: 3, value: 0.1, rungs: [], recent: [] }],
      },
    ],
    pilots: [
      {
        pilot: 'c.p1',
        state: 'queued',
        slots: 2,
        comment: 'Not Running: 17 of 20 nodes at 10:15',
        finished: 0,
        allocatedSlotSeconds: 0,
        busySlotSeconds: 0,
      },
    ],
    broken: [],
    notices: [],
  };
  const request = { acks: [], pilots: [], waitSeconds: 0 };
  const first = newsOf(seen, request, 1000);

  it('says nothing twice, and numbers in a comment or a step alone are no news', () => {
    const later = structuredClone(seen) as typeof seen;
    Object.assign(later.pilots[0] as object, { comment: 'Not Running: 3 of 20 nodes at 11:30' });
    Object.assign(later.running[0]?.busy[0] as object, { step: 9, run_seconds: 60 });
    expect(newsOf(later, { ...request, cursor: first?.cursor as string }, 2000)).toBeUndefined();
    expect(newsOf(later, { ...request, cursor: first?.cursor as string, progressSeconds: 5 }, 2000)).toBeUndefined();
    expect(newsOf(later, { ...request, cursor: first?.cursor as string, progressSeconds: 5 }, 7000)).toBeDefined();
  });

  it('tells of ends, starts, rungs, pilots and notices at once', () => {
    const cursor = first?.cursor as string;
    const rung = structuredClone(seen) as typeof seen;
    Object.assign(rung.running[0]?.busy[0] as object, { rungs: [[3, 0.1]] });
    const changes: (typeof seen)[] = [
      { ...seen, ended: [done(1, 1, 'completed')] },
      { ...seen, running: [] },
      rung,
      { ...seen, pilots: [{ ...(seen.pilots[0] as (typeof seen.pilots)[0]), state: 'running' }] },
      { ...seen, notices: ['PBS is down'] },
      { ...seen, broken: [{ campaign: 'c', name: 'x', message: 'y' }] },
    ];
    for (const change of changes) expect(newsOf(change, { ...request, cursor }, 2000)).toBeDefined();
  });
});

describe('packBundle', () => {
  it('gives the same bytes for the same contents and files that tar unpacks, long names and links too', async () => {
    const code = join(folder, 'code');
    const deep = join(code, 'a'.repeat(60), 'b'.repeat(60));
    mkdirSync(deep, { recursive: true });
    mkdirSync(join(code, '__pycache__'));
    writeFileSync(join(code, '__pycache__', 'x.pyc'), 'x');
    writeFileSync(join(deep, 'é train.py'), 'print(1)\n');
    writeFileSync(join(code, 'run.sh'), '#!/bin/sh\n');
    chmodSync(join(code, 'run.sh'), 0o755);
    symlinkSync('run.sh', join(code, 'link.sh'));
    writeFileSync(join(code, 'empty'), '');
    const first = await packBundle(code, join(folder, 'packed'));
    const bytes = readFileSync(first.file);
    utimesSync(join(code, 'run.sh'), 1, 1);
    const second = await packBundle(code, join(folder, 'packed'));
    expect(second.sha256).toBe(first.sha256);
    expect(readFileSync(second.file).equals(bytes)).toBe(true);
    const out = join(folder, 'out');
    mkdirSync(out);
    execFileSync('tar', ['-xzf', first.file, '-C', out]);
    expect(readFileSync(join(out, 'a'.repeat(60), 'b'.repeat(60), 'é train.py'), 'utf8')).toBe('print(1)\n');
    expect(readFileSync(join(out, 'link.sh'), 'utf8')).toBe('#!/bin/sh\n');
    expect(statSync(join(out, 'run.sh')).mode & 0o111).not.toBe(0);
    writeFileSync(join(code, 'run.sh'), '#!/bin/bash\n');
    expect((await packBundle(code, join(folder, 'packed'))).sha256).not.toBe(first.sha256);
  });
});

describe('compareQueues', () => {
  const live = (change: object) => ({
    name: 'debug',
    isRouting: false,
    isEnabled: true,
    isStarted: true,
    fromRouteOnly: false,
    maxNodes: 2,
    maxWalltimeSeconds: 3600,
    maxQueuedPerUser: 4,
    ...change,
  });
  const others = [
    live({ name: 'debug-scaling', maxNodes: 4, maxQueuedPerUser: 1 }),
    live({ name: 'prod', maxNodes: 8, maxWalltimeSeconds: 86_400, maxQueuedPerUser: undefined }),
  ];

  it('finds nothing where profile and site agree', () => {
    expect(compareQueues(standInProfile(), [live({}), ...others])).toEqual([]);
  });

  it('names limits that changed, queues that went or came, and queues that are closed now', () => {
    const found = compareQueues(standInProfile(), [
      live({ maxNodes: 1, isEnabled: false, isStarted: false }),
      others[1] as (typeof others)[0],
      live({ name: 'new' }),
    ]);
    expect(found).toEqual([
      { queue: 'debug', what: 'state', profile: 'open', site: 'takes no jobs now' },
      { queue: 'debug', what: 'state', profile: 'open', site: 'starts no jobs now' },
      { queue: 'debug', what: 'most nodes', profile: '2', site: '1' },
      { queue: 'debug-scaling', what: 'queue', profile: 'there', site: 'not there' },
      { queue: 'new', what: 'queue', profile: 'not there', site: 'there' },
    ]);
  });
});
