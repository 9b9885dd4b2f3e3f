import type { Dispatcher } from 'undici';
import { DriverError } from '../driver.ts';
import type { Environment } from './environment.ts';

/** Loopback is never behind a proxy: only there a URL may be without TLS, and a proxy would read the token. */
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * The proxy through which a service is reached, as curl reads HTTPS_PROXY and NO_PROXY (lower case first); Node 20's own fetch reads neither. Undefined: straight.
 * Throws DriverError refused for a value that is no URL of a proxy.
 */
export function proxyFor(serviceUrl: string, env: Environment): string | undefined {
  const url = new URL(serviceUrl);
  const text = env.https_proxy || env.HTTPS_PROXY;
  if (!text || LOOPBACK.test(url.hostname) || isExempt(url, env.no_proxy ?? env.NO_PROXY ?? '')) return undefined;
  const proxy = text.includes('://') ? text : `http://${text}`;
  if (URL.canParse(proxy) && /^https?:$/.test(new URL(proxy).protocol)) return proxy;
  throw new DriverError(
    'refused',
    'HF-GLOBUS-PROXY',
    'HTTPS_PROXY is no URL of an HTTP proxy (environment of the worker). Write http://host:port.',
  );
}

/** An entry is a host, a domain with all below it (with or without a leading dot or `*.`), either with a port, or `*`. */
function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      const [, name = '', at] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (at !== undefined && at !== port) return false;
      const domain = name.replace(/^\*?\./, '');
      return domain === '*' || host === domain || host.endsWith(`.${domain}`);
    });
}

export interface ServiceRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly redirect: 'manual';
  readonly signal: AbortSignal;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: AsyncIterable<Uint8Array> | null;
  text(): Promise<string>;
}

const agents = new Map<string, Dispatcher>();

/** fetch, through the proxy where there is one: a tunnel (CONNECT), so that the proxy sees neither token nor content. */
export async function fetchThrough(proxy: string | undefined, url: string, request: ServiceRequest): Promise<ServiceAnswer> {
  if (proxy === undefined) return fetch(url, request);
  const undici = await import('undici');
  let agent = agents.get(proxy);
  if (agent === undefined) {
    agent = new undici.ProxyAgent(proxy);
    agents.set(proxy, agent);
  }
  return undici.fetch(url, { ...request, dispatcher: agent });
}

/** The proxy's own refusal of the tunnel (407, 403, 502, …): no byte of the request went out. Undefined for any other error. */
export function proxyRefusal(error: unknown, proxy: string | undefined): string | undefined {
  if (proxy === undefined || !(error instanceof Error)) return undefined;
  // The library wraps it several times over.
  const status = /^Proxy response \((\d+)\)/.exec(error.message)?.[1];
  return status === undefined ? proxyRefusal(error.cause, proxy) : `the proxy ${new URL(proxy).host} answered ${status}`;
}
