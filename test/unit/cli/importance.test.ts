import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readResults } from '../../../src/report/read-results.ts';
import { writeReport } from '../../../src/report/write.ts';
import { cli, cliJson } from '../../support/cli.ts';
import { campaignOf } from '../report/campaign.ts';

let folder: string;
let results: string;
const input = campaignOf(80);

interface Told {
  readonly parameters: readonly { readonly name: string; readonly share: number; readonly best: readonly (number | string)[] }[];
  readonly results: number;
  readonly warnings: readonly string[];
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-importance-'));
  results = path.join(folder, 'digits-1');
  await writeReport(results, input);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a results folder', () => {
  it('is read back as the campaign it was written from', () => {
    const read = readResults(results);
    expect(read).toMatchObject({ campaign: 'digits-1', status: 'completed', isDirectionKnown: true, startedAt: input.startedAt });
    expect(read.spec).toEqual(input.spec);
    expect(
      read.rows.map(({ number, state, params, values, runSeconds, finishedAt }) => [number, state, params, values, runSeconds, finishedAt]),
    ).toEqual(
      input.rows.map(({ number, state, params, values, runSeconds, finishedAt }) => [
        number,
        state,
        params,
        values,
        runSeconds,
        Math.floor(finishedAt ?? 0),
      ]),
    );
  });

  it('with a broken line is refused with its place', async () => {
    const file = path.join(folder, 'broken.jsonl');
    await writeFile(
      file,
      '{"number": 1, "state": "completed", "params": {"x": 1}, "values": {"loss": 1}}\n{"number": 2, "state": "done"}\n',
    );
    expect(() => readResults(file)).toThrow(/broken\.jsonl:2 is no trial of Holdfast: state/);
  });
});

describe('holdfast importance', () => {
  it('names the parameter that the objective depends on, without a server, as text and as JSON', async () => {
    const told = await cliJson<Told>('importance', results);
    expect(told.results).toBe(input.rows.filter((row) => row.state === 'completed').length);
    // campaignOf: the learning rate bends the curve by 0.09 per decade squared around 10^-2.6, everything else is small.
    expect(told.parameters[0]?.name).toBe('learning_rate');
    expect(told.parameters[0]?.share).toBeGreaterThan(0.6);
    expect(told.parameters.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    const [low = 0, high = 0] = (told.parameters[0]?.best ?? []) as number[];
    expect(low).toBeLessThan(10 ** -2.6);
    expect(high).toBeGreaterThan(10 ** -2.6);
    expect(told.warnings).toEqual([]);
    const { exit, out } = await cli('importance', results);
    expect(exit).toBe(0);
    expect(out).toMatch(/^val_accuracy of digits-1, \d+ results \(fANOVA\)\nparameter +share/);
    expect(out).toMatch(/^learning_rate +\d+ % {2}█{10,} +\S+ to \S+$/m);
  });

  it('takes for the best trials only those that keep the conditions on metrics, also with --quantile, and says when there are none', async () => {
    const metricConstraints = [{ metric: 'gb', op: '<=', bound: 40 }] as const;
    // The larger half of the learning rates, the best ones among them, takes too much memory.
    const edge = 10 ** -2.8;
    const rows = input.rows.map((row) => ({ ...row, constraintValues: [(row.params.learning_rate as number) > edge ? 60 : 30] }));
    const constrained = path.join(folder, 'constrained');
    await writeReport(constrained, { ...input, rows, spec: { ...input.spec, metricConstraints } });
    const told = await cliJson<Told>('importance', constrained);
    const [, high = 1] = (told.parameters.find(({ name }) => name === 'learning_rate')?.best ?? []) as number[];
    expect(high).toBeLessThanOrEqual(edge);
    expect(told.warnings).toEqual([]);
    const shareOf = (all: Told) => all.parameters.find(({ name }) => name === 'learning_rate')?.share;
    const among = (folder: string) => cliJson<Told>('importance', folder, '--quantile', '0.2');
    expect(shareOf(await among(constrained))).not.toBeCloseTo(shareOf(await among(results)) ?? 0, 2);
    const broken = path.join(folder, 'broken');
    const spec = { ...input.spec, metricConstraints: [{ metric: 'gb', op: '<=', bound: 1 }] as const };
    await writeReport(broken, { ...input, rows, spec });
    const none = await among(broken);
    expect(none.warnings.join()).toContain('No trial keeps all metric_constraints');
    expect(none.parameters).toEqual((await among(results)).parameters);
  });

  it('tells with --quantile what matters for being among the best', async () => {
    const told = await cliJson<Told & { method: string }>('importance', results, '--quantile', '0.2');
    expect(told).toMatchObject({ method: 'ped-anova', parameters: [{ name: 'learning_rate' }, {}, {}, {}, {}, {}] });
    expect(told.parameters.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    expect((await cli('importance', results, '--quantile', '0.2')).out).toContain('(PED-ANOVA, best 20 %)');
    for (const wrong of ['0', '1', '1.5', 'some']) expect((await cli('importance', results, '--quantile', wrong)).exit).toBe(2);
  });

  it('reads a table alone, says that its space is guessed, and takes the true one', async () => {
    const alone = path.join(folder, 'alone.jsonl');
    await writeFile(
      alone,
      Array.from({ length: 30 }, (_, i) =>
        JSON.stringify({ number: i + 1, state: 'completed', params: { x: i / 30, kind: 'ab'[i % 2] }, values: { loss: i } }),
      ).join('\n'),
    );
    const guessed = await cliJson<Told>('importance', alone);
    expect(guessed.parameters[0]?.name).toBe('x');
    expect(guessed.warnings.join()).toContain('--space FILE');
    const space = path.join(folder, 'space.yaml');
    await writeFile(space, 'x: {type: float, min: 0, max: 1}\nkind: {type: categorical, values: [a, b]}\n');
    const [first] = (await cliJson<Told>('importance', alone, '--space', space, '--direction', 'minimize')).parameters;
    // The loss is i, so the best fifth has the smallest x.
    expect(first).toMatchObject({ name: 'x', best: [0, expect.closeTo(5 / 30, 9)] });
  });

  it('says that large was taken for best where nobody says what is, and takes the direction of --direction or of the space file', async () => {
    const alone = path.join(folder, 'alone.jsonl');
    const space = path.join(folder, 'whole.yaml');
    await writeFile(
      space,
      'search_space:\n  x: {type: float, min: 0, max: 1}\n  kind: {type: categorical, values: [a, b]}\nobjective: {metric: loss, direction: minimize}\n',
    );
    const undirected = await cliJson<Told>('importance', alone, '--quantile', '0.2');
    expect(undirected.warnings.join()).toContain('large was taken for best; --direction minimize');
    const best = (told: Told) => told.parameters.find(({ name }) => name === 'x')?.best[0];
    expect(best(undirected)).toBeGreaterThan(0.7);
    for (const words of [
      ['--space', space],
      ['--direction', 'minimize', '--space', space],
    ]) {
      const told = await cliJson<Told>('importance', alone, '--quantile', '0.2', ...words);
      expect(told.warnings).toEqual([]);
      expect(best(told)).toBe(0);
    }
  });

  it('exits 1 on too few results, 2 on what is no campaign, folder or objective', async () => {
    const few = path.join(folder, 'few');
    await writeReport(few, campaignOf(3));
    expect(await cli('importance', few)).toMatchObject({ exit: 1, err: expect.stringContaining('importance needs at least 4') });
    const empty = path.join(folder, 'empty.jsonl');
    await writeFile(empty, '');
    expect(await cli('importance', empty)).toMatchObject({
      exit: 1,
      err: expect.stringContaining('0 results; importance needs at least 4.'),
    });
    expect(await cli('importance', folder)).toMatchObject({ exit: 2, err: expect.stringContaining('holds no trials.jsonl') });
    expect(await cli('importance', './nowhere')).toMatchObject({ exit: 2, err: expect.stringContaining('is not there') });
    expect(await cli('importance', results, '--objective', 'loss')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('It has: val_accuracy'),
    });
  });
});
