import type { Environment } from '../systems/globus/environment.ts';
import { fetchThrough, proxyFor, type ServiceRequest } from '../systems/globus/proxy.ts';

/** No answer of a model or list of models is so long; more would only fill the worker's memory and hold its event loop up. */
const LONGEST_ANSWER_BYTES = 4 * 1024 * 1024;

/** A service that sends without end. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
}

/**
 * The fetch that reaches a service from here: through the proxy of HTTPS_PROXY, as a tunnel, unless NO_PROXY names the service; Node 20's own reads neither.
 * Reading an answer of more than 4 MiB throws AnswerTooLong. Throws DriverError refused for a proxy that is no URL.
 */
export function fetchFor(serviceUrl: string, env: Environment): typeof fetch {
  const proxy = proxyFor(serviceUrl, env);
  if (proxy === undefined) return async (url, request) => bounded(await fetch(url, request));
  // The library's own types of requests and answers are those of the platform's fetch, by another name.
  return async (url, request) => bounded((await fetchThrough(proxy, String(url), request as ServiceRequest)) as unknown as Response);
}

function bounded(answer: Response): Response {
  if (answer.body === null) return answer;
  let size = 0;
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      size += chunk.byteLength;
      if (size > LONGEST_ANSWER_BYTES) controller.error(new AnswerTooLong(`answered more than ${LONGEST_ANSWER_BYTES / 1024 / 1024} MiB`));
      else controller.enqueue(chunk);
    },
  });
  return new Response(answer.body.pipeThrough(count), {
    status: answer.status,
    statusText: answer.statusText,
    headers: [...answer.headers],
  });
}
