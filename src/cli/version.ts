import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../package-root.ts';
import type { Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';

/** What a report of a fault should name. */
export function versions(): Readonly<Record<'holdfast' | 'node' | 'temporal_sdk' | 'platform', string>> {
  const read = (file: string) => (JSON.parse(readFileSync(path.join(packageRoot(), file), 'utf8')) as { version: string }).version;
  return {
    holdfast: read('package.json'),
    node: process.versions.node,
    temporal_sdk: read('node_modules/@temporalio/client/package.json'),
    platform: `${process.platform} ${process.arch}`,
  };
}

/** `holdfast version`. */
export async function version(options: CommonOptions, io: CliIo): Promise<Exit> {
  const known = versions();
  const text = `holdfast ${known.holdfast} (Node ${known.node}, Temporal SDK ${known.temporal_sdk}, ${known.platform})`;
  print(io, options, known, text);
  return 'ok';
}
