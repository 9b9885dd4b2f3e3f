import { createAuthorizer, resolveLogin } from './authorizer.ts';
import { type DoctorContext, type DoctorFinding, fail, LOGIN, ok, skip, usesClient, warn } from './doctor-findings.ts';
import { globusEnvironment } from './environment.ts';
import { dayOf, loginEnd, loginWarning } from './login-end.ts';
import { COMPUTE_RESOURCE_SERVER } from './oauth.ts';
import { openTokenStore } from './token-store.ts';

export async function storedLogin(context: DoctorContext): Promise<DoctorFinding> {
  const environment = globusEnvironment(context.env);
  const login = resolveLogin(context.authMethod, environment, context.env);
  if (login.secret !== undefined) return ok(`client ${login.clientId} from the environment`);
  const store = await openTokenStore(environment);
  const record = await store.read(login.namespace, COMPUTE_RESOURCE_SERVER);
  if (!record) return fail(`no Globus login (${store.path})`, LOGIN);
  if (!record.refresh_token) return warn('the login has no refresh token: it ends with its access token', LOGIN);
  return ok(`login stored in ${store.path}`);
}

export async function lastingLogin(context: DoctorContext): Promise<DoctorFinding> {
  if (usesClient(context)) return skip('a client of its own: its login has no end');
  const end = await loginEnd(context.authMethod, context.env, context.loginDays);
  if (end === undefined) return skip('no login that is renewed');
  const warning = loginWarning(end);
  return warning === undefined ? ok(`until ${dayOf(end.endsAt)}`) : warn(warning, LOGIN);
}

export async function liveLogin(context: DoctorContext): Promise<DoctorFinding> {
  await context.client?.version();
  return ok('the service takes the login');
}

export async function clientLogin(context: DoctorContext): Promise<DoctorFinding> {
  if (!usesClient(context)) return skip('globus_compute.auth_method is native_client');
  const environment = globusEnvironment(context.env);
  await createAuthorizer({ method: context.authMethod, environment, env: context.env }).token();
  return ok('Globus Auth takes client id and secret');
}
