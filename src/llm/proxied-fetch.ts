import type { Environment } from '../systems/globus/environment.ts';
import { fetchThrough, proxyFor, type ServiceRequest } from '../systems/globus/proxy.ts';

/**
 * The fetch that reaches a service from here: through the proxy of HTTPS_PROXY, as a tunnel, unless NO_PROXY names the service; Node 20's own reads neither.
 * Throws DriverError refused for a proxy that is no URL.
 */
export function fetchFor(serviceUrl: string, env: Environment): typeof fetch {
  const proxy = proxyFor(serviceUrl, env);
  if (proxy === undefined) return fetch;
  // The library's own types of requests and answers are those of the platform's fetch, by another name.
  return ((url: string | URL, request: ServiceRequest) => fetchThrough(proxy, String(url), request)) as unknown as typeof fetch;
}
