import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CODE_TABLE, httpError, retryAfterSeconds, STATUS_TABLE } from '../../../src/systems/globus/http-errors.ts';
import { RequestBudget, sharedBudget } from '../../../src/systems/globus/request-budget.ts';
import { judgeTaskFailure, lastLine, TASK_ERROR_TABLE } from '../../../src/systems/globus/task-errors.ts';

const cases = (
  JSON.parse(readFileSync(new URL('../../fixtures/globus/worker_results.json', import.meta.url), 'utf8')) as {
    cases: Record<string, { data: string; error_details: null | { code: string } }>;
  }
).cases;

describe('texts of the real worker', () => {
  it.each([
    ['raises', 'unknown_error', false],
    ['chained', 'unknown_error', false],
    ['syntax', 'unknown_error', false],
    ['missing_import', 'environment_error', false],
    ['bad_arguments', 'unknown_error', false],
    ['not_json', 'configuration_error', false],
    ['too_large', 'too_large', false],
    ['allow_list', 'configuration_error', false],
  ])('%s is %s', (name, failure, infrastructure) => {
    expect(judgeTaskFailure(cases[name]?.data ?? '')).toMatchObject({ class: failure, infrastructure });
  });

  it('the allow-list refusal is recognised although its last line is the list itself', () => {
    expect(lastLine(cases.allow_list?.data ?? '')).toMatch(/Allowed serializers/);
  });
});

describe('infrastructure texts', () => {
  const wrap = (text: string) => `${'+'.repeat(68)}\nTraceback (most recent call last):\n${text}\n${'-'.repeat(68)}\n`;
  it.each([
    ['parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker 0 on host n1', 'node_failure', true],
    ['parsl.executors.high_throughput.errors.ManagerLost: Task failure due to loss of manager b"x" on host n1', 'node_failure', true],
    ['parsl.executors.errors.BadStateException: Executor failed due to: qsub: Unauthorized Request', 'node_failure', true],
    ['parsl.executors.errors.InvalidResourceSpecification: num_nodes', 'configuration_error', false],
    ['parsl.app.errors.AppTimeout: [num:0] App timed out', 'timeout', false],
    ['OSError: [Errno 28] No space left on device', 'storage', true],
    ['OSError: [Errno 122] Disk quota exceeded', 'storage', true],
    ['PermissionError: [Errno 13] Permission denied', 'filesystem_error', true],
    ['ConnectionResetError: [Errno 104]', 'network_error', true],
    ['MemoryError', 'resource_error', false],
  ])('%s is %s', (text, failure, infrastructure) => {
    expect(judgeTaskFailure(wrap(text))).toMatchObject({ class: failure, infrastructure });
  });

  it('every row of the table is reached by some text of its own', () => {
    for (const row of TASK_ERROR_TABLE) expect(row.say.endsWith('.'), row.say).toBe(true);
    expect(judgeTaskFailure('').class).toBe('unknown_error');
  });
});

describe('HTTP answers', () => {
  it('every status from 300 to 599 has a meaning and every code name keeps it or sharpens it', () => {
    for (let status = 300; status < 600; status++) expect(httpError(status, '{}', null, 'GET /x').code).toMatch(/^HF-GLOBUS-/);
    for (const name of Object.keys(CODE_TABLE)) expect(httpError(400, JSON.stringify({ code: name }), null, 'x').serviceCode).toBe(name);
    expect(STATUS_TABLE.every((row) => row.next.endsWith('.'))).toBe(true);
  });

  it('validation errors are told with their place', () => {
    const error = httpError(422, '{"detail":[{"loc":["body","tasks"],"msg":"field required","type":"missing"}]}', null, 'POST /submit');
    expect(error.message).toContain('body.tasks: field required');
  });

  it.each([
    ['5', 5],
    ['0.5', 0.5],
    ['99999', 3_600],
    ['Thu, 01 Jan 1970 00:00:30 GMT', 20],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('Retry-After %j is %j seconds', (header, seconds) => {
    expect(retryAfterSeconds(header, 10_000)).toBe(seconds);
  });
});

describe('the request budget', () => {
  it('is one for all campaigns of a process that ask the same service', () => {
    expect(sharedBudget('https://one.example')).toBe(sharedBudget('https://one.example'));
    expect(sharedBudget('https://one.example')).not.toBe(sharedBudget('https://two.example'));
  });

  it('never lets more than its number through in any window', async () => {
    // By a clock that the test moves: a machine that lets a caller wait would make windows look shorter than they were.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const sent: number[] = [];
    const budget = new RequestBudget(5, 0.2);
    const callers = Array.from({ length: 18 }, async () => {
      await budget.acquire();
      sent.push(performance.now());
    });
    await vi.advanceTimersByTimeAsync(1000);
    await Promise.all(callers);
    for (let index = 5; index < sent.length; index++)
      expect((sent[index] as number) - (sent[index - 5] as number)).toBeGreaterThanOrEqual(200);
  });

  it('a caller that gives up does not stop those behind it, and a pause holds everybody', async () => {
    const budget = new RequestBudget(1, 0.1);
    await budget.acquire();
    const stop = new AbortController();
    const gone = budget.acquire(stop.signal);
    const next = budget.acquire();
    stop.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    await next;
    const before = performance.now();
    budget.pause(0.3);
    await budget.acquire();
    expect(performance.now() - before).toBeGreaterThan(280);
  });
});
