import { execFileSync } from 'node:child_process';
import { chmod, lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ReportError, writeAtomically } from '../../../src/report/atomic.ts';
import { statistics } from '../../../src/report/statistics.ts';
import { summarize, summarySchema } from '../../../src/report/summary.ts';
import { toCsv, toJsonLines, trialRecords } from '../../../src/report/trial-records.ts';
import { writeReport } from '../../../src/report/write.ts';
import { campaignOf } from './campaign.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-report-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('trials.jsonl and trials.csv', () => {
  const records = trialRecords(campaignOf(40));

  it('hold one line per trial, failed ones without values', () => {
    const lines = toJsonLines(records)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(40);
    expect(lines.filter((line) => line.state === 'failed').every((line) => line.values === null && line.failure.class !== '')).toBe(true);
    expect(lines[0]).toMatchObject({ number: 1, trial: 'trial-0001', workflow_id: 'digits-1/trial-0001', slot: 0, host: 'laptop' });
  });

  it('are read alike by a CSV parser: quotes, commas and empty cells survive', () => {
    const csv = toCsv(records);
    const read = execFileSync('python3', ['-c', 'import csv,json,sys; print(json.dumps(list(csv.DictReader(sys.stdin))))'], { input: csv });
    const rows = JSON.parse(read.toString()) as Record<string, string>[];
    expect(rows).toHaveLength(40);
    expect(rows[4]?.failure_message).toBe('exit code 3: ValueError: <b>bad</b> "quote", comma');
    expect(rows.map((row) => Number(row['param.learning_rate']))).toEqual(records.map((record) => record.params.learning_rate));
    expect(rows.filter((row) => row['param.activation'] !== 'relu').every((row) => row['param.dropout'] === '')).toBe(true);
  });

  it('a spreadsheet does not run a parameter as a formula', () => {
    const [record] = records;
    if (record === undefined) throw new Error('no record');
    expect(toCsv([{ ...record, note: '=HYPERLINK("x")' }])).toContain(`"'=HYPERLINK(""x"")"`);
  });
});

describe('summary.json', () => {
  it('keeps its schema for 0, 1 and many trials, unfinished and ended', () => {
    for (const [count, status] of [
      [0, 'cancelled'],
      [1, 'running'],
      [5, 'stopped'],
      [200, 'completed'],
    ] as const) {
      const summary = summarize(campaignOf(count, status));
      expect(summarySchema.parse(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
      expect(summary.counts.total).toBe(count);
    }
  });

  it('counts every trial once and takes only completed trials for best and statistics', () => {
    const input = campaignOf(77);
    const { counts, best, statistics: known, success_rate } = summarize(input);
    expect(counts.completed + counts.pruned + counts.failed + counts.cancelled + counts.unfinished).toBe(77);
    const values = input.rows.filter((row) => row.state === 'completed').map((row) => row.values?.[0] as number);
    expect(best?.values.val_accuracy).toBe(Math.max(...values));
    expect(known.val_accuracy?.count).toBe(values.length);
    expect(success_rate).toBeCloseTo(values.length / (values.length + counts.failed), 12);
  });

  it('measures the front of several objectives by its hypervolume, feasible trials only', () => {
    const input = campaignOf(0);
    const trial = (number: number, values: number[], gigabytes: number) => ({
      number,
      params: {},
      origin: 'gp',
      state: 'completed' as const,
      attempts: 1,
      createdAt: 0,
      finishedAt: number,
      values,
      constraintValues: [gigabytes],
    });
    const objectives = [...input.spec.objectives, { metric: 'seconds', direction: 'minimize', reduce: 'result' } as const];
    const spec = { ...input.spec, objectives, metricConstraints: [{ metric: 'gb', op: '<=', bound: 40 }] as const };
    const rows = [trial(1, [0.9, 100], 30), trial(2, [0.5, 10], 30), trial(3, [0.99, 1], 50)];
    // Corner 0.46 and 109: 0.44 · 9 + 0.04 · 90.
    expect(summarize({ ...input, spec, rows }).hypervolume).toEqual({
      value: expect.closeTo(0.44 * 9 + 0.04 * 90, 9),
      corner: { val_accuracy: expect.closeTo(0.46, 9), seconds: expect.closeTo(109, 9) },
    });
    expect(summarize({ ...input, spec, rows: [] }).hypervolume).toBeNull();
    expect(summarize(campaignOf(5)).hypervolume).toBeNull();
  });

  it('says what early stopping has saved, at the pace of each pruned trial', () => {
    const input = campaignOf(0);
    const trial = (number: number, state: 'pruned' | 'completed', step: number, runSeconds: number) => ({
      number,
      params: {},
      origin: 'gp',
      state,
      attempts: 1,
      createdAt: 0,
      finishedAt: number,
      values: [0.5],
      step,
      runSeconds,
    });
    const rows = [trial(1, 'pruned', 10, 360), trial(2, 'completed', 50, 1800), trial(3, 'pruned', 25, 3600)];
    const pruner = { type: 'asha', minSteps: 5, maxSteps: 50, reductionFactor: 3, options: {} };
    const spec = { ...input.spec, pruner, training: { ...input.spec.training, slots: 2 } };
    // 40 steps of 36 s and 25 of 144 s: 1.4 trial-hours on two slots each.
    expect(summarize({ ...input, spec, rows }).early_stopping).toEqual({
      pruned: 2,
      saved_steps: 65,
      saved_slot_hours: expect.closeTo(2.8, 9),
      saved_node_hours: null,
    });
    const known = { ...input, spec, rows, provenance: { slots_per_node: '12' } };
    expect(summarize(known).early_stopping?.saved_node_hours).toBeCloseTo(2.8 / 12, 9);
    expect(summarize({ ...input, rows }).early_stopping).toBeNull();
  });

  it('and the tables say which trials trained on generated data', () => {
    const real = campaignOf(10);
    const input = {
      ...real,
      rows: real.rows.map((row) => (row.number <= 6 ? { ...row, synthetic: true as const } : row)),
    };
    const summary = summarize(input);
    const withResult = input.rows.filter((row) => row.number <= 6 && row.values !== undefined);
    expect(withResult.length).toBeLessThan(6);
    expect(summary.synthetic_trials).toBe(withResult.length);
    expect(summary.top.every((trial) => trial.synthetic === trial.number <= 6)).toBe(true);
    const records = trialRecords(input);
    expect(records.map((record) => record.synthetic)).toEqual(input.rows.map((row) => row.number <= 6));
    const [head, ...lines] = toCsv(records).trimEnd().split('\r\n');
    const column = head?.split(',').indexOf('synthetic') as number;
    expect(lines.map((line) => line.split(',')[column])).toEqual(records.map((record) => String(record.synthetic)));
    expect(summarize(real).synthetic_trials).toBe(0);
  });

  it('its page names every field', async () => {
    const page = await readFile('docs/results.md', 'utf8');
    const missing = Object.keys(summarySchema.shape).filter((name) => !page.includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });
});

describe('statistics', () => {
  it('agree with Python’s statistics module and leave out NaN', () => {
    const values = [0.5, 0.25, 0.125, 7, -3, 12.5];
    const python = execFileSync('python3', [
      '-c',
      `import statistics as s; v=${JSON.stringify(values)}; print(s.mean(v), s.stdev(v), s.median(v))`,
    ]);
    const [mean, std, median] = python.toString().trim().split(' ').map(Number);
    const ours = statistics([...values, Number.NaN]);
    expect(ours?.count).toBe(6);
    expect(ours?.mean).toBeCloseTo(mean as number, 12);
    expect(ours?.std).toBeCloseTo(std as number, 12);
    expect(ours?.median).toBe(median);
    expect(statistics([])).toBeUndefined();
    expect(statistics([4])).toMatchObject({ std: 0, median: 4 });
  });
});

describe('report files', () => {
  it('are five, written whole, and written again with the same content', async () => {
    const target = join(folder, 'twice');
    const paths = await writeReport(target, campaignOf(30));
    const first = await Promise.all(Object.values(paths).map((path) => readFile(path, 'utf8')));
    await writeReport(target, campaignOf(30));
    const second = await Promise.all(Object.values(paths).map((path) => readFile(path, 'utf8')));
    expect(second).toEqual(first);
    expect((await readdir(target)).sort()).toEqual(['campaign.json', 'report.html', 'summary.json', 'trials.csv', 'trials.jsonl']);
  });

  it('the page fetches nothing and nothing of a trial can become markup', async () => {
    const html = await readFile((await writeReport(join(folder, 'page'), campaignOf(30))).html, 'utf8');
    expect(html).not.toMatch(/<(script|link|img|iframe)[^>]+(src|href)=/);
    expect(html).toContain("default-src 'none'");
    const data = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)?.[1] ?? '';
    expect(data).not.toContain('<');
    expect(JSON.parse(data).trials).toHaveLength(30);
  });

  it('the page says which parameter matters once the campaign has ended, and nothing on few results', async () => {
    const read = async (count: number, status: 'completed' | 'running') => {
      const html = await readFile(
        (await writeReport(join(folder, `importance-${count}-${status}`), campaignOf(count, status))).html,
        'utf8',
      );
      return JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)?.[1] ?? '').importance;
    };
    const shares = await read(60, 'completed');
    // The made-up campaign's value is a parabola in the logarithm of the learning rate.
    expect(shares.learning_rate).toBeGreaterThan(0.5);
    expect(await read(60, 'running')).toEqual({});
    expect(await read(10, 'completed')).toEqual({});
  });

  it('the page keeps at most 200 curves, among them the best', async () => {
    const html = await readFile((await writeReport(join(folder, 'many'), campaignOf(900))).html, 'utf8');
    const data = JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)?.[1] ?? '');
    const curves = data.trials.filter((trial: { curve: unknown[] }) => trial.curve.length > 0);
    expect(curves.length).toBe(200);
    expect(curves.some((trial: { number: number }) => trial.number === data.summary.best.number)).toBe(true);
  });

  it('a folder whose name is taken by a file is told with the next step', async () => {
    const file = join(folder, 'taken');
    await writeFile(file, '');
    await expect(writeReport(file, campaignOf(2))).rejects.toThrow(/taken cannot be a folder/);
  });

  it.skipIf(process.getuid?.() === 0)('a folder that is not writable is told with the next step', async () => {
    const closed = join(folder, 'closed');
    await writeReport(closed, campaignOf(2));
    await chmod(closed, 0o500);
    await expect(writeReport(closed, campaignOf(2))).rejects.toThrow(/closed is not writable\. Give yourself/);
    await chmod(closed, 0o700);
  });

  it.runIf(canMount())('a full or read-only file system keeps the old file and is told with the next step', async () => {
    const mount = await mkdtemp(join(folder, 'full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mount]);
    try {
      const path = join(mount, 'trials.csv');
      await writeAtomically(path, 'old');
      const error = await writeAtomically(path, 'x'.repeat(200_000)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ReportError);
      expect((error as ReportError).code).toBe('HF-REPORT-FULL');
      expect(await readFile(path, 'utf8')).toBe('old');
      expect(await readdir(mount)).toEqual(['trials.csv']);
      execFileSync('mount', ['-o', 'remount,ro', mount]);
      await expect(writeReport(mount, campaignOf(2))).rejects.toThrow(/is on a read-only file system\. Choose another/);
    } finally {
      execFileSync('umount', [mount]);
    }
  });

  it('keeps a link a link, and writes into a pipe instead of putting a file in its place', async () => {
    const home = await mkdtemp(join(folder, 'places-'));
    const [file, link, pipe] = [join(home, 'real.csv'), join(home, 'link.csv'), join(home, 'pipe')];
    await writeAtomically(file, 'old');
    await symlink('real.csv', link);
    await writeAtomically(link, 'new');
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(file, 'utf8')).toBe('new');
    execFileSync('mkfifo', [pipe]);
    const [read] = await Promise.all([readFile(pipe, 'utf8'), writeAtomically(pipe, 'rows')]);
    expect(read).toBe('rows');
    expect((await lstat(pipe)).isFIFO()).toBe(true);
    expect((await readdir(home)).sort()).toEqual(['link.csv', 'pipe', 'real.csv']);
  });
});

/** Only root may mount a tmpfs, and containers often forbid it even then. */
function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    const probe = execFileSync('mktemp', ['-d']).toString().trim();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', probe], { stdio: 'ignore' });
    execFileSync('umount', [probe]);
    execFileSync('rmdir', [probe]);
    return true;
  } catch {
    return false;
  }
}
