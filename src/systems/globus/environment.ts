import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../package-root.ts';
import { DriverError } from '../driver.ts';
import { proxyFor } from './proxy.ts';

/** The process environment, or a test's own. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface GlobusEnvironment {
  /** `production`, `preview`, … : part of the token store's namespace. */
  readonly name: string;
  readonly computeUrl: string;
  readonly authUrl: string;
  /** Proxies on the way there (HTTPS_PROXY, NO_PROXY). */
  readonly computeProxy?: string;
  readonly authProxy?: string;
  readonly httpTimeoutSeconds: number;
  /** Folder of the SDK's storage.db and of our own token file. */
  readonly userDirectory: string;
  /** Folder of the endpoints' own folders. */
  readonly endpointsDirectory: string;
}

/** Where each environment's services are; names as in GLOBUS_SDK_ENVIRONMENT. Other names need both service-URL variables. */
const SERVICES: Readonly<Record<string, { readonly compute: string; readonly auth: string }>> = {
  production: { compute: 'https://compute.api.globus.org', auth: 'https://auth.globus.org' },
  preview: { compute: 'https://compute.api.preview.globus.org', auth: 'https://auth.preview.globus.org' },
  sandbox: { compute: 'https://compute.api.sandbox.globuscs.info', auth: 'https://auth.sandbox.globuscs.info' },
  test: { compute: 'https://compute.api.test.globuscs.info', auth: 'https://auth.test.globuscs.info' },
  integration: { compute: 'https://compute.api.integration.globuscs.info', auth: 'https://auth.integration.globuscs.info' },
  staging: { compute: 'https://compute.api.staging.globuscs.info', auth: 'https://auth.staging.globuscs.info' },
  dev: { compute: 'https://compute.api.dev.globuscs.info', auth: 'https://auth.dev.globuscs.info' },
  local: { compute: 'http://localhost:5000', auth: 'http://localhost:5000' },
};

/**
 * Reads GLOBUS_SDK_ENVIRONMENT, GLOBUS_SDK_SERVICE_URL_COMPUTE, GLOBUS_SDK_SERVICE_URL_AUTH, GLOBUS_SDK_HTTP_TIMEOUT, GLOBUS_COMPUTE_USER_DIR,
 * GLOBUS_COMPUTE_ENDPOINT_DIR, HTTPS_PROXY and NO_PROXY as the SDK does. Throws DriverError (refused) for an unknown environment or a URL without TLS that is not loopback.
 */
export function globusEnvironment(env: Environment = process.env): GlobusEnvironment {
  const name = env.GLOBUS_SDK_ENVIRONMENT || 'production';
  const services = SERVICES[name];
  const compute = env.GLOBUS_SDK_SERVICE_URL_COMPUTE || services?.compute;
  const auth = env.GLOBUS_SDK_SERVICE_URL_AUTH || services?.auth;
  if (!compute || !auth) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENVIRONMENT',
      `GLOBUS_SDK_ENVIRONMENT ${name} is unknown. Use one of ${Object.keys(SERVICES).join(', ')}, or set both GLOBUS_SDK_SERVICE_URL_COMPUTE and GLOBUS_SDK_SERVICE_URL_AUTH.`,
    );
  }
  const userDirectory = env.GLOBUS_COMPUTE_USER_DIR || join(env.HOME || homedir(), '.globus_compute');
  const timeout = Number(env.GLOBUS_SDK_HTTP_TIMEOUT);
  const [computeUrl, authUrl] = [checkedUrl(compute, 'Globus Compute'), checkedUrl(auth, 'Globus Auth')];
  const [computeProxy, authProxy] = [proxyFor(computeUrl, env), proxyFor(authUrl, env)];
  return {
    name,
    computeUrl,
    authUrl,
    ...(computeProxy === undefined ? {} : { computeProxy }),
    ...(authProxy === undefined ? {} : { authProxy }),
    httpTimeoutSeconds: Number.isFinite(timeout) && timeout > 0 ? timeout : 60,
    userDirectory,
    endpointsDirectory: env.GLOBUS_COMPUTE_ENDPOINT_DIR || userDirectory,
  };
}

/** A base URL without its trailing slash; TLS is required everywhere but on loopback, since every request carries a token. */
export function checkedUrl(text: string, what: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new DriverError('refused', 'HF-GLOBUS-URL', `${what} URL ${text} cannot be read. Give https://host.`, { cause });
  }
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-TLS',
      `${what} URL ${text} is not encrypted. Use https:// (http:// is allowed on loopback only).`,
    );
  }
  return url.href.replace(/\/+$/, '');
}

let version: string | undefined;

/** Our own User-Agent: `holdfast/0.1.0 (node/20.20.2)`. */
export function userAgent(): string {
  version ??= packageVersion();
  return `holdfast/${version} (node/${process.versions.node})`;
}

function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version?: string };
  return manifest.version ?? 'unknown';
}
