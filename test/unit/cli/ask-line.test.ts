import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { askLine } from '../../../src/cli/ask-line.ts';

/** What is typed, and whether the input ends then. */
function typed(text: string, ends: boolean): PassThrough {
  const input = new PassThrough();
  if (ends) input.end(text);
  else input.write(text);
  return input;
}

describe('a question', () => {
  it.each([
    ['yes\n', true, 'yes'],
    ['yes\n', false, 'yes'],
    ['yes', true, 'yes'],
    ['\n', false, ''],
    ['', true, undefined],
  ])('to which %j is typed (the input ends: %s) is answered %j, never for ever', async (text, ends, answer) => {
    expect(await askLine(typed(text, ends), new PassThrough(), 'Sure? ')).toBe(answer);
  });

  it('is left by Ctrl-C, before it is asked too', async () => {
    const interrupt = new AbortController();
    const first = askLine(typed('', false), new PassThrough(), 'Sure? ', interrupt.signal);
    interrupt.abort();
    expect(await first).toBeUndefined();
    expect(await askLine(typed('', false), new PassThrough(), 'Sure? ', interrupt.signal)).toBeUndefined();
  });
});
