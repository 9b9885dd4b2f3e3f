import { resolve } from 'node:path';
import { z } from 'zod';
import type { GlobusSettings } from '../../spec/globus-settings.ts';
import { DriverError } from '../driver.ts';
import { AUTH_METHODS } from './authorizer.ts';
import { SUBMIT_SECONDS } from './client.ts';
import type { Environment } from './environment.ts';
import type { RequestBudget } from './request-budget.ts';
import type { Authorizer } from './transport.ts';

/** What a Globus Compute system is for the worker; facts of the site come from its profile. */
export interface GlobusDriverOptions {
  /** Name of the system (its profile). */
  readonly name: string;
  /** Folder of the worker for the driver's own durable facts. */
  readonly stateDirectory: string;
  /** Folder under which local launch folders are made when `working_dirs.local_base` is relative. */
  readonly workingFolder?: string;
  /** The profile's endpoint: watched by the health check also while no campaign uses it. */
  readonly endpointId?: string;
  /** Days after which the site ends a person's login; 30 when absent. */
  readonly loginDays?: number;
  /** Base folder on the endpoint when the campaign names none. */
  readonly base?: string;
  readonly python?: string;
  /** Shell lines before the agent: modules, virtual environments (the endpoint's worker_init is the better place). */
  readonly setup?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Trials at once: workers × nodes × blocks of the endpoint. */
  readonly workers: number;
  /** Trials that wait at the endpoint beyond its workers. */
  readonly prefetch?: number;
  /** Seconds between looks. */
  readonly pollSeconds?: number;
  readonly userEndpointConfig?: Readonly<Record<string, unknown>>;
  readonly processEnv?: Environment;
  /** For tests: another login, another budget, shorter times. */
  readonly authorizer?: Authorizer;
  readonly budget?: RequestBudget;
  readonly backoffMs?: number;
  readonly times?: Partial<DriverTimes>;
  readonly onRequest?: (method: string, path: string) => void;
}

/** Times in seconds that decide how patient the driver is. */
export interface DriverTimes {
  /** For the answer to a submission, which waits for a cold user endpoint to start. */
  readonly submit: number;
  /** Until an empty list of the task group is believed after a lost answer. */
  readonly settle: number;
  /** Without a new heartbeat an agent counts as dead. */
  readonly stale: number;
  /** Between heartbeats of an agent, and its looks for stop files. */
  readonly heartbeat: number;
  readonly agentPoll: number;
  /** Between checks of endpoint status and console. */
  readonly health: number;
  /** Between looks at the file system while nothing seems wrong. */
  readonly lossCheck: number;
  /** For one small task to run, queue time included. */
  readonly control: number;
  /** For files that did not come with an end to be fetched. */
  readonly fetch: number;
  /** For a campaign's end to reach the endpoint. */
  readonly close: number;
  /** For the end of an attempt that is to stop on an endpoint that is offline. */
  readonly unreachable: number;
}

export const DEFAULT_TIMES: DriverTimes = {
  submit: SUBMIT_SECONDS,
  settle: 5,
  stale: 120,
  heartbeat: 10,
  agentPoll: 2,
  health: 60,
  lossCheck: 600,
  control: 7_200,
  fetch: 120,
  close: 120,
  unreachable: 1_800,
};
/** Bytes of an attempt's files that travel with its end (compressed, base64). */
export const INLINE_BYTES = 60_000;
/** Larger files stay on the endpoint; logs, which compress well, come as long as they are not rotated later than by default (limits.log_bytes). */
export const COLLECT_BYTES = 32_000_000;
export const COLLECT_LOG_BYTES = 52_000_000;

const settingsSchema = z.object({
  endpointId: z.uuid(),
  endpointConfigPath: z.string().optional(),
  authMethod: z.enum(AUTH_METHODS).default('native_client'),
  functionTimeoutSeconds: z.number().positive().default(3_600),
  maxRetries: z.int().nonnegative().default(2),
  liveMetrics: z.boolean().optional(),
  userEndpointConfig: z.record(z.string(), z.unknown()).optional(),
});

/** `SystemChoice.settings` of a campaign. Throws DriverError refused. */
export function campaignSettings(settings: Readonly<Record<string, unknown>>): GlobusSettings {
  const parsed = settingsSchema.safeParse(settings);
  if (!parsed.success) {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-SETTINGS',
      `globus_compute settings cannot be used: ${z.prettifyError(parsed.error)}. Mend the campaign file.`,
    );
  }
  return parsed.data as GlobusSettings;
}

/** Where a campaign's results lie on this computer. */
export function localLaunchDirectory(options: GlobusDriverOptions, localBase: string, launch: string): string {
  return resolve(options.workingFolder ?? process.cwd(), localBase, launch);
}
