import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { samplerEntry } from '../../../src/search/registry.ts';
import { withWarmStart } from '../../../src/search/warm-start.ts';
import { admitCampaign } from '../../../src/spec/admit.ts';
import { inlineWarmStart } from '../../../src/spec/warm-start.ts';
import { row } from '../search/spaces.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-warm-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const campaign = (change: object) => ({
  objective: { metric: 'score', direction: 'maximize' },
  search_space: {
    x: { type: 'float', min: 0, max: 1 },
    kind: { type: 'categorical', values: ['a', 'b'] },
    depth: { type: 'int', min: 1, max: 4, when: { kind: 'a' } },
    solver: { type: 'constant', value: 'adam' },
  },
  training: { command: 'true' },
  budget: { trials: 5 },
  ...change,
});
const admit = (change: object) => admitCampaign(campaign(change), { env: {}, folder });
const line = (x: number, score: number, more: object = {}) => ({ params: { x, kind: 'b' }, values: { score }, ...more });
const write = (name: string, lines: readonly unknown[]) => {
  writeFileSync(path.join(folder, name), lines.map((each) => `${typeof each === 'string' ? each : JSON.stringify(each)}\n`).join(''));
  return name;
};

describe('warm_start', () => {
  it('takes a file or a list alike: packed by position, constants filled in, inactive parameters null', async () => {
    const entries = [line(0.5, 1), { params: { x: 0.25, kind: 'a', depth: 3 }, values: { score: 2 }, from: 'old-1/trial-0007' }];
    const fromList = await admit({ warm_start: entries });
    expect(fromList.warmStart).toEqual([
      { params: [0.5, 'b', null, 'adam'], values: [1] },
      { params: [0.25, 'a', 3, 'adam'], values: [2] },
    ]);
    const file = write('good.jsonl', entries);
    expect((await admit({ warm_start: file })).warmStart).toEqual(fromList.warmStart);
    // What `holdfast run` sends needs no file where the worker is.
    expect(inlineWarmStart({ name: 'n', warm_start: file }, folder)).toEqual({ name: 'n', warm_start: entries });
    expect(inlineWarmStart({ warm_start: 'not-there.jsonl' }, folder)).toEqual({ warm_start: 'not-there.jsonl' });
    expect((await admit({})).warmStart).toBeUndefined();
  });

  it('keeps the metrics that conditions name', async () => {
    const { warmStart } = await admit({
      metric_constraints: ['gb <= 40'],
      warm_start: [line(0.1, 1, { metrics: { gb: 30, loss: 2 } }), line(0.2, 1)],
    });
    expect(warmStart?.map(({ constraintValues }) => constraintValues)).toEqual([[30], [null]]);
  });

  it.each([
    ['a point outside the space', [line(0.5, 1), line(7, 1)], /warm_start: x is 7, but it goes from 0 to 1 \(bad\.jsonl:2\)/],
    ['a missing value', [{ params: { x: 0.5, kind: 'b' }, values: { loss: 1 } }], /lacks the value of score \(bad\.jsonl:1\)/],
    ['a line of something else', ['{"op_code": 0}'], /holds no result .* \(bad\.jsonl:1\)/],
    ['no JSON', ['x,score'], /holds no result/],
    ['a misspelt parameter', [{ params: { x: 0.5, kindd: 'b' }, values: { score: 1 } }], /kindd is no parameter \(bad\.jsonl:1\)/],
  ])('tells of %s with its line', async (_, lines, message) => {
    await expect(admit({ warm_start: write('bad.jsonl', lines) })).rejects.toThrow(message);
  });

  it('tells of a file that is not there, of too many results, and not of every line of a wrong file', async () => {
    await expect(admit({ warm_start: 'nowhere.jsonl' })).rejects.toThrow(/nowhere\.jsonl is not there/);
    await expect(admit({ warm_start: Array.from({ length: 1001 }, (_, i) => line(i / 1001, i)) })).rejects.toThrow(
      /1001 results, more than the 1000/,
    );
    const wrong = write(
      'wrong.jsonl',
      Array.from({ length: 40 }, () => line(7, 1)),
    );
    await expect(admit({ warm_start: wrong })).rejects.toThrow(/has 6 problems[\s\S]*has 35 more such problems/);
  });
});

describe('samplers with a warm start', () => {
  it('see the adopted results before the campaign’s own, whose numbers move up', async () => {
    const spec = await admit({ warm_start: [line(0.5, 1), line(0.6, 2)] });
    const seen = withWarmStart(spec, [row(1, { x: 0.1, kind: 'b', solver: 'adam' }, 3)]);
    expect(seen.map(({ number, origin, params, values }) => [number, origin, params.x, values?.[0]])).toEqual([
      [1, 'adopted', 0.5, 1],
      [2, 'adopted', 0.6, 2],
      [3, 'test', 0.1, 3],
    ]);
    const none = [row(1, { x: 0.1, kind: 'b', solver: 'adam' }, 3)];
    expect(withWarmStart(await admit({}), none)).toBe(none);
  });

  it('begin where the earlier campaign had its best results, need no design, and try no adopted point again', async () => {
    // The best lies at 0.7, kind b.
    const earlier = Array.from({ length: 24 }, (_, i) => ({
      params: i % 2 ? { x: i / 24, kind: 'b' } : { x: i / 24, kind: 'a', depth: 1 + (i % 4) },
      values: { score: 1 - (i / 24 - 0.7) ** 2 - (i % 2 ? 0 : 0.3) },
    }));
    const spec = await admit({ warm_start: earlier });
    for (const name of ['auto', 'gp', 'tpe']) {
      const ask = (rows: Parameters<typeof withWarmStart>[1]) =>
        samplerEntry(name).sampler({
          space: spec.space,
          objectives: spec.objectives,
          trials: withWarmStart(spec, rows),
          count: 6,
          seed: 3,
          options: {},
        });
      const warm = ask([]).suggestions;
      expect(ask([]).suggestions).toEqual(warm);
      expect(warm.every(({ origin }) => origin !== 'sobol' && origin !== 'random')).toBe(true);
      expect(warm.filter(({ params }) => params.kind === 'b' && Math.abs((params.x as number) - 0.7) < 0.2).length).toBeGreaterThanOrEqual(
        3,
      );
      const old = new Set(earlier.map(({ params }) => `${params.x} ${params.kind}`));
      expect(warm.some(({ params }) => old.has(`${params.x} ${params.kind}`))).toBe(false);
    }
  });
});
