import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { DriverError } from '../driver.ts';
import { type GlobusEnvironment, userAgent } from './environment.ts';
import { fetchThrough, proxyRefusal } from './proxy.ts';
import type { TokenRecord } from './token-store.ts';

/** The scope of all Globus Compute calls and the name of its resource server. */
export const COMPUTE_SCOPE = 'https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all';
export const COMPUTE_RESOURCE_SERVER = 'funcx_service';
/** The SDK's native client, so that its stored logins serve us; GLOBUS_COMPUTE_CLIENT_ID alone names another native client. */
export const NATIVE_CLIENT_ID = '4cf29807-cf21-49ec-9443-ff9a3fb9f81c';

const token = z.looseObject({
  access_token: z.string(),
  scope: z.string(),
  expires_in: z.number(),
  token_type: z.string().nullish(),
  resource_server: z.string(),
  refresh_token: z.string().nullish(),
});
const tokenAnswer = token.extend({ other_tokens: z.array(token).default([]), id_token: z.string().nullish() });

export interface LoginAttempt {
  /** The page where the user consents and gets a code. */
  readonly url: string;
  readonly clientId: string;
  readonly verifier: string;
  readonly redirectUri: string;
}

/** Starts the native flow (OAuth 2 authorization code with PKCE, RFC 7636): a link for the user's browser. */
export function startNativeLogin(environment: GlobusEnvironment, clientId: string = NATIVE_CLIENT_ID): LoginAttempt {
  const verifier = randomBytes(48).toString('base64url');
  const redirectUri = `${environment.authUrl}/v2/web/auth-code`;
  const query = new URLSearchParams({
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: `${COMPUTE_SCOPE} openid`,
    state: '_default',
    response_type: 'code',
    access_type: 'offline',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    prefill_named_grant: 'Holdfast',
  });
  return { url: `${environment.authUrl}/v2/oauth2/authorize?${query}`, clientId, verifier, redirectUri };
}

/** Exchanges the code that the user brought for tokens. Throws DriverError needs_login when the service refuses the code. */
export async function finishNativeLogin(environment: GlobusEnvironment, attempt: LoginAttempt, code: string): Promise<TokenRecord[]> {
  return requestTokens(environment, {
    grant_type: 'authorization_code',
    client_id: attempt.clientId,
    code: code.trim(),
    code_verifier: attempt.verifier,
    redirect_uri: attempt.redirectUri,
  });
}

/** A fresh access token for a stored refresh token. Globus keeps the refresh token itself. */
export async function refresh(environment: GlobusEnvironment, record: TokenRecord, clientId: string): Promise<TokenRecord[]> {
  const records = await requestTokens(environment, {
    grant_type: 'refresh_token',
    refresh_token: record.refresh_token ?? '',
    client_id: clientId,
  });
  return records.map((fresh) => ({
    ...fresh,
    refresh_token: fresh.refresh_token ?? (fresh.resource_server === record.resource_server ? record.refresh_token : null),
    identity_id: fresh.identity_id ?? record.identity_id,
  }));
}

/** Tokens of a confidential client (client credentials grant). */
export async function clientCredentials(environment: GlobusEnvironment, clientId: string, secret: string): Promise<TokenRecord[]> {
  const basic = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`).toString('base64');
  return requestTokens(environment, { grant_type: 'client_credentials', scope: COMPUTE_SCOPE }, `Basic ${basic}`);
}

async function requestTokens(
  environment: GlobusEnvironment,
  form: Readonly<Record<string, string>>,
  authorization?: string,
): Promise<TokenRecord[]> {
  let status: number;
  let text: string;
  try {
    const response = await fetchThrough(environment.authProxy, `${environment.authUrl}/v2/oauth2/token`, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded;charset=UTF-8',
        'user-agent': userAgent(),
        ...(authorization ? { authorization } : {}),
      },
      body: new URLSearchParams(form).toString(),
      redirect: 'manual',
      signal: AbortSignal.timeout(environment.httpTimeoutSeconds * 1000),
    });
    status = response.status;
    text = await response.text();
  } catch (cause) {
    throw new DriverError(
      'transport',
      'HF-GLOBUS-AUTH-UNREACHABLE',
      `Globus Auth did not answer (${proxyRefusal(cause, environment.authProxy) ?? environment.authUrl}). It is tried again.`,
      { cause },
    );
  }
  if (status === 429 || status >= 500 || (status >= 300 && status < 400)) {
    throw new DriverError('transport', 'HF-GLOBUS-AUTH-UNREACHABLE', `Globus Auth answered HTTP ${status}. It is tried again.`);
  }
  // Globus Auth refuses in JSON; a page is a proxy's, a portal's or a firewall's, and a login that still stands must not be given up for it.
  if (status !== 200 && status !== 401 && !isObject(text))
    throw new DriverError(
      'transport',
      'HF-GLOBUS-AUTH-UNREACHABLE',
      `something else than Globus Auth answered with HTTP ${status} (a proxy or firewall?). It is tried again.`,
    );
  if (status !== 200) throw refusal(status, text, form.grant_type ?? '');
  let answer: z.infer<typeof tokenAnswer>;
  try {
    answer = tokenAnswer.parse(JSON.parse(text));
  } catch (cause) {
    throw new DriverError(
      'transport',
      'HF-GLOBUS-AUTH-UNREACHABLE',
      'Globus Auth answered something that is no token. It is tried again.',
      { cause },
    );
  }
  const now = Math.floor(Date.now() / 1000);
  const identity = subject(answer.id_token);
  return [answer, ...answer.other_tokens].map((entry) => ({
    resource_server: entry.resource_server,
    identity_id: identity,
    scope: entry.scope,
    access_token: entry.access_token,
    refresh_token: entry.refresh_token ?? null,
    expires_at_seconds: now + entry.expires_in,
    token_type: entry.token_type ?? 'Bearer',
  }));
}

/** What a refused grant means for the user, by grant. */
const REFUSALS: Readonly<Record<string, readonly [code: string, text: string]>> = {
  authorization_code: ['HF-GLOBUS-CODE', 'code was refused. Open the link again and copy the whole new code.'],
  refresh_token: ['HF-GLOBUS-LOGIN-EXPIRED', 'login has expired or was revoked. Run `holdfast login globus`.'],
  client_credentials: [
    'HF-GLOBUS-CLIENT-INVALID',
    'client id or secret is refused. Check GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET.',
  ],
};

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    // A page of a proxy, say.
    return false;
  }
}

function refusal(status: number, text: string, grant: string): DriverError {
  const [code, say] = REFUSALS[grant] ?? ['HF-GLOBUS-LOGIN-EXPIRED', 'login was refused. Run `holdfast login globus`.'];
  const named = /"error"\s*:\s*"([\w-]{1,60})"/.exec(text)?.[1];
  return new DriverError('needs_login', code, `Globus ${say} (HTTP ${status}${named ? ` ${named}` : ''})`);
}

/** `sub` of an id token; it came over TLS from the token endpoint itself, so its signature adds nothing (OpenID Connect Core 3.1.3.7). */
function subject(idToken: string | null | undefined): string | null {
  const part = idToken?.split('.')[1];
  if (!part) return null;
  try {
    const { sub } = JSON.parse(Buffer.from(part, 'base64url').toString()) as { sub?: unknown };
    return typeof sub === 'string' ? sub : null;
  } catch {
    // The login stands without a name.
    return null;
  }
}
