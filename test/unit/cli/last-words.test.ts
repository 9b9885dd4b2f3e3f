import { expect, it } from 'vitest';
import { endText } from '../../../src/cli/watch.ts';

it('the last words about a campaign in which no trial completed are those of one of its trials', () => {
  const result = {
    status: 'failed',
    elapsedSeconds: 9,
    stopReason: 'No trial completed (10 failed). The first 10 trials all failed with exit_code.',
    counts: { total: 10, queued: 0, completed: 0, pruned: 0, failed: 10, cancelled: 0 },
    lastWords: { number: 3, lines: ['Traceback', 'NameError: modle'] },
    resultsDirectory: 'results/mine',
  };
  expect(endText('mine-1', { kind: 'failed', status: 'failed', message: result.stopReason, result } as never)).toBe(
    [
      '',
      'mine-1 failed after 9 s: No trial completed (10 failed). The first 10 trials all failed with exit_code.',
      '0 trials completed, 10 failed (see holdfast errors mine-1)',
      'no trial has a result',
      'the last that trial 3 said:',
      '  Traceback',
      '  NameError: modle',
      'results: results/mine',
      '',
    ].join('\n'),
  );
});
