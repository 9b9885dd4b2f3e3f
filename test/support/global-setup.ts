import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import type { TestProject } from 'vitest/node';
import { cacheFolder, packageRoot } from '../../src/package-root.ts';
import { findTemporalBinary } from '../../src/temporal/server-binary.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    temporalBinary: string;
    bundleFile: string;
  }
}

const silent = () => undefined;

/** Once per run: a Temporal binary, and the workflow bundle that all tests share. */
export default async function setup(project: TestProject): Promise<() => void> {
  const temporalBinary = await findTemporalBinary((text) => console.error(text));
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(packageRoot(), 'workflows', 'index.ts'),
    logger: { trace: silent, debug: silent, info: silent, warn: console.error, error: console.error, log: silent },
  });
  // A name of its own: a second run beside this one may be of other sources, and its bundle would break what runs here (TMPRL1100).
  const bundleFile = path.join(cacheFolder(), 'test', `workflow-bundle-${process.pid}.js`);
  mkdirSync(path.dirname(bundleFile), { recursive: true });
  writeFileSync(bundleFile, code);
  project.provide('temporalBinary', temporalBinary);
  project.provide('bundleFile', bundleFile);
  return () => rmSync(bundleFile, { force: true });
}
