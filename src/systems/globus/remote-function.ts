import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../package-root.ts';

/** Name of the one function that workers execute; its source is remote/globus_task.py, word for word. */
export const FUNCTION_NAME = 'holdfast_task';

export interface RemoteFunction {
  readonly name: string;
  readonly source: string;
  readonly sha256: string;
}

let loaded: RemoteFunction | undefined;

/** The fixed function source with its hash: nothing else is ever sent to be executed (row S27). */
export function remoteFunction(): RemoteFunction {
  if (!loaded) {
    const source = readFileSync(join(packageRoot(), 'remote', 'globus_task.py'), 'utf8');
    loaded = { name: FUNCTION_NAME, source, sha256: createHash('sha256').update(source).digest('hex') };
  }
  return loaded;
}
