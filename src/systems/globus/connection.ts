import { type AuthMethod, createAuthorizer } from './authorizer.ts';
import { createGlobusClient, type GlobusClient } from './client.ts';
import type { TaskTarget } from './control-tasks.ts';
import { globusEnvironment } from './environment.ts';
import { functionCache } from './function-cache.ts';
import type { GlobusDriverOptions } from './options.ts';
import { sharedBudget } from './request-budget.ts';

/** Clients by login and task targets by endpoint, for one driver or one diagnosis. */
export interface GlobusConnection {
  client(method: AuthMethod): GlobusClient;
  target(endpointId: string, method: AuthMethod, userEndpointConfig?: Readonly<Record<string, unknown>>): TaskTarget;
}

/** Makes clients and targets when they are first asked for, and keeps them. */
export function connect(
  options: Pick<GlobusDriverOptions, 'stateDirectory' | 'processEnv' | 'authorizer' | 'budget' | 'backoffMs' | 'onRequest' | 'times'>,
): GlobusConnection {
  const env = options.processEnv ?? process.env;
  const clients = new Map<AuthMethod, GlobusClient>();
  const functions = new Map<AuthMethod, ReturnType<typeof functionCache>>();
  const priorities = new Map<string, { isKnown: boolean }>();

  function client(method: AuthMethod): GlobusClient {
    let found = clients.get(method);
    if (!found) {
      const environment = globusEnvironment(env);
      found = createGlobusClient({
        baseUrl: environment.computeUrl,
        authorizer: options.authorizer ?? createAuthorizer({ method, environment, env }),
        budget: options.budget ?? sharedBudget(environment.computeUrl),
        timeoutSeconds: environment.httpTimeoutSeconds,
        ...(environment.computeProxy === undefined ? {} : { proxy: environment.computeProxy }),
        ...(options.backoffMs === undefined ? {} : { backoffMs: options.backoffMs }),
        ...(options.times?.submit === undefined ? {} : { submitSeconds: options.times.submit }),
        ...(options.onRequest === undefined ? {} : { onRequest: options.onRequest }),
      });
      clients.set(method, found);
      functions.set(
        method,
        functionCache(
          options.stateDirectory,
          environment.computeUrl,
          method === 'native_client' ? 'user' : (env.GLOBUS_COMPUTE_CLIENT_ID ?? ''),
        ),
      );
    }
    return found;
  }

  return {
    client,
    target(endpointId, method, userEndpointConfig) {
      const asked = client(method);
      let priority = priorities.get(endpointId);
      if (!priority) {
        priority = { isKnown: true };
        priorities.set(endpointId, priority);
      }
      return {
        client: asked,
        endpointId,
        priority,
        ...(userEndpointConfig === undefined ? {} : { userEndpointConfig }),
        functionId: (rejected) => (functions.get(method) as ReturnType<typeof functionCache>)(asked, rejected),
      };
    },
  };
}
