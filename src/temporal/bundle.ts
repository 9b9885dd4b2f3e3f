import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from '@temporalio/worker';

/** Where `npm run build` puts the workflow bundle; a worker starts in 1–3 s with it instead of 5. */
const PREBUILT = new URL('../../workflow-bundle.js', import.meta.url);

/** The workflows for a worker: the prebuilt bundle beside the compiled code, else the sources. */
export function workflowSource(bundleFile?: string): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> {
  const prebuilt = bundleFile ?? fileURLToPath(PREBUILT);
  if (existsSync(prebuilt)) return { workflowBundle: { codePath: prebuilt } };
  const compiled = fileURLToPath(new URL('../../workflows/index.js', import.meta.url));
  return { workflowsPath: existsSync(compiled) ? compiled : compiled.replace(/\.js$/, '.ts') };
}
