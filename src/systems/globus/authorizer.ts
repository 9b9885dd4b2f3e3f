import { unlessAborted } from '../../unless-aborted.ts';
import { DriverError } from '../driver.ts';
import type { Environment, GlobusEnvironment } from './environment.ts';
import { COMPUTE_RESOURCE_SERVER, clientCredentials, NATIVE_CLIENT_ID, refresh } from './oauth.ts';
import { isUnwritable, openTokenStore, type TokenRecord, type TokenStore, withLock } from './token-store.ts';
import type { Authorizer } from './transport.ts';

/** The guide's three names. `client_credentials` is the same grant as `confidential_client`. */
export const AUTH_METHODS = ['native_client', 'confidential_client', 'client_credentials'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** Where a login is kept and how it is renewed. */
export interface Login {
  readonly method: AuthMethod;
  readonly clientId: string;
  /** Namespace in the token store, as the SDK names it. */
  readonly namespace: string;
  readonly secret?: string;
}

/** Reads the client variables for a method. Throws DriverError needs_login when one of the two is missing. */
export function resolveLogin(method: AuthMethod, environment: GlobusEnvironment, env: Environment = process.env): Login {
  const id = env.GLOBUS_COMPUTE_CLIENT_ID;
  const secret = env.GLOBUS_COMPUTE_CLIENT_SECRET;
  if (method === 'native_client') return { method, clientId: (!secret && id) || NATIVE_CLIENT_ID, namespace: `user/${environment.name}` };
  if (!id || !secret) {
    const missing = [id ? '' : 'GLOBUS_COMPUTE_CLIENT_ID', secret ? '' : 'GLOBUS_COMPUTE_CLIENT_SECRET'].filter(Boolean).join(' and ');
    throw new DriverError(
      'needs_login',
      'HF-GLOBUS-CLIENT-MISSING',
      `globus_compute.auth_method ${method} needs ${missing} (environment of the worker). Set it and start the worker again.`,
    );
  }
  return { method, clientId: id, namespace: `clientprofile/${environment.name}/${id}`, secret };
}

/** Renew when less than this is left, seconds. */
const RENEW_BEFORE_SECONDS = 120;

export interface AuthorizerOptions {
  readonly method: AuthMethod;
  readonly environment: GlobusEnvironment;
  readonly env?: Environment;
  readonly store?: TokenStore;
}

/**
 * Access tokens from the store, renewed under a lock by one process. Never asks a person: what needs one is DriverError needs_login, and the same
 * dead refresh token is not tried twice (R12), so a parked system costs no requests until `holdfast login globus` has written a new one.
 */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { environment } = options;
  let cached: TokenRecord | undefined;
  let running: Promise<TokenRecord> | undefined;
  let dead: { readonly tokens: string; readonly error: DriverError } | undefined;

  async function obtain(rejected: string | undefined): Promise<TokenRecord> {
    const login = resolveLogin(options.method, environment, options.env);
    const store = options.store ?? (await openTokenStore(environment));
    const stored = await store.read(login.namespace, COMPUTE_RESOURCE_SERVER);
    if (usable(stored, rejected)) return stored;
    return withLock(store.path, async () => {
      const again = await store.read(login.namespace, COMPUTE_RESOURCE_SERVER);
      if (usable(again, rejected)) return again;
      const records =
        login.secret === undefined ? await refreshed(again, login) : await clientCredentials(environment, login.clientId, login.secret);
      // Where nothing can be written (a full or read-only home) the token serves this process; the next one renews for itself.
      await store.write(login.namespace, records).catch((error: unknown) => {
        if (!isUnwritable(error)) throw error;
      });
      const record = records.find((candidate) => candidate.resource_server === COMPUTE_RESOURCE_SERVER);
      if (!record)
        throw new DriverError(
          'needs_login',
          'HF-GLOBUS-SCOPE',
          'Globus login does not include Globus Compute. Run `holdfast login globus`.',
        );
      return record;
    });
  }

  async function refreshed(record: TokenRecord | undefined, login: Login): Promise<TokenRecord[]> {
    if (!record) {
      throw new DriverError(
        'needs_login',
        'HF-GLOBUS-LOGIN-MISSING',
        'Globus login is missing on this computer. Run `holdfast login globus`.',
      );
    }
    if (!record.refresh_token) {
      throw new DriverError(
        'needs_login',
        'HF-GLOBUS-LOGIN-EXPIRED',
        'Globus login has expired and has no refresh token. Run `holdfast login globus`.',
      );
    }
    // Both tokens, since nobody says that a new login brings another refresh token.
    const tokens = `${record.access_token} ${record.refresh_token}`;
    if (dead?.tokens === tokens) throw dead.error;
    try {
      return await refresh(environment, record, login.clientId);
    } catch (error) {
      if (error instanceof DriverError && error.class === 'needs_login') dead = { tokens, error };
      throw error;
    }
  }

  async function get(rejected: string | undefined, signal?: AbortSignal): Promise<string> {
    if (usable(cached, rejected)) return cached.access_token;
    // Of all who wait for it nobody's end ends it for the others.
    running ??= obtain(rejected).finally(() => {
      running = undefined;
    });
    cached = await unlessAborted(running, signal);
    return cached.access_token;
  }

  return {
    token: (signal) => get(undefined, signal),
    renew: (rejected, signal) => get(rejected, signal),
  };
}

function usable(record: TokenRecord | undefined, rejected: string | undefined): record is TokenRecord {
  return record !== undefined && record.access_token !== rejected && record.expires_at_seconds - Date.now() / 1000 > RENEW_BEFORE_SECONDS;
}
