import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DriverError } from '../../../src/systems/driver.ts';
import { createGlobusClient, type GlobusClient } from '../../../src/systems/globus/client.ts';
import { AmbiguousAnswerError } from '../../../src/systems/globus/http-errors.ts';
import { sendInParts, splitPayloads } from '../../../src/systems/globus/payload-parts.ts';
import { RequestBudget } from '../../../src/systems/globus/request-budget.ts';
import { packPayload } from '../../../src/systems/globus/serialize.ts';
import { StandInEndpoint } from '../../support/globus-endpoint.ts';
import type { GlobusSdkChild } from '../../support/globus-sdk-child.ts';
import { type Fault, GlobusStandIn } from '../../support/globus-service.ts';

interface Row {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: unknown;
  status: number;
  response: unknown;
}
const golden = readFileSync(new URL('../../fixtures/globus/http.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Row);

/** Nobody runs these tasks: they stay where they are. */
const nobody = { execute: () => new Promise(() => undefined) } as unknown as GlobusSdkChild;

let service: GlobusStandIn;
let endpoint: StandInEndpoint;
let client: GlobusClient;
let renewals: number;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-globus-'));
  service = await GlobusStandIn.start();
  endpoint = new StandInEndpoint(nobody, folder);
  endpoint.online = false;
  service.endpoints.set(endpoint.id, endpoint);
  renewals = 0;
  let token = service.issue();
  client = createGlobusClient({
    baseUrl: service.url,
    authorizer: {
      token: async () => token,
      renew: async () => {
        renewals++;
        token = service.issue();
        return token;
      },
    },
    budget: new RequestBudget(10_000, 10),
    timeoutSeconds: 5,
    backoffMs: 5,
  });
});
afterEach(async () => {
  await service.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

const once = (fault: Fault, path = /./) => {
  let left = 1;
  service.fault = (exchange) => (path.test(exchange.path) && left-- > 0 ? fault : undefined);
};
const submission = async (payloads = [packPayload([1])]) => ({
  endpointId: endpoint.id,
  functionId: await client.registerFunction('f', 'def f(x):\n    return x\n', 'test'),
  payloads,
});

/** Keys and types of a document; ids as keys and texts are not compared. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? [shape(value[0])] : [];
  if (value === null || typeof value !== 'object') return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, member]) => [/^[0-9a-f]{8}-/.test(key) ? 'id' : key, shape(member)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

describe('against the recorded exchanges', () => {
  it('a registration, a submission and a status request have the recorded shape', async () => {
    const ids = await client.submit(await submission(), { repeatable: false });
    await client.tasks(ids.taskIds);
    const byNode = golden.filter((row) => row.headers['user-agent'] === 'node' && row.status === 200);
    for (const [method, path] of [
      ['POST', /^\/v3\/functions$/],
      ['POST', /\/submit$/],
      ['POST', /batch_status$/],
    ] as const) {
      const recorded = byNode.find((row) => row.method === method && path.test(row.path));
      const ours = service.exchanges.find((exchange) => exchange.method === method && path.test(exchange.path));
      const body = { ...(ours?.body as Record<string, unknown>) };
      delete body.description; // optional in the service's types; people see it
      expect(shape(body)).toEqual(shape(recorded?.body));
      expect(ours?.headers['user-agent']).toMatch(/^holdfast\/\d/);
    }
  });

  it('the stand-in answers in the recorded shapes', async () => {
    const submitted = await client.submit(await submission(), { repeatable: false });
    const token = service.issue();
    const answers: [RegExp, string][] = [
      [/^\/v2\/version/, '/v2/version?service=all'],
      [/^\/v2\/endpoints\/[^/]+\/status$/, `/v2/endpoints/${endpoint.id}/status`],
      [/^\/v2\/endpoints$/, '/v2/endpoints'],
      [/^\/v2\/taskgroup/, `/v2/taskgroup/${submitted.groupId}`],
      [/^\/v2\/functions\/fdc5/, `/v2/functions/${[...service.functions.keys()][0]}`],
    ];
    for (const [path, ask] of answers) {
      const recorded = golden.find((row) => row.method === 'GET' && path.test(row.path) && row.status === 200);
      const response = await fetch(service.url + ask, { headers: { authorization: `Bearer ${token}` } });
      const ours = (await response.json()) as Record<string, unknown>;
      const golden200 = recorded?.response as Record<string, unknown>;
      expect(shape(ours), ask).toEqual(shape(golden200));
    }
    const missing = await fetch(`${service.url}/v2/tasks/00000000-0000-4000-8000-000000000000`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const recorded = golden.find((row) => row.status === 404 && row.path.startsWith('/v2/tasks/'));
    expect(await missing.json()).toEqual(recorded?.response);
    const unauthorized = await fetch(`${service.url}/v2/endpoints`, { headers: { authorization: 'Bearer no' } });
    expect(await unauthorized.json()).toEqual(golden.find((row) => row.status === 401)?.response);
  });

  it('a recorded answer with a result is read, NaN and astral text included', async () => {
    const recorded = golden.filter((row) => row.path === '/v2/batch_status').map((row) => row.response);
    for (const response of recorded) {
      service.fault = () => ({ kind: 'status', status: 200, body: JSON.stringify(response) });
      const [id, entry] = Object.entries((response as { results: Record<string, { status: string }> }).results)[0] ?? ['', { status: '' }];
      expect((await client.tasks([id])).get(id)?.status).toBe(entry.status);
    }
  });
});

describe('a submission', () => {
  it.each<[string, Fault, boolean]>([
    ['is sent again after 429', { kind: 'status', status: 429, retryAfter: '0' }, true],
    ['is not sent again when the connection ends before the act', { kind: 'dropBefore' }, false],
    ['is not sent again when the answer is lost', { kind: 'dropAfter' }, false],
    ['is not sent again after 502', { kind: 'statusAfter', status: 502 }, false],
    ['is not sent again after 500', { kind: 'status', status: 500 }, false],
    ['is not sent again after half an answer', { kind: 'truncated' }, false],
    ['is not sent again after an answer that is no JSON', { kind: 'status', status: 200, body: '<html>' }, false],
    ['is not sent again after an answer of another shape', { kind: 'status', status: 200, body: '{"tasks": {}}' }, false],
  ])('%s', async (_, fault, again) => {
    const plan = await submission();
    once(fault, /submit/);
    const answer = client.submit(plan, { repeatable: false });
    if (again) expect((await answer).taskIds).toHaveLength(1);
    else await expect(answer).rejects.toThrow(AmbiguousAnswerError);
    expect(service.exchanges.filter((exchange) => exchange.path.endsWith('/submit'))).toHaveLength(again ? 2 : 1);
  });

  it.each([true, false])(
    'that is never answered is given up as ambiguous after its own time, 180 s, and not sent again (acts: %s)',
    async (acts) => {
      const plan = await submission();
      const times = vi.spyOn(AbortSignal, 'timeout');
      await client.submit(plan, { repeatable: false });
      await client.endpointStatus(endpoint.id);
      expect(times.mock.calls).toEqual([[180_000], [5_000]]);
      times.mockRestore();
      const token = service.issue();
      const hasty = createGlobusClient({
        baseUrl: service.url,
        authorizer: { token: async () => token, renew: async () => token },
        budget: new RequestBudget(10_000, 10),
        timeoutSeconds: 60,
        submitSeconds: 0.5,
        backoffMs: 5,
      });
      const before = service.exchanges.length;
      once({ kind: 'silent', acts }, /submit/);
      const error = await hasty.submit(plan, { repeatable: false }).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(AmbiguousAnswerError);
      expect((error as Error).message).toMatch(/time/i);
      expect(service.exchanges).toHaveLength(before + 1);
    },
  );

  it('is sent again with a fresh token after 401, once', async () => {
    const plan = await submission();
    service.tokens.clear();
    expect((await client.submit(plan, { repeatable: false })).taskIds).toHaveLength(1);
    expect(renewals).toBe(1);
    service.fault = () => ({ kind: 'status', status: 401 });
    await expect(client.submit(plan, { repeatable: false })).rejects.toMatchObject({ class: 'needs_login' });
    expect(renewals).toBe(2);
  });

  it('above 10 MB never leaves this computer', async () => {
    const plan = await submission([packPayload(['x'.repeat(10_000_001)])]);
    const before = service.exchanges.length;
    await expect(client.submit(plan, { repeatable: false })).rejects.toMatchObject({ class: 'refused', code: 'HF-GLOBUS-TOO-LARGE' });
    expect(service.exchanges).toHaveLength(before);
  });

  it('to a server that is not there is a transport error that says so', async () => {
    const plan = await submission();
    await service.end();
    await expect(client.submit(plan, { repeatable: false })).rejects.toMatchObject({ class: 'transport' });
  });
});

describe('a repeatable call', () => {
  it.each<Fault>([
    { kind: 'dropBefore' },
    { kind: 'dropAfter' },
    { kind: 'truncated' },
    { kind: 'status', status: 503, retryAfter: '0' },
    { kind: 'status', status: 502, body: '<html>Bad gateway</html>' },
    { kind: 'status', status: 403, body: '<html>Cloudflare</html>' },
    { kind: 'status', status: 404, body: '<html>404 Not Found (nginx)</html>' },
    { kind: 'status', status: 400, body: '<html>Bad request</html>' },
    { kind: 'status', status: 423 },
  ])('survives $kind $status', async (fault) => {
    once(fault);
    expect((await client.endpointStatus(endpoint.id)).status).toBe('offline');
  });

  it('is asked again when the answer takes longer than its time', async () => {
    const token = service.issue();
    const patience = { token: async () => token, renew: async () => token };
    const hasty = createGlobusClient({
      baseUrl: service.url,
      authorizer: patience,
      budget: new RequestBudget(10_000, 10),
      timeoutSeconds: 0.5,
      backoffMs: 5,
    });
    once({ kind: 'slow', milliseconds: 3_000 });
    expect((await hasty.endpointStatus(endpoint.id)).status).toBe('offline');
    expect(service.exchanges).toHaveLength(2);
  });

  it.each([
    [429, String(3_600)],
    [503, new Date(Date.now() + 3_600_000).toUTCString()],
  ])('refused with %i and a pause of an hour ends at once, and nothing is sent until then', async (status, retryAfter) => {
    once({ kind: 'status', status, retryAfter });
    const before = performance.now();
    await expect(client.endpointStatus(endpoint.id)).rejects.toMatchObject({ class: 'transport' });
    const told = { class: 'transport', code: 'HF-GLOBUS-PAUSE', message: expect.stringMatching(/another 3[56]\d\d s/) };
    await expect(client.endpointStatus(endpoint.id)).rejects.toMatchObject(told);
    await expect(client.tasks(['0e0e0e0e-1111-4222-8333-444444444444'])).rejects.toMatchObject(told);
    expect(performance.now() - before).toBeLessThan(3_000);
    expect(service.exchanges).toHaveLength(1);
  });

  it('reads a date in Retry-After by the clock of the service that wrote it', async () => {
    // A service whose clock is a day ahead asks for a second.
    const there = Date.now() + 86_400_000;
    once({ kind: 'status', status: 503, retryAfter: new Date(there + 1_000).toUTCString(), date: new Date(there).toUTCString() });
    expect((await client.endpointStatus(endpoint.id)).status).toBe('offline');
  });

  it('is not answered for ever: more than 128 MiB are not kept', { timeout: 30_000 }, async () => {
    const asked: string[] = [];
    const flood = createServer((request, response) => {
      asked.push(request.url ?? '');
      const megabyte = Buffer.alloc(1024 * 1024, 120);
      const more = () => {
        while (!response.destroyed) if (!response.write(megabyte)) return void response.once('drain', more);
      };
      response.writeHead(200, { 'content-type': 'application/json' });
      more();
    });
    await new Promise<void>((resolve) => flood.listen(0, '127.0.0.1', resolve));
    const token = service.issue();
    const bold = createGlobusClient({
      baseUrl: `http://127.0.0.1:${(flood.address() as AddressInfo).port}`,
      authorizer: { token: async () => token, renew: async () => token },
      budget: new RequestBudget(10_000, 10),
      timeoutSeconds: 20,
      tries: 1,
    });
    await expect(bold.endpointStatus(endpoint.id)).rejects.toMatchObject({ class: 'transport', message: expect.stringMatching(/128 MiB/) });
    flood.closeAllConnections();
    flood.close();
  });

  it.each<[number, string, string]>([
    [403, 'refused', 'HF-GLOBUS-FORBIDDEN'],
    [404, 'refused', 'HF-GLOBUS-NOT-FOUND'],
    [413, 'refused', 'HF-GLOBUS-TOO-LARGE'],
    [422, 'refused', 'HF-GLOBUS-INVALID'],
    [418, 'refused', 'HF-GLOBUS-REFUSED'],
  ])('HTTP %i is %s at once', async (status, kind, code) => {
    service.fault = () => ({ kind: 'status', status });
    await expect(client.endpointStatus(endpoint.id)).rejects.toMatchObject({ class: kind, code });
    expect(service.exchanges).toHaveLength(1);
  });

  it('a 422 tells what the endpoint said', async () => {
    const plan = { ...(await submission()), userEndpointConfig: { engine: 'NoSuchEngine' } };
    await expect(client.submit(plan, { repeatable: false })).rejects.toThrow(/NoSuchEngine.*endpoint validate/s);
  });

  it('a step-up document is a needed login', async () => {
    service.fault = () => ({
      kind: 'status',
      status: 403,
      body: '{"code":"x","authorization_parameters":{"session_required_policies":"p"}}',
    });
    await expect(client.endpoint(endpoint.id)).rejects.toMatchObject({ class: 'needs_login', code: 'HF-GLOBUS-STEP-UP' });
  });
});

describe('an answer that is shaped otherwise than described', () => {
  const answer = (path: RegExp, body: unknown) => once({ kind: 'status', status: 200, body: JSON.stringify(body) }, path);

  it('is read as far as it counts: states of tasks and endpoints, processes that are some', async () => {
    const id = '00000000-0000-4000-8000-000000000001';
    answer(/batch_status/, { results: { [id]: { task_id: id, status: 'Running', details: { task_transitions: { received: 'noon' } } } } });
    expect((await client.tasks([id])).get(id)?.status).toBe('running');
    answer(/status/, { status: 'ONLINE', details: { total_workers: '12', managers: 1 } });
    expect(await client.endpointStatus(endpoint.id)).toMatchObject({ status: 'online', details: { total_workers: null, managers: 1 } });
    answer(/status/, { status: 'online', details: 'none' });
    expect((await client.endpointStatus(endpoint.id)).details).toBeNull();
    answer(/console/, {
      user_endpoints: [7, { user_endpoint_id: 'a', start_time_unix: 'noon' }, { user_endpoint_id: 'b', start_time_unix: 5 }],
    });
    expect((await client.processes(endpoint.id)).map((process) => [process.user_endpoint_id, process.start_time_unix])).toEqual([
      ['a', null],
      ['b', 5],
    ]);
    answer(/console/, { user_endpoints: null });
    expect(await client.processes(endpoint.id)).toEqual([]);
    expect(service.exchanges).toHaveLength(5);
  });
});

describe('sizes', () => {
  it('1,000 ids are asked for in requests of 128', async () => {
    await client.tasks(Array.from({ length: 1_000 }, (_, index) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`));
    expect(service.exchanges.map((exchange) => (exchange.body as { task_ids: string[] }).task_ids.length)).toEqual([
      128, 128, 128, 128, 128, 128, 128, 104,
    ]);
  });

  it('payloads are split below the limit, in order, none lost', () => {
    const parts = splitPayloads(['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(200), 'd'], 100);
    expect(parts).toEqual([[0, 1], [2], [3]]);
  });

  it('what the service finds too large is sent in halves, in order, and one that is too large alone is named', async () => {
    const sent: number[] = [];
    const refused: number[] = [];
    await sendInParts(
      ['a', 'b', 'c', 'd', 'e'],
      async (part) => {
        if (part.length > 2 || part.includes(3)) throw new DriverError('refused', 'HF-GLOBUS-TOO-LARGE', 'too large');
        sent.push(...part);
      },
      async (index) => void refused.push(index),
    );
    expect([sent, refused]).toEqual([[0, 1, 2, 4], [3]]);
  });
});
