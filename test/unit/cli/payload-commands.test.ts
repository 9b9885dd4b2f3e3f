import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyze } from '../../../src/cli/analyze.ts';
import { data } from '../../../src/cli/data.ts';
import type { CliIo } from '../../../src/cli/io.ts';
import { optionWords } from '../../../src/cli/payload-script.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-payload-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function terminal(env: Record<string, string> = {}): { io: CliIo; out: () => string; errors: () => string } {
  const texts = { out: '', errors: '' };
  const sink = (name: keyof typeof texts) =>
    new Writable({
      write(piece, _encoding, done) {
        texts[name] += String(piece);
        done();
      },
    });
  const { HOLDFAST_PYTHON } = process.env;
  const all = HOLDFAST_PYTHON === undefined ? env : { HOLDFAST_PYTHON, ...env };
  const io: CliIo = {
    env: all,
    input: process.stdin,
    output: sink('out'),
    errors: sink('errors'),
    interrupted: new AbortController().signal,
  };
  return { io, out: () => texts.out, errors: () => texts.errors };
}

describe('holdfast data', () => {
  it('names each file that is missing, and fails', async () => {
    const { io, out } = terminal();
    expect(await data('cifar100', path.join(folder, 'none'), { verify: true, json: true }, io)).toBe('failed');
    const report = JSON.parse(out());
    expect(report.files.map((row: { name: string; problem: string }) => `${row.name} ${row.problem}`)).toEqual([
      'train missing',
      'test missing',
      'meta missing',
    ]);
  });

  it('refuses a file that is not the archive', async () => {
    const file = path.join(folder, 'other.tgz');
    writeFileSync(file, 'no archive');
    const { io, errors } = terminal();
    expect(await data('cifar100', path.join(folder, 'd'), { from: file }, io)).toBe('failed');
    expect(errors()).toContain("is not CIFAR-100's archive");
    expect(errors()).toMatch(/\[HF-SCRIPT\]\n$/);
    expect(errors()).not.toContain('error: ');
  });

  it('refuses modes that exclude each other as wrong usage', async () => {
    expect(await data('cifar100', folder, { verify: true, generate: true }, terminal().io)).toBe('usage');
  });

  it('refuses a data set that it does not know', async () => {
    await expect(data('cifar10', folder, {}, terminal().io)).rejects.toThrow('Holdfast can fetch: cifar100');
  });

  it('says what to do when there is no Python', async () => {
    const { io } = terminal({ HOLDFAST_PYTHON: path.join(folder, 'no-python') });
    await expect(data('cifar100', folder, { verify: true }, io)).rejects.toThrow('Name a Python in HOLDFAST_PYTHON');
  });
});

describe('holdfast analyze', () => {
  it('counts the results below a folder', async () => {
    const trial = path.join(folder, 'results', 'job_1', 'attempt-1');
    mkdirSync(trial, { recursive: true });
    writeFileSync(path.join(trial, 'results.json'), JSON.stringify({ val_auc: 0.5, final_accuracy: 0.6, hyperparameters: { lr: 0.1 } }));
    const { io, out } = terminal();
    expect(await analyze(path.join(folder, 'results'), { json: true }, io)).toBe('ok');
    const summary = JSON.parse(out());
    expect(summary).toMatchObject({ trials: 1, counts: { completed: 1 }, best: { objective: 0.5, hyperparameters: { lr: 0.1 } } });
  });

  it('refuses a file that cannot be written as wrong usage', async () => {
    const { io, errors } = terminal();
    expect(await analyze(folder, { out: '/proc/none/summary.json' }, io)).toBe('usage');
    expect(errors()).toBe('--out /proc/none/summary.json cannot be written: No such file or directory. Name another place. [HF-SCRIPT]\n');
  });

  it('fails where there is nothing', async () => {
    const { io, errors } = terminal();
    expect(await analyze(path.join(folder, 'nothing-here'), {}, io)).toBe('failed');
    expect(errors()).toContain('is no folder');
  });
});

describe('optionWords', () => {
  it('turns options into the words of a command line and leaves out what is absent', () => {
    expect(optionWords({ trainImages: 100, verify: true, json: false, from: undefined, url: 'http://x/ y' })).toEqual([
      '--train-images',
      '100',
      '--verify',
      '--url',
      'http://x/ y',
    ]);
  });
});
