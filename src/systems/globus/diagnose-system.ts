import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BadSpec } from '../../spec/bad-spec.ts';
import type { GlobusProfile } from '../../spec/profile.ts';
import { DriverError } from '../driver.ts';
import { AUTH_METHODS, createAuthorizer } from './authorizer.ts';
import { connect } from './connection.ts';
import { runDoctor } from './doctor.ts';
import type { DoctorContext, DoctorVerdict } from './doctor-findings.ts';
import { localProgram } from './endpoint-command.ts';
import { listEndpoints } from './endpoint-folder.ts';
import { localMachine } from './endpoint-machine.ts';
import { type Environment, globusEnvironment } from './environment.ts';
import { readEndpointSettings } from './read-endpoint-settings.ts';

/** A line of `holdfast doctor`, in the shape that its other parts use. */
export interface GlobusFinding {
  readonly id: string;
  readonly title: string;
  readonly status: Lowercase<DoctorVerdict>;
  readonly found: string;
  /** The one command that mends it. */
  readonly advice?: string;
}

export interface DiagnoseOptions {
  /** Absent: the profile's own, or HOLDFAST_ENDPOINT_ID. */
  readonly endpointId?: string;
  /** config/globus_endpoint.yaml; rows about it are skipped where it is not. */
  readonly endpointFile?: string;
  readonly maxConcurrent?: number;
  readonly dataDir?: string;
}

/**
 * Every row of the table for one Globus Compute system. Without a login the offline rows only: nothing is asked of the service, nobody is asked anything.
 * Tasks run only where the endpoint is online. Never throws for what is a finding.
 */
export async function diagnoseGlobus(profile: GlobusProfile, env: Environment, options: DiagnoseOptions = {}): Promise<GlobusFinding[]> {
  const context = await contextOf(profile, env, options);
  const findings = await runDoctor(context);
  return findings.map(({ id, title, verdict, message, fix }) => ({
    id,
    title,
    status: verdict.toLowerCase() as Lowercase<DoctorVerdict>,
    found: message,
    ...(fix === undefined ? {} : { advice: `Run: ${fix}` }),
  }));
}

async function contextOf(profile: GlobusProfile, env: Environment, options: DiagnoseOptions): Promise<DoctorContext> {
  const endpointId = options.endpointId ?? profile.endpointId ?? env.HOLDFAST_ENDPOINT_ID;
  const authMethod = AUTH_METHODS.find((method) => method === env.HOLDFAST_GLOBUS_AUTH) ?? 'native_client';
  const endpoints = await listEndpoints(localMachine(env));
  const here = endpoints.find((endpoint) => endpoint.id !== null && endpoint.id === endpointId) ?? endpoints[0];
  const endpointSettings = await settingsIn(options.endpointFile ?? 'config/globus_endpoint.yaml');
  const base: DoctorContext = {
    env,
    authMethod,
    run: localProgram(env),
    loginDays: profile.loginDays,
    setup: profile.setup,
    modules: [],
    taskSeconds: 120,
    ...(endpointId === undefined ? {} : { endpointId }),
    ...(here === undefined ? {} : { endpointName: here.name }),
    ...(endpointSettings === undefined ? {} : { endpointSettings }),
    ...(options.maxConcurrent === undefined ? {} : { maxConcurrent: options.maxConcurrent }),
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    ...(profile.python === undefined ? {} : { python: profile.python }),
    ...(profile.base === undefined ? {} : { base: profile.base }),
  };
  if (!(await isLoggedIn(authMethod, env))) return base;
  const connection = connect({
    stateDirectory: join(env.XDG_STATE_HOME || tmpdir(), `holdfast-doctor-${process.getuid?.() ?? ''}`),
    processEnv: env,
  });
  const client = connection.client(authMethod);
  if (endpointId === undefined) return { ...base, client };
  const isOnline = await client.endpointStatus(endpointId).then(
    ({ status }) => status === 'online',
    // The row about the endpoint says what is wrong.
    () => false,
  );
  return { ...base, client, ...(isOnline ? { target: connection.target(endpointId, authMethod, profile.userEndpointConfig) } : {}) };
}

async function isLoggedIn(method: (typeof AUTH_METHODS)[number], env: Environment): Promise<boolean> {
  try {
    await createAuthorizer({ method, environment: globusEnvironment(env), env }).token();
    return true;
  } catch (error) {
    if (error instanceof DriverError) return false;
    throw error;
  }
}

/** An endpoint file with mistakes is for `holdfast endpoint validate`; here its rows are skipped. */
async function settingsIn(file: string): Promise<DoctorContext['endpointSettings']> {
  try {
    return readEndpointSettings(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof BadSpec || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
