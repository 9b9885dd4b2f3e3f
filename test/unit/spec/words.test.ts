import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandWords } from '../../../src/spec/command-words.ts';
import { formatDuration, parseDuration } from '../../../src/spec/durations.ts';
import { parseSize } from '../../../src/spec/sizes.ts';

describe('a duration', () => {
  it.each([
    [90, 90],
    ['90', 90],
    ['90s', 90],
    ['1.5h', 5400],
    ['15 min', 900],
    ['1d 6h', 108_000],
    ['2 weeks', 1_209_600],
    ['01:30:00', 5400],
    ['168:00:00', 604_800],
    ['2-00:00:10', 172_810],
    ['6 H', 21_600],
    ['', undefined],
    ['h', undefined],
    ['6 parsecs', undefined],
    ['-5m', undefined],
    ['1:2', undefined],
    [Number.NaN, undefined],
  ])('%j is %j seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each([
    [90, '90 s'],
    [120, '2 min'],
    [3600, '1 h'],
    [5400, '1.5 h'],
    [604_800, '7 d'],
  ])('%d seconds are shown as %s, which reads back', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
    expect(parseDuration(text)).toBe(seconds);
  });
});

describe('a size', () => {
  it.each([
    [1000, 1000],
    ['64MiB', 67_108_864],
    ['1.5 GB', 1_500_000_000],
    ['12', 12],
    ['1 potato', undefined],
    ['-1', undefined],
  ])('%j is %j bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe('the words of a command', () => {
  it.each([
    ['python train.py', ['python', 'train.py']],
    ['  a   b  ', ['a', 'b']],
    ['a "b c" d', ['a', 'b c', 'd']],
    ['a \'b "c"\' d', ['a', 'b "c"', 'd']],
    ['a --x="y z"', ['a', '--x=y z']],
    ['a ""', ['a', '']],
    ['a\\ b c', ['a b', 'c']],
    ['a "b\\"c"', ['a', 'b"c']],
    ["a '$HOME *'", ['a', '$HOME *']],
    ['a $HOME *', ['a', '$HOME', '*']],
    ['{python} {code}/train.py --p {params_file}', ['{python}', '{code}/train.py', '--p', '{params_file}']],
    ['', []],
  ])('of %j are %j', (line, words) => {
    expect(commandWords(line)).toEqual(words);
  });

  it.each(['a | b', 'a && b', 'a; b', 'a > b', 'a < b', 'a `b`', 'a & '])('%j is refused: it means something to a shell only', (line) => {
    expect(() => commandWords(line)).toThrow('no shell reads the command');
  });

  it('come back from any words in quotes', () => {
    const word = fc.string({ minLength: 1 }).filter((text) => !text.includes("'"));
    fc.assert(
      fc.property(fc.array(word), (words) => {
        expect(commandWords(words.map((each) => `'${each}'`).join(' '))).toEqual(words);
      }),
    );
  });
});
