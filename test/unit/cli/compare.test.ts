import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Objective } from '../../../src/domain/campaign.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { type Comparison, type Contender, compareCampaigns, type Difference, differingSettings } from '../../../src/report/compare.ts';
import { writeReport } from '../../../src/report/write.ts';
import { cli, cliJson } from '../../support/cli.ts';
import { campaignOf, SPEC } from '../report/campaign.ts';
import { completed, failed } from '../view/rows.ts';

const SCORE: Objective = { metric: 'score', direction: 'maximize', reduce: 'result' };
const SECONDS: Objective = { metric: 'seconds', direction: 'minimize', reduce: 'result' };

/** An hour of one slot per trial. */
const contender = (campaign: string, rows: readonly TrialRow[], change: Partial<Contender> = {}): Contender => ({
  campaign,
  objectives: [SCORE],
  rows: rows.map((row) => ({ ...row, runSeconds: 3600 })),
  slots: 1,
  ...change,
});

describe('a comparison', () => {
  it('is the hand-worked one: at equal trials and at equal hours another campaign may lead', () => {
    const quick = contender('quick', [completed(1, 0.5), completed(2, 0.6), completed(3, 0.7), completed(4, 0.8)]);
    // Two slots a trial: half as many trials for the same hours. Its failed trial cost an hour and brought nothing.
    const wide = contender('wide', [failed(1), completed(2, 0.75), completed(3, 0.9)], { slots: 2 });
    const found = compareCampaigns([quick, wide]);
    expect(found).toMatchObject({ measure: 'best', hours: 'slot-hours', reference: 0.9, equalTrials: 3, equalHours: 4 });
    const [a, b] = found.campaigns;
    expect(a?.atEqualTrials).toEqual({ trials: 3, hours: 3, value: 0.7, regret: expect.closeTo(0.2, 12) });
    expect(b?.atEqualTrials).toEqual({ trials: 3, hours: 6, value: 0.9, regret: 0 });
    expect(a?.atEqualHours).toEqual({ trials: 4, hours: 4, value: 0.8, regret: expect.closeTo(0.1, 12) });
    expect(b?.atEqualHours).toEqual({ trials: 2, hours: 4, value: 0.75, regret: expect.closeTo(0.15, 12) });
    expect(b?.trajectory.map(({ trials, value }) => [trials, value])).toEqual([
      [1, null],
      [2, 0.75],
      [3, 0.9],
    ]);
    expect(compareCampaigns([quick, wide], 1).campaigns[1]?.end.regret).toBeCloseTo(0.1, 12);
  });

  it('has the better campaign ahead also when both are better than the optimum that was named', () => {
    const found = compareCampaigns([contender('a', [completed(1, 0.95)]), contender('b', [completed(1, 0.9)])], 0.9);
    expect(found.campaigns.map(({ end }) => end.regret)).toEqual([expect.closeTo(-0.05, 12), 0]);
  });

  it('counts trials as they ended, cancelled ones not at all, and nothing that breaks a condition on metrics', () => {
    const rows = [
      completed(1, 0.9, { finishedAt: 9_000_000, constraintValues: [50] }),
      completed(2, 0.4, { finishedAt: 1000, constraintValues: [30] }),
      { ...failed(3), state: 'cancelled' as const },
      completed(4, 0.6, { finishedAt: 2000, constraintValues: [30] }),
    ];
    const { campaigns } = compareCampaigns([
      contender('a', rows, { metricConstraints: [{ metric: 'gb', op: '<=', bound: 40 }] }),
      contender('b', [completed(1, 0.1)]),
    ]);
    expect(campaigns[0]).toMatchObject({
      completed: 3,
      failed: 0,
      end: { trials: 3, value: 0.6 },
      best: { number: 4 },
      atEqualTrials: { value: 0.4 },
    });
  });

  it('tells node-hours where nodes are counted everywhere', () => {
    const found = compareCampaigns([
      contender('a', [completed(1, 0.5)], { slotsPerNode: 4 }),
      contender('b', [completed(1, 0.5)], { slotsPerNode: 1 }),
    ]);
    expect(found).toMatchObject({ hours: 'node-hours', equalHours: 0.25 });
    expect(compareCampaigns([contender('a', [completed(1, 0.5)], { slotsPerNode: 4 }), contender('b', [])])).toMatchObject({
      hours: 'slot-hours',
    });
  });

  it('measures several objectives by the volume that they dominate below a corner that all campaigns share', () => {
    const both = { objectives: [SCORE, SECONDS] };
    const a = contender('a', [completed(1, 0, { values: [0.9, 100] }), completed(2, 0, { values: [0.5, 10] })], both);
    const b = contender('b', [completed(1, 0, { values: [0.4, 110] })], both);
    const found = compareCampaigns([a, b]);
    // Corner: a tenth of the span beyond the worst: score 0.35, 120 seconds. a: 0.55·20 + 0.15·90; b: 0.05·10.
    expect(found.measure).toBe('hypervolume');
    expect(found.campaigns[0]?.end.value).toBeCloseTo(0.55 * 20 + 0.15 * 90, 9);
    expect(found.campaigns[1]?.end.value).toBeCloseTo(0.05 * 10, 9);
    expect(found.campaigns[0]?.front).toBe(2);
  });
});

describe('settings that differ', () => {
  it('are told by their key in the campaign file, names for people left out', () => {
    const other = {
      ...SPEC,
      name: 'other',
      sampler: { type: 'tpe', options: { mode: 'multivariate' } },
      seed: 8,
      concurrency: 4,
      training: { ...SPEC.training, env: { OMP_NUM_THREADS: '1' } },
      space: {
        parameters: SPEC.space.parameters.map((parameter) => (parameter.name === 'hidden' ? { ...parameter, max: 512 } : parameter)),
      },
    } as typeof SPEC;
    expect(differingSettings([SPEC, other])).toEqual([
      { key: 'concurrency', values: [null, '4'] },
      { key: 'sampler.mode', values: [null, 'multivariate'] },
      { key: 'sampler.seed', values: ['7', '8'] },
      { key: 'sampler.type', values: ['sobol', 'tpe'] },
      { key: 'search_space.hidden.max', values: ['256', '512'] },
      { key: 'training.env.OMP_NUM_THREADS', values: [null, '1'] },
    ]);
    expect(differingSettings([SPEC, { ...SPEC, name: 'x' }])).toEqual([]);
    const asked = (initialSamples: number, slotsPerNode: number) =>
      ({
        ...SPEC,
        system: { name: 'aurora', kind: 'pbs', settings: { slotsPerNode } },
        llm: { baseUrl: 'http://h/v1', model: 'm', options: { initialSamples, budget: { calls: 5 } } },
      }) as typeof SPEC;
    expect(differingSettings([asked(4, 12), asked(5, 6)]).map(({ key }) => key)).toEqual(['llm.initial_samples', 'system.slots_per_node']);
  });
});

describe('holdfast compare', () => {
  let folder: string;
  const at = (name: string) => path.join(folder, name);
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'holdfast-compare-'));
    await writeReport(at('long'), { ...campaignOf(60), campaign: 'long' });
    await writeReport(at('short'), { ...campaignOf(20), campaign: 'short', spec: { ...SPEC, seed: 9 } });
    await writeReport(at('loss'), {
      ...campaignOf(5),
      spec: { ...SPEC, objectives: [{ metric: 'loss', direction: 'minimize', reduce: 'best' }] },
    });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('tells who is ahead, how it went and what differs, as text and as JSON, without a server', async () => {
    const told = await cliJson<Comparison & { differences: Difference[] }>('compare', at('long'), at('short'));
    expect(told.equalTrials).toBe(20);
    // The same trials in the same order: level at equal trials, and the long one is ahead in the end.
    expect(told.campaigns[0]?.atEqualTrials.value).toBe(told.campaigns[1]?.atEqualTrials.value);
    expect(told.campaigns[0]?.end.regret).toBe(0);
    expect(told.differences).toEqual([{ key: 'sampler.seed', values: ['7', '9'] }]);
    const { exit, out } = await cli('compare', at('long'), at('short'));
    expect(exit).toBe(0);
    expect(out).toContain('At 20 trials each: long and short are level.');
    expect(out).toMatch(/^long +completed +60 +\d+/m);
    expect(out).toMatch(/^sampler\.seed +7 +9$/m);
  });

  it('asks for a direction where tables have none, and compares like with like only', async () => {
    await writeFile(at('a.jsonl'), '{"number": 1, "state": "completed", "params": {"x": 1}, "values": {"loss": 3}}\n');
    await writeFile(at('b.jsonl'), '{"number": 1, "state": "completed", "params": {"x": 1}, "values": {"loss": 2}}\n');
    expect(await cli('compare', at('a.jsonl'), at('b.jsonl'))).toMatchObject({
      exit: 2,
      err: expect.stringContaining('--direction minimize'),
    });
    const told = await cliJson<Comparison>('compare', at('a.jsonl'), at('b.jsonl'), '--direction', 'minimize', '--optimum', '1');
    expect(told.campaigns.map(({ end }) => end.regret)).toEqual([2, 1]);
    await writeFile(at('empty.jsonl'), '');
    expect(await cli('compare', at('a.jsonl'), at('empty.jsonl'), '--direction', 'minimize')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('different objectives (minimize loss; none)'),
    });
    expect(await cli('compare', at('long'), at('loss'))).toMatchObject({
      exit: 2,
      err: expect.stringContaining('different objectives (maximize val_accuracy; minimize loss)'),
    });
    expect(await cli('compare', at('long'))).toMatchObject({ exit: 2 });
  });
});
