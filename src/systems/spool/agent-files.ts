import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { packageRoot } from '../../package-root.ts';
import { isThere, writeDurably } from './durable-write.ts';

/** The Python files that travel into every launch folder: the agent, and the helper that trainings may import. */
export const AGENT_FILES = ['agent.py', 'holdfast.py'] as const;

export interface AgentSource {
  readonly sha256: string;
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

/** The agent's files as this version ships them, and the digest that names their folder. */
export async function readAgentSource(): Promise<AgentSource> {
  const files = await Promise.all(
    AGENT_FILES.map(async (name) => ({ name, text: await readFile(path.join(packageRoot(), 'remote', name), 'utf8') })),
  );
  const hash = createHash('sha256');
  for (const { name, text } of files) hash.update(`${name} ${text.length}\n${text}`);
  return { sha256: hash.digest('hex'), files };
}

/** Puts the agent at `<launch>/agent/<sha256>/agent.py`: a new version lies beside the one that runs. Returns the path of agent.py. */
export async function placeAgent(source: AgentSource, launchDirectory: string): Promise<string> {
  const folder = path.join(launchDirectory, 'agent', source.sha256.slice(0, 16));
  await makeFolder(folder);
  for (const { name, text } of source.files) {
    const file = path.join(folder, name);
    if (!(await isThere(file))) await writeDurably(file, text);
  }
  return path.join(folder, 'agent.py');
}
