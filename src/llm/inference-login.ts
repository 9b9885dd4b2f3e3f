import { createHash, randomBytes } from 'node:crypto';
import { DriverError } from '../systems/driver.ts';
import { type Environment, globusEnvironment } from '../systems/globus/environment.ts';
import { finishNativeLogin, type LoginAttempt } from '../systems/globus/oauth.ts';
import { storeLogin } from './globus-token-file.ts';
import type { GlobusLogin } from './options.ts';

/**
 * Starts a person's login for an inference service: a link for their browser (OAuth 2 authorization code with PKCE, RFC 7636; session parameters of Globus
 * Auth). `force` asks for the password even where a session is alive.
 */
export function startInferenceLogin(login: GlobusLogin, env: Environment, force = false): LoginAttempt {
  const environment = globusEnvironment(env);
  const verifier = randomBytes(48).toString('base64url');
  const redirectUri = `${environment.authUrl}/v2/web/auth-code`;
  const query = new URLSearchParams({
    client_id: login.clientId,
    redirect_uri: redirectUri,
    scope: login.scope,
    state: '_default',
    response_type: 'code',
    access_type: 'offline',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    prefill_named_grant: 'Holdfast',
    ...(login.domains.length === 0 ? {} : { session_required_single_domain: login.domains.join(',') }),
    ...(login.sessionPolicy === undefined ? {} : { session_required_policies: login.sessionPolicy }),
    ...(force ? { prompt: 'login' } : {}),
  });
  return { url: `${environment.authUrl}/v2/oauth2/authorize?${query}`, clientId: login.clientId, verifier, redirectUri };
}

/**
 * Exchanges the code for tokens and stores them (mode 0600). Returns the file's name.
 * @throws DriverError needs_login when the code is refused or brings no token for the service; transport when Globus Auth does not answer.
 */
export async function finishInferenceLogin(login: GlobusLogin, env: Environment, attempt: LoginAttempt, code: string): Promise<string> {
  const records = await finishNativeLogin(globusEnvironment(env), attempt, code);
  if (!records.some((record) => record.resource_server === login.resourceServer)) {
    throw new DriverError(
      'needs_login',
      'HF-LLM-LOGIN',
      'The login brought no token for the inference service. Log in again and give consent.',
    );
  }
  return storeLogin(login, env, records);
}
