import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { type Client, ServiceError } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { mayAnswer } from '../../../src/cli/absent-worker.ts';
import { statusOrEnd } from '../../../src/cli/look-commands.ts';

const dead = `${spawnSync('true').pid}@${hostname()}`;
const alive = `${process.pid}@${hostname()}`;

/** A server that remembers these workers, and a campaign that nobody answers for; tells how long each question would have waited, in milliseconds. */
function serverWith(workers: readonly string[], status: 'RUNNING' | 'COMPLETED', askedSecondsAgo = 0) {
  const waits: number[] = [];
  const handle = {
    workflowId: 'digits-1',
    client: {
      withDeadline: (end: number, question: () => unknown) => {
        waits.push(end - Date.now());
        return question();
      },
    },
    query: () => Promise.reject(new ServiceError('Failed to query Workflow', { cause: { details: 'no poller' } as unknown as Error })),
    describe: () => Promise.resolve({ status: { name: status } }),
    result: () => Promise.resolve({ status: 'completed' }),
  };
  const lastAccessTime = { seconds: Date.now() / 1000 - askedSecondsAgo };
  const client = {
    options: { namespace: 'default' },
    workflowService: { describeTaskQueue: () => Promise.resolve({ pollers: workers.map((identity) => ({ identity, lastAccessTime })) }) },
    workflow: { getHandle: () => handle },
  };
  return { client: client as unknown as Client, waits };
}

describe('a worker that the server remembers', () => {
  it.each([
    ['of a process of this computer that lives', [alive], 0, true],
    ['of another computer', [dead.replace(hostname(), 'elsewhere')], 0, true],
    ['with a name of its own', ['anybody'], 0, true],
    ['of a process of this computer that is gone', [dead], 0, false],
    ['of two processes, one of them gone', [dead, alive], 0, true],
    ['that has not asked for work for minutes', [alive], 200, false],
    ['is none', [], 0, false],
  ])('%s', async (_, workers, askedSecondsAgo, expected) => {
    expect(await mayAnswer(serverWith(workers, 'RUNNING', askedSecondsAgo).client)).toBe(expected);
  });
});

describe('the status of a campaign that nobody answers for', () => {
  it('that ended is told from its result after two seconds when the workers are gone, after ten when one may answer', async () => {
    for (const [workers, milliseconds] of [
      [[dead], 2_000],
      [[alive], 10_000],
    ] as const) {
      const { client, waits } = serverWith(workers, 'COMPLETED');
      expect(await statusOrEnd(client, 'digits-1')).toEqual({ ended: { kind: 'result', result: { status: 'completed' } } });
      expect(waits).toEqual([expect.closeTo(milliseconds, -4)]);
    }
  });

  it('that runs is waited for in any case: a worker that is back answers', async () => {
    const { client, waits } = serverWith([dead], 'RUNNING');
    await expect(statusOrEnd(client, 'digits-1')).rejects.toThrow('No worker answers for digits-1');
    expect(waits).toEqual([expect.closeTo(10_000, -4)]);
  });
});
