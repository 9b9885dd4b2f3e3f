import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { GlobusSettings } from '../../spec/globus-settings.ts';
import { concurrencyWarning, workersOf } from './endpoint-settings.ts';
import { readEndpointSettings } from './read-endpoint-settings.ts';

/** What a campaign's endpoint can run at once, as its own file says. */
export interface EndpointCapacity {
  /** Workers × nodes × blocks. */
  readonly workers: number;
  /** The campaign wants more trials at once than that (row S26). */
  readonly warning?: string;
}

/** Options of the endpoint's template that a campaign may set and that change how many workers there are. */
const SIZES = ['max_workers_per_node', 'nodes_per_block', 'max_blocks'] as const;

/**
 * Reads `globus_compute.endpoint_config_path` (relative to `folder`), with the campaign's `user_endpoint_config` over it. Undefined when the campaign names
 * no file or it is not on this computer. Throws BadSpec for a file with mistakes, each by name.
 */
export async function endpointCapacity(
  settings: Pick<GlobusSettings, 'endpointConfigPath' | 'userEndpointConfig'>,
  folder: string,
  concurrency: number | undefined,
): Promise<EndpointCapacity | undefined> {
  const { endpointConfigPath: path, userEndpointConfig = {} } = settings;
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(resolve(folder, path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const chosen = SIZES.flatMap((name) => (typeof userEndpointConfig[name] === 'number' ? [[name, userEndpointConfig[name]]] : []));
  const endpoint = { ...readEndpointSettings(text, path), ...Object.fromEntries(chosen) };
  const warning = concurrency === undefined ? undefined : concurrencyWarning(endpoint, concurrency);
  return { workers: workersOf(endpoint), ...(warning === undefined ? {} : { warning }) };
}
