import { DriverError } from '../systems/driver.ts';
import { resolveLogin } from '../systems/globus/authorizer.ts';
import { type Environment, globusEnvironment } from '../systems/globus/environment.ts';
import { noteLogin } from '../systems/globus/login-end.ts';
import { COMPUTE_RESOURCE_SERVER, clientCredentials, finishNativeLogin, startNativeLogin } from '../systems/globus/oauth.ts';
import { openTokenStore } from '../systems/globus/token-store.ts';
import { askLine } from './ask-line.ts';

export interface LoginIo {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly env?: Environment;
}

/**
 * `holdfast login globus [--client]`: prints the link, takes the code, stores the tokens (mode 0600). With `client`, checks the client id and secret of
 * the environment instead. Returns the namespace it logged in. Throws DriverError needs_login when Globus refuses.
 */
export async function loginGlobus(options: { readonly client?: boolean }, io: LoginIo): Promise<string> {
  const env = io.env ?? process.env;
  const environment = globusEnvironment(env);
  const login = resolveLogin(options.client ? 'confidential_client' : 'native_client', environment, env);
  const store = await openTokenStore(environment);
  if (login.secret !== undefined) {
    await store.write(login.namespace, await clientCredentials(environment, login.clientId, login.secret));
    io.output.write(`Client ${login.clientId} is logged in to Globus Compute (${store.path}).\n`);
    return login.namespace;
  }
  const attempt = startNativeLogin(environment, login.clientId);
  io.output.write(
    `Login to Globus Compute. Open this link in any browser, log in, and copy the Authorization Code that it shows:\n\n${attempt.url}\n\n`,
  );
  const code = await askLine(io.input, io.output, 'Globus Compute, Authorization Code: ');
  if (!code?.trim())
    throw new DriverError(
      'needs_login',
      'HF-GLOBUS-CODE',
      'No code was typed. Run `holdfast login globus` in a terminal and bring it the code.',
    );
  const records = await finishNativeLogin(environment, attempt, code);
  const lasting = records.find((record) => record.resource_server === COMPUTE_RESOURCE_SERVER);
  if (lasting === undefined)
    throw new DriverError(
      'needs_login',
      'HF-GLOBUS-SCOPE',
      'The login brought no token for Globus Compute. Log in again and give consent.',
    );
  await store.write(login.namespace, records);
  if (lasting.refresh_token) await noteLogin(environment, login.namespace, lasting, Date.now(), true);
  io.output.write(`You are logged in to Globus Compute (${store.path}).\n`);
  return login.namespace;
}

/** `holdfast logout globus`: forgets the tokens of this computer. */
export async function logoutGlobus(io: LoginIo): Promise<void> {
  const environment = globusEnvironment(io.env ?? process.env);
  const store = await openTokenStore(environment);
  await store.remove(`user/${environment.name}`);
  io.output.write(`The Globus login was removed from ${store.path}.\n`);
}
