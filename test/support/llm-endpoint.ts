import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One scripted answer of the stand-in for an OpenAI-compatible service. */
export type Scripted =
  /** HTTP 200 with this text as the assistant's content. */
  | string
  | {
      readonly status?: number;
      readonly content?: string;
      /** Calls of tools instead of a final answer. */
      readonly tools?: readonly { readonly name: string; readonly arguments: string }[];
      /** The whole body, instead of a chat completion or an error object. */
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly delayMs?: number;
      /** Answers when this is resolved. */
      readonly after?: Promise<unknown>;
      /** Drop the connection instead of answering. */
      readonly hangUp?: boolean;
      /** Send a byte now and then, and never come to an end. */
      readonly drips?: boolean;
      /** Send half of the body, then drop the connection. */
      readonly breakOff?: boolean;
      readonly error?: string;
    };

export interface SeenRequest {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly userAgent: string | undefined;
  readonly body: {
    readonly model: string;
    readonly temperature: number;
    readonly max_tokens: number;
    readonly messages: readonly { readonly role: string; readonly content: string | null; readonly tool_call_id?: string }[];
    readonly tools?: readonly { readonly function: { readonly name: string } }[];
    readonly response_format?: { readonly type: string };
  };
}

export interface LlmEndpoint {
  readonly baseUrl: string;
  /** Path and authorization of every GET. */
  readonly looked: readonly { readonly path: string; readonly authorization: string | undefined }[];
  readonly requests: readonly SeenRequest[];
  close(): Promise<void>;
}

/** Serves the answers one after the other (the last one for ever), or by a function of the request. Loopback, port 0. */
export async function startLlmEndpoint(
  script: readonly Scripted[] | ((request: SeenRequest, index: number) => Scripted),
  lists: (path: string) => Exclude<Scripted, string> = () => ({ status: 404 }),
): Promise<LlmEndpoint> {
  const requests: SeenRequest[] = [];
  const looked: { path: string; authorization: string | undefined }[] = [];
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    if (incoming.method === 'GET') {
      looked.push({ path: incoming.url ?? '', authorization: incoming.headers.authorization });
      await answer(lists(incoming.url ?? ''), incoming, response);
      return;
    }
    const request = seen(incoming, Buffer.concat(chunks).toString('utf8'));
    const index = requests.push(request) - 1;
    const scripted = typeof script === 'function' ? script(request, index) : (script[Math.min(index, script.length - 1)] as Scripted);
    await answer(typeof scripted === 'string' ? { content: scripted } : scripted, incoming, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    looked,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function seen(incoming: IncomingMessage, text: string): SeenRequest {
  const { authorization } = incoming.headers;
  return {
    path: incoming.url ?? '',
    authorization,
    userAgent: incoming.headers['user-agent'],
    body: JSON.parse(text) as SeenRequest['body'],
  };
}

async function answer(scripted: Exclude<Scripted, string>, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  if (scripted.hangUp) {
    incoming.socket.destroy();
    return;
  }
  await scripted.after;
  if (scripted.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, scripted.delayMs));
  const status = scripted.status ?? 200;
  response.writeHead(status, { 'content-type': 'application/json', ...scripted.headers });
  const body =
    scripted.body ?? JSON.stringify(status >= 400 ? { error: { message: scripted.error ?? `scripted ${status}` } } : completion(scripted));
  if (scripted.drips) {
    const drip = setInterval(() => response.write(' '), 50);
    response.once('close', () => clearInterval(drip));
  } else if (scripted.breakOff) response.write(body.slice(0, body.length / 2), () => incoming.socket.destroy());
  else response.end(body);
}

function completion({ content, tools }: Exclude<Scripted, string>): object {
  const toolCalls = tools?.map((tool, index) => ({ id: `call-${index}`, type: 'function', function: tool }));
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 0,
    model: 'scripted',
    choices: [
      {
        index: 0,
        finish_reason: toolCalls ? 'tool_calls' : 'stop',
        message: { role: 'assistant', content: content ?? null, ...(toolCalls ? { tool_calls: toolCalls } : {}) },
      },
    ],
    usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 },
  };
}
