import { existsSync, readdirSync } from 'node:fs';

/** Names of the .yaml files in the folders, without their ending, each once. */
export function yamlNames(folders: readonly string[]): string[] {
  const files = folders.flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  return [...new Set(files.filter((file) => file.endsWith('.yaml')).map((file) => file.slice(0, -'.yaml'.length)))].sort();
}
