import type { AuthMethod } from './authorizer.ts';
import type { GlobusClient } from './client.ts';
import type { TaskTarget } from './control-tasks.ts';
import type { RunProgram } from './endpoint-command.ts';
import type { EndpointSettings } from './endpoint-settings.ts';
import type { Environment } from './environment.ts';

export type DoctorVerdict = 'OK' | 'WARN' | 'FAIL' | 'SKIP';

/** One finding. `fix` is the one command that mends it. */
export interface DoctorFinding {
  readonly verdict: DoctorVerdict;
  readonly message: string;
  readonly fix?: string;
  /** Versions seen, by name. */
  readonly versions?: Readonly<Record<string, string>>;
}

/** What the checks of one system start from. */
export interface DoctorContext {
  readonly env: Environment;
  readonly authMethod: AuthMethod;
  /** Days after which the site ends a login; 30 when absent. */
  readonly loginDays?: number;
  /** Runs programs on this machine; the scheduler's rows use it where the scheduler is. */
  readonly run: RunProgram;
  readonly endpointName?: string;
  readonly endpointId?: string;
  readonly endpointSettings?: EndpointSettings;
  readonly maxConcurrent?: number;
  readonly client?: GlobusClient;
  readonly target?: TaskTarget;
  readonly base?: string;
  readonly python?: string;
  readonly setup?: readonly string[];
  readonly modules?: readonly string[];
  readonly dataDir?: string;
  readonly dataset?: 'cifar100';
  /** Seconds for a task of the checks to run. */
  readonly taskSeconds: number;
}

export const ok = (message: string): DoctorFinding => ({ verdict: 'OK', message });
export const skip = (message: string): DoctorFinding => ({ verdict: 'SKIP', message });
export const warn = (message: string, fix?: string): DoctorFinding => ({ verdict: 'WARN', message, ...(fix === undefined ? {} : { fix }) });
export const fail = (message: string, fix: string): DoctorFinding => ({ verdict: 'FAIL', message, fix });

export const LOGIN = 'holdfast login globus';
export const usesClient = (context: DoctorContext) => context.authMethod !== 'native_client';
