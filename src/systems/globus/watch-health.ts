import type { HealthFinding, HealthStatus } from '../../domain/health.ts';
import type { AuthMethod } from './authorizer.ts';
import type { GlobusConnection } from './connection.ts';
import { GLOBUS_CHECKS, runDoctor } from './doctor.ts';
import type { DoctorContext, DoctorFinding } from './doctor-findings.ts';
import { localProgram } from './endpoint-command.ts';
import type { Environment } from './environment.ts';

/** An endpoint that is in use, and with which login. */
export interface WatchedEndpoint {
  readonly id: string;
  readonly authMethod: AuthMethod;
}

/**
 * The rows of doctor that a machine may ask at any time: login once for each method, then each endpoint's state and versions. Runs no task, asks nobody. Without
 * a login the endpoints are skipped, since nobody can say how they are. Never throws for what is a finding.
 */
export async function watchHealth(
  connection: Pick<GlobusConnection, 'client'>,
  env: Environment,
  endpoints: readonly WatchedEndpoint[],
  fallback: AuthMethod,
  loginDays: number | undefined,
): Promise<HealthFinding[]> {
  const findings: HealthFinding[] = [];
  const methods = endpoints.length === 0 ? [fallback] : [...new Set(endpoints.map(({ authMethod }) => authMethod))];
  for (const authMethod of methods) {
    const context: DoctorContext = {
      env,
      authMethod,
      ...(loginDays === undefined ? {} : { loginDays }),
      run: localProgram(env),
      taskSeconds: 0,
      client: connection.client(authMethod),
    };
    const login = await rows('login', context, methods.length > 1 ? authMethod : undefined);
    findings.push(...login);
    const mine = endpoints.filter((endpoint) => endpoint.authMethod === authMethod);
    if (login.some(({ status }) => status === 'fail')) findings.push(...mine.flatMap(({ id }) => unasked(id)));
    else for (const { id } of mine) findings.push(...(await rows('endpoint', { ...context, endpointId: id }, id)));
  }
  if (endpoints.length === 0) {
    findings.push({
      id: 'TS8',
      title: 'endpoint online',
      status: 'skip',
      found: 'no endpoint is in use or configured',
      advice: 'Name one: endpoint_id of the profile, HOLDFAST_ENDPOINT_ID for the worker, or holdfast health SYSTEM -e ID',
    });
  }
  return findings;
}

async function rows(watch: 'login' | 'endpoint', context: DoctorContext, about: string | undefined): Promise<HealthFinding[]> {
  const found = await runDoctor(
    context,
    GLOBUS_CHECKS.filter((check) => check.watch === watch),
  );
  return found.map(({ id, title, ...finding }) => toHealth(id, title, about, finding));
}

function toHealth(id: string, title: string, about: string | undefined, finding: DoctorFinding): HealthFinding {
  return {
    id,
    title,
    ...(about === undefined ? {} : { about }),
    status: finding.verdict.toLowerCase() as HealthStatus,
    found: finding.message,
    ...(finding.fix === undefined ? {} : { advice: `Run: ${finding.fix}` }),
    ...(finding.versions === undefined ? {} : { versions: finding.versions }),
  };
}

function unasked(endpointId: string): HealthFinding[] {
  return GLOBUS_CHECKS.filter((check) => check.watch === 'endpoint').map(({ id, title }) => ({
    id,
    title,
    about: endpointId,
    status: 'skip',
    found: 'not asked: the login does not work',
  }));
}
