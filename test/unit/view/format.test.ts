import { describe, expect, it } from 'vitest';
import { age, columns, duration, instant, measured, percent, plain, short, withMargin } from '../../../src/view/format.ts';
import { llmLine, savingLine } from '../../../src/view/progress.ts';

describe('numbers', () => {
  it.each([
    [0.35, '0.3500'],
    [0, '0.000'],
    [12.3456, '12.35'],
    [999.96, '1000'],
    [12345.6, '12346'],
    [0.0000123456, '1.235e-5'],
    [-0.5, '-0.5000'],
    [1e12, '1.000e+12'],
    [Number.NaN, 'NaN'],
  ])('a measured %d has four significant digits: %s', (value, text) => {
    expect(measured(value)).toBe(text);
  });

  it.each([
    [0.35, '0.35'],
    [1e-5, '1e-5'],
    [0.00012345, '1.234e-4'],
    [128, '128'],
    [10_000_000, '10000000'],
    [0.016_234_5, '0.01623'],
    [1.5e7 + 0.5, '1.5e7'],
    ['resnet18', 'resnet18'],
    ['two\nlines', 'two\\nlines'],
    [true, 'true'],
  ])('a parameter %s is as short as four digits allow: %s', (value, text) => {
    expect(short(value)).toBe(text);
  });
});

describe('times', () => {
  it.each([
    [0, '0 s'],
    [59.4, '59 s'],
    [60, '1 min'],
    [3 * 3600 + 700, '3 h'],
    [30 * 3600, '30 h'],
    [5 * 86_400, '5 d'],
    [-4, '0 s'],
    [Number.NaN, '0 s'],
  ])('%d seconds are an age of %s', (seconds, text) => {
    expect(age(seconds)).toBe(text);
  });

  it.each([
    [48, '48 s'],
    [125, '2 min 5 s'],
    [3 * 3600 + 12 * 60 + 5, '3 h 12 min'],
    [86_400, '1 d'],
    [28 * 3600, '1 d 4 h'],
  ])('%d seconds last %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it('an instant names its zone', () => {
    expect(instant(Date.UTC(2026, 10, 23, 14, 5, 59))).toBe('2026-11-23 14:05 UTC');
    expect(instant(Number.NaN)).toBe('unknown');
  });

  it('a share is a whole percentage', () => {
    expect(percent(0.934)).toBe('93 %');
  });
});

describe('text', () => {
  it('text from a training cannot become markup', () => {
    expect(plain('<script>`x`\n\n# [a](b) *c*')).toBe('\\<script\\>\\`x\\` # \\[a\\](b) \\*c\\*');
  });

  it('columns of numbers are right-aligned, words are not', () => {
    expect(
      columns([
        ['trial', 'model'],
        ['9', 'a'],
        ['10', 'bc'],
      ]),
    ).toEqual(['trial  model', '    9  a', '   10  bc']);
  });
});

describe('what a language model cost', () => {
  it('is one line: calls, tokens, trials, and that the limit is reached', () => {
    const totals = { calls: 14, promptTokens: 16000, completionTokens: 800, trials: 9 };
    expect(llmLine(totals)).toBe('14 calls · 16800 tokens · 9 trials, 1867 tokens each');
    const limit = { calls: 14, tokens: 20_000 };
    expect(llmLine({ ...totals, limit })).toBe(
      '14 of 14 calls · 16800 of 20000 tokens · 9 trials, 1867 tokens each · the limit is reached: the sampler goes on alone',
    );
    expect(llmLine({ ...totals, trials: 0 })).toContain('no trial of its own yet');
  });
});

describe('what early stopping saved', () => {
  const counts = { total: 9, queued: 0, completed: 2, pruned: 7, failed: 0, cancelled: 0 };
  it('is one line: slot-hours, node-hours where they are known, trials', () => {
    expect(savingLine({ savedHours: 12.5, counts })).toBe('12.50 slot-hours, 7 trials stopped early or paused');
    expect(savingLine({ savedHours: 12.5, savedNodeHours: 12.5 / 12, counts })).toBe(
      '12.50 slot-hours (1.042 node-hours), 7 trials stopped early or paused',
    );
  });
});

describe('details for the Web UI', () => {
  it('end with two paragraphs that show nothing, so that what its frame cuts off is empty', () => {
    expect(withMargin('- last line').split('\n\n')).toEqual(['- last line', '\u00a0', '\u00a0']);
  });
});
