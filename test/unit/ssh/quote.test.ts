import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quoteCommand, quoteSftpPath, quoteWord } from '../../../src/ssh/quote.ts';

/** Any text a POSIX argument can carry, with the characters that shells care about often. */
const word = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom("'", '"', '\\', '$', '`', '!', '\n', ' ', '*', '~', '#', ';', '&', '(', '{', '\t', 'a', 'é', '-', '='),
  }),
);
const argument = word.map((text) => Buffer.from(text.replaceAll('\0', '')).toString('utf8'));

describe('quoteWord', () => {
  it.each(['bash', 'dash'])('gives every word back unchanged through %s', (shell) => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1, maxLength: 40 }), (words) => {
        const script = `printf '%s\\0' ${quoteCommand(words)}`;
        const out = execFileSync(shell, ['-c', script]);
        expect(out.toString('utf8').split('\0').slice(0, -1)).toEqual(words);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves plain words as they are, so that logged commands stay readable', () => {
    expect(quoteCommand(['qstat', '-x', '-f', '-w', '123.server'])).toBe('qstat -x -f -w 123.server');
  });

  it('quotes the empty word', () => {
    expect(quoteWord('')).toBe("''");
  });

  it('quotes a leading tilde and an assignment, which a shell would take for its own', () => {
    expect(quoteWord('~root')).toBe("'~root'");
    expect(execFileSync('dash', ['-c', `printf %s ${quoteWord('A=1')}`]).toString()).toBe('A=1');
  });

  it('refuses NUL, which would end the argument silently', () => {
    expect(() => quoteWord('a\0b')).toThrow(/NUL/);
  });
});

describe('quoteSftpPath', () => {
  it('refuses line breaks, which would start another sftp command', () => {
    expect(() => quoteSftpPath('/a\nrm b')).toThrow(/line break/);
  });

  it('escapes what sftp and its glob would read', () => {
    expect(quoteSftpPath('/a b/[x]*"\\')).toBe('/a\\ b/\\[x\\]\\*\\"\\\\');
  });
});
