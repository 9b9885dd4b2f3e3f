import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { unpackBuffers } from '../../src/systems/globus/serialize.ts';
import type { StandInEndpoint, StandInTask } from './globus-endpoint.ts';

export type Fault =
  /** The connection ends and nothing has happened. */
  | { readonly kind: 'dropBefore' }
  /** It happens, and the answer is lost. */
  | { readonly kind: 'dropAfter' }
  /** Refused with this status, nothing has happened. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string; readonly date?: string; readonly body?: string }
  /** It happens, and the answer is this status. */
  | { readonly kind: 'statusAfter'; readonly status: number }
  /** It happens, and half of the answer arrives. */
  | { readonly kind: 'truncated' }
  | { readonly kind: 'slow'; readonly milliseconds: number }
  /** The connection stays open and no answer ever comes, whether it happens or not. */
  | { readonly kind: 'silent'; readonly acts: boolean };

export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  status: number;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const COMPUTE_SCOPE = 'https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all';

/** A refusal in the service's own shape. */
function refuse(status: number, code: string, detail: string, args: readonly unknown[] = []): Answer {
  return { status, body: { status: 'Failed', code, error_args: args, http_status_code: status, detail, reason: detail } };
}

/** Stand-in for Globus Compute's web service and Globus Auth, shaped after goldens/globus/http.jsonl. Answers on loopback only. */
export class GlobusStandIn {
  readonly endpoints = new Map<string, StandInEndpoint>();
  readonly functions = new Map<string, { name: string; code: string }>();
  readonly tasks = new Map<string, StandInTask>();
  readonly groups = new Map<string, string[]>();
  readonly exchanges: Exchange[] = [];
  readonly tokens = new Set<string>();
  readonly refreshTokens = new Set<string>();
  readonly clients = new Map<string, string>([['9c0d3a52-0000-4000-8000-00000000c11e', 'client-secret']]);
  tokenSeconds = 172_800;
  /** Requests per 10 s before 429, as the service counts; undefined: no limit. */
  limit: number | undefined;
  /** Bytes of a request before 413; the real service takes 10 MB. */
  sizeLimit = 10_000_000;
  /** Chooses a fault for a request, or none. */
  fault: (exchange: Exchange) => Fault | undefined = () => undefined;
  injected = 0;
  readonly #server: Server;
  readonly #codes = new Map<string, { challenge: string; clientId: string }>();
  #times: number[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        response.statusCode = 500;
        response.end(String(error));
      });
    });
  }

  static async start(): Promise<GlobusStandIn> {
    const service = new GlobusStandIn();
    await new Promise<void>((resolve) => service.#server.listen(0, '127.0.0.1', resolve));
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async end(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** A token that the service takes. */
  issue(): string {
    const token = `Ag${randomUUID()}`;
    this.tokens.add(token);
    return token;
  }

  /** The user's browser: consents and shows the code. */
  consent(url: string): string {
    const query = new URL(url).searchParams;
    const code = randomUUID();
    this.#codes.set(code, { challenge: query.get('code_challenge') ?? '', clientId: query.get('client_id') ?? '' });
    return code;
  }

  /** What the service has forgotten about a finished task comes in three shapes, since nobody outside knows which it is. */
  forget(task: StandInTask, shape: 'gone' | 'no-result' | 'abandoned'): void {
    if (shape === 'gone') this.tasks.delete(task.id);
    delete task.result;
    if (shape === 'abandoned') task.status = 'abandoned';
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const json = (request.headers['content-type'] ?? '').includes('json');
    const exchange: Exchange = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: json ? JSON.parse(text) : text,
      status: 0,
    };
    this.exchanges.push(exchange);
    const fault = this.fault(exchange);
    if (fault) this.injected++;
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.milliseconds));
    if (fault?.kind === 'silent' && !fault.acts) return;
    if (fault?.kind === 'dropBefore') return void request.socket.destroy();
    if (fault?.kind === 'status') {
      if (fault.retryAfter !== undefined) response.setHeader('retry-after', fault.retryAfter);
      if (fault.date !== undefined) response.setHeader('date', fault.date);
      const body = fault.body ?? JSON.stringify(refuse(fault.status, 'INJECTED', 'injected').body);
      exchange.status = fault.status;
      response.writeHead(fault.status, { 'content-type': 'application/json' }).end(body);
      return;
    }
    const tooLarge =
      Buffer.byteLength(text) > this.sizeLimit ? refuse(413, 'BATCH_RUN_TOO_LARGE', `Payload is above ${this.sizeLimit} bytes`) : undefined;
    const answer = this.#limited() ?? tooLarge ?? this.#answer(exchange);
    exchange.status = answer.status;
    if (fault?.kind === 'silent') return;
    if (fault?.kind === 'dropAfter') return void request.socket.destroy();
    if (fault?.kind === 'statusAfter') return void response.writeHead(fault.status).end('gateway');
    const body = JSON.stringify(answer.body);
    response.writeHead(answer.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    if (fault?.kind === 'truncated') {
      response.write(body.slice(0, Math.floor(body.length / 2)), () => request.socket.destroy());
      return;
    }
    response.end(body);
  }

  #limited(): Answer | undefined {
    if (this.limit === undefined) return undefined;
    const now = Date.now();
    this.#times = this.#times.filter((time) => time > now - 10_000);
    if (this.#times.length >= this.limit) return refuse(429, 'TOO_MANY_REQUESTS', 'Too many requests');
    this.#times.push(now);
    return undefined;
  }

  #answer(exchange: Exchange): Answer {
    const path = exchange.path.replace(/\?.*/, '');
    if (path.startsWith('/v2/oauth2/')) return this.#oauth(path, exchange);
    const bearer = /^Bearer (.+)$/.exec(exchange.headers.authorization ?? '')?.[1] ?? '';
    if (!this.tokens.has(bearer)) return refuse(401, 'INVALID_AUTH_TOKEN', 'Credentials are invalid');
    for (const [method, pattern, run] of this.#routes) {
      const match = exchange.method === method ? pattern.exec(path) : null;
      if (match) return run(match[1] ?? '', exchange.body as Record<string, unknown>);
    }
    return refuse(404, 'NOT_FOUND', path);
  }

  readonly #routes: readonly (readonly [string, RegExp, (id: string, body: Record<string, unknown>) => Answer])[] = [
    [
      'GET',
      /^\/v2\/version$/,
      () => ({ status: 200, body: { api: '1.99.0', min_sdk_version: '2.0.0', min_ep_version: '2.0.0', git_sha: 'rig' } }),
    ],
    [
      'POST',
      /^\/v3\/functions$/,
      (_, body) => {
        const id = randomUUID();
        this.functions.set(id, { name: String(body.function_name), code: String(body.function_code) });
        return { status: 200, body: { function_uuid: id } };
      },
    ],
    [
      'GET',
      /^\/v2\/functions\/(.+)$/,
      (id) => {
        const found = this.functions.get(id);
        if (!found) return refuse(404, 'FUNCTION_NOT_FOUND', `Function ${id} could not be resolved`, [id]);
        return {
          status: 200,
          body: {
            function_uuid: id,
            function_name: found.name,
            function_code: found.code,
            description: null,
            metadata: { python_version: '3.11.7', sdk_version: '4.19.0' },
          },
        };
      },
    ],
    ['POST', /^\/v3\/endpoints\/([^/]+)\/submit$/, (id, body) => this.#submit(id, body)],
    [
      'POST',
      /^\/v2\/batch_status$/,
      (_, body) => {
        const results: Record<string, unknown> = {};
        for (const id of body.task_ids as string[]) {
          const task = this.tasks.get(id);
          if (task) results[id] = this.#view(task);
        }
        return { status: 200, body: { response: 'batch', results } };
      },
    ],
    [
      'GET',
      /^\/v2\/tasks\/(.+)$/,
      (id) => {
        const task = this.tasks.get(id);
        return task ? { status: 200, body: this.#view(task) } : refuse(404, 'TASK_NOT_FOUND', `Task ${id} not found`, [id]);
      },
    ],
    [
      'GET',
      /^\/v2\/taskgroup\/(.+)$/,
      (id) => {
        const members = this.groups.get(id);
        if (!members) return refuse(404, 'TASK_GROUP_NOT_FOUND', `Task group ${id} could not be found`, [id]);
        const tasks = members.map((member) => ({ id: member, created_at: this.tasks.get(member)?.createdAt ?? new Date().toISOString() }));
        return { status: 200, body: { taskgroup_id: id, create_websockets_queue: false, tasks } };
      },
    ],
    [
      'GET',
      /^\/v2\/endpoints$/,
      () => ({
        status: 200,
        body: [...this.endpoints.keys()].map((uuid) => ({
          uuid,
          name: 'rig',
          display_name: 'rig',
          owner: '5b6d4a52-0000-4000-8000-000000000001',
        })),
      }),
    ],
    [
      'GET',
      /^\/v2\/endpoints\/([^/]+)\/status$/,
      (id) =>
        this.#withEndpoint(id, (endpoint) => ({
          status: endpoint.online ? 'online' : 'offline',
          details: {
            total_workers: endpoint.workers,
            idle_workers: endpoint.workers - endpoint.running.length,
            pending_tasks: endpoint.queued,
            outstanding_tasks: endpoint.running.length + endpoint.queued,
            managers: 1,
          },
        })),
    ],
    [
      'GET',
      /^\/v2\/endpoints\/([^/]+)$/,
      (id) =>
        this.#withEndpoint(id, (endpoint) => ({
          uuid: id,
          name: 'rig',
          display_name: 'rig',
          multi_user: true,
          high_assurance: false,
          public: false,
          subscription_admin_verified: false,
          endpoint_version: endpoint.version,
          python_version: '3.11.7',
          hostname: 'localhost',
          local_user: 'user',
          endpoint_config: 'display_name: null\n',
          user_config_template: 'engine:\n  type: GlobusComputeEngine\n',
          user_config_schema: { type: 'object', additionalProperties: true },
        })),
    ],
    [
      'GET',
      /^\/v3\/endpoints\/([^/]+)\/allowed_functions$/,
      (id) => this.#withEndpoint(id, () => ({ endpoint_id: id, restricted: false, functions: null })),
    ],
    [
      'GET',
      /^\/v3\/endpoints\/([^/]+)\/console$/,
      (id) =>
        this.#withEndpoint(id, (endpoint) => ({
          user_endpoints: [
            {
              user_endpoint_id: endpoint.processId,
              active: endpoint.online,
              start_time_unix: endpoint.startedAt,
              last_heartbeat_unix: Date.now() / 1000,
            },
          ],
        })),
    ],
  ];

  #withEndpoint(id: string, view: (endpoint: StandInEndpoint) => unknown): Answer {
    const endpoint = this.endpoints.get(id);
    return endpoint
      ? { status: 200, body: view(endpoint) }
      : refuse(404, 'ENDPOINT_NOT_FOUND', `Endpoint ${id} could not be resolved`, [id]);
  }

  #submit(endpointId: string, body: Record<string, unknown>): Answer {
    const endpoint = this.endpoints.get(endpointId);
    if (!endpoint) return refuse(404, 'ENDPOINT_NOT_FOUND', `Endpoint ${endpointId} could not be resolved`, [endpointId]);
    const engine = (body.user_endpoint_config as { engine?: string } | undefined)?.engine;
    if (engine !== undefined && !engine.startsWith('Globus')) {
      return refuse(
        422,
        'SEMANTICALLY_INVALID',
        `Request payload failed validation: Failed to start or unexpected error:\n  (ClickException) '${engine}' is not a valid engine.`,
      );
    }
    const group = (body.task_group_id as string | undefined) ?? randomUUID();
    if (body.task_group_id !== undefined && !this.groups.has(group))
      return refuse(404, 'TASK_GROUP_NOT_FOUND', `Task group ${group} could not be found`, [group]);
    const tasks = body.tasks as Record<string, string[]>;
    for (const [functionId, payloads] of Object.entries(tasks)) {
      if (!this.functions.has(functionId))
        return refuse(404, 'FUNCTION_NOT_FOUND', `Function ${functionId} could not be resolved`, [functionId]);
      for (const payload of payloads) if (unpackBuffers(payload).length !== 2) return refuse(422, 'SEMANTICALLY_INVALID', 'payload');
    }
    const priority = (body.resource_specification as { priority?: number } | undefined)?.priority;
    const members = this.groups.get(group) ?? [];
    this.groups.set(group, members);
    const ids: Record<string, string[]> = {};
    for (const [functionId, payloads] of Object.entries(tasks)) {
      ids[functionId] = payloads.map((payload) => {
        const now = Date.now();
        const task: StandInTask = {
          id: randomUUID(),
          group,
          functionId,
          payload,
          serializers: (body.result_serializers as string[] | undefined) ?? [],
          createdAt: new Date(now).toISOString(),
          transitions: { received: now / 1000 },
          status: 'received',
          ...(priority === undefined ? {} : { priority }),
        };
        this.tasks.set(task.id, task);
        members.push(task.id);
        endpoint.enqueue(task, (this.functions.get(functionId)?.code ?? '') + payload);
        return task.id;
      });
    }
    return { status: 200, body: { request_id: randomUUID(), task_group_id: group, endpoint_id: endpointId, tasks: ids } };
  }

  #view(task: StandInTask): Record<string, unknown> {
    const details = { task_transitions: task.transitions };
    if (task.status !== 'success' && task.status !== 'failed') return { task_id: task.id, status: task.status, details };
    return {
      task_id: task.id,
      status: task.status,
      ...(task.result === undefined ? {} : { result: task.result }),
      ...(task.exception === undefined ? {} : { exception: task.exception }),
      completion_t: String(task.completedAt),
      details: { os: 'Linux', python_version: '3.11.7', globus_compute_sdk_version: '4.19.0', ...details },
    };
  }

  #oauth(path: string, exchange: Exchange): Answer {
    if (path !== '/v2/oauth2/token') return refuse(404, 'NOT_FOUND', path);
    const form = new URLSearchParams(String(exchange.body));
    const grant = form.get('grant_type');
    if (grant === 'client_credentials') {
      const [id, secret] = Buffer.from((exchange.headers.authorization ?? '').replace('Basic ', ''), 'base64')
        .toString()
        .split(':');
      if (!id || this.clients.get(id) !== secret) return { status: 401, body: { error: 'invalid_client' } };
      return { status: 200, body: { ...this.#token(), other_tokens: [] } };
    }
    if (grant === 'refresh_token') {
      if (!this.refreshTokens.has(form.get('refresh_token') ?? '')) return { status: 400, body: { error: 'invalid_grant' } };
      return { status: 200, body: { ...this.#token(), other_tokens: [] } };
    }
    const expected = this.#codes.get(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (expected?.challenge !== challenge) return { status: 400, body: { error: 'invalid_grant' } };
    this.#codes.delete(form.get('code') ?? '');
    const refresh = randomUUID();
    this.refreshTokens.add(refresh);
    const idToken = `e30.${Buffer.from(JSON.stringify({ sub: '5b6d4a52-0000-4000-8000-000000000001' })).toString('base64url')}.x`;
    const auth = {
      access_token: this.issue(),
      scope: 'openid',
      expires_in: 172_800,
      token_type: 'Bearer',
      resource_server: 'auth.globus.org',
      refresh_token: randomUUID(),
    };
    return { status: 200, body: { ...this.#token(), refresh_token: refresh, other_tokens: [auth], id_token: idToken } };
  }

  #token(): Record<string, unknown> {
    return {
      access_token: this.issue(),
      scope: COMPUTE_SCOPE,
      expires_in: this.tokenSeconds,
      token_type: 'Bearer',
      resource_server: 'funcx_service',
    };
  }
}
