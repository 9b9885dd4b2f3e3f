import type { Logger } from 'pino';
import type { SystemDriver } from '../src/systems/driver.ts';

/** What activities need from the worker that runs them. */
export interface ActivityDeps {
  /** Systems whose connection this worker holds, by name. */
  readonly drivers: ReadonlyMap<string, SystemDriver>;
  /** The namespace knows our search attributes (src/temporal/search-attributes.ts). */
  readonly hasSearchAttributes: boolean;
  readonly logger: Logger;
  /** What ${VAR} in campaign files and `env:` names are looked up in. */
  readonly env: Readonly<Record<string, string | undefined>>;
}
