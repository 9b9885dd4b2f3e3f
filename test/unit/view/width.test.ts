import { describe, expect, it } from 'vitest';
import { columns } from '../../../src/view/format.ts';
import { clip, displayWidth, visible } from '../../../src/view/width.ts';

describe('the width of text', () => {
  it.each([
    ['', 0],
    ['resnet18', 8],
    ['größe', 5],
    ['gro\u0308ße', 5],
    ['日本語', 6],
    ['🚀', 2],
    ['█░–…▁', 5],
  ])('of %s is %d columns', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  it('is what text is cut to, and no character is cut in two', () => {
    expect(clip('abcdef', 6)).toBe('abcdef');
    expect(clip('abcdef', 5)).toBe('abcd…');
    expect(clip('日本語', 5)).toBe('日本…');
    expect(clip('日本語', 4)).toBe('日…');
    expect(clip('a🚀🚀', 4)).toBe('a🚀…');
    expect(clip('abc', 0)).toBe('…');
  });

  it('aligns columns', () => {
    expect(
      columns([
        ['name', 'n'],
        ['日本', '1'],
        ['ab', '10'],
      ]),
    ).toEqual(['name   n', '日本   1', 'ab    10']);
  });
});

describe('text from elsewhere', () => {
  it('moves no cursor: breaks, escapes and bells are written out', () => {
    expect(visible('a\nb\tc')).toBe('a\\nb\\tc');
    expect(visible('\u001b[2J\u0007\u007f\u0085\u2028')).toBe('\\u001b[2J\\u0007\\u007f\\u0085\\u2028');
    expect(visible('größe 日本 🚀')).toBe('größe 日本 🚀');
  });
});
