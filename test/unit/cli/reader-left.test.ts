import { PassThrough } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { endWithReader } from '../../../src/cli/io.ts';

const failure = (code: string) => Object.assign(new Error(`write ${code}`), { code });

describe('a command whose reader has gone', () => {
  it('ends as at Ctrl-C, however often it still writes', () => {
    const [stream, leave] = [new PassThrough(), vi.fn()];
    endWithReader(stream, leave);
    stream.emit('error', failure('EPIPE'));
    stream.emit('error', failure('EPIPE'));
    expect(leave).toHaveBeenCalled();
  });

  it('is not what a full disk is', () => {
    const [stream, leave] = [new PassThrough(), vi.fn()];
    endWithReader(stream, leave);
    expect(() => stream.emit('error', failure('ENOSPC'))).toThrow('ENOSPC');
    expect(leave).not.toHaveBeenCalled();
  });
});
