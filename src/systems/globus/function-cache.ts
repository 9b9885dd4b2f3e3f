import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../make-folder.ts';
import type { GlobusClient } from './client.ts';
import { remoteFunction } from './remote-function.ts';

const cacheFile = z.record(z.string(), z.uuid());

/** The id of our function at one service: registered once per source hash, remembered in a file (row G3). `rejected` is an id that the service does not know. */
export function functionCache(
  directory: string,
  service: string,
  login: string,
): (client: GlobusClient, rejected?: string) => Promise<string> {
  const path = join(directory, 'functions.json');
  let known: Record<string, string> | undefined;
  let running: Promise<string> | undefined;

  async function load(): Promise<Record<string, string>> {
    try {
      return cacheFile.parse(JSON.parse(await readFile(path, 'utf8')));
    } catch {
      // Missing or damaged: a second registration is only a second id.
      return {};
    }
  }

  async function obtain(client: GlobusClient, rejected: string | undefined): Promise<string> {
    const { name, source, sha256 } = remoteFunction();
    // Functions belong to the identity that registered them.
    const key = `${service} ${login} ${sha256}`;
    known ??= await load();
    const found = known[key];
    if (found !== undefined && found !== rejected) return found;
    const id = await client.registerFunction(name, source, `Holdfast trial runner ${sha256.slice(0, 12)}`);
    known = { ...(await load()), [key]: id };
    await makeFolder(directory);
    await writeFile(path, `${JSON.stringify(known, null, 2)}\n`, { mode: 0o600 });
    return id;
  }

  return (client, rejected) => {
    running ??= obtain(client, rejected).finally(() => {
      running = undefined;
    });
    return running;
  };
}
