import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** One endpoint as its folder shows it; the service may know better (see `endpoint status`). */
export interface LocalEndpoint {
  readonly name: string;
  readonly id: string | null;
  /** running: its pid file was touched in the last 30 s, as the endpoint itself judges. */
  readonly state: 'configured' | 'registered' | 'running' | 'disconnected';
  readonly directory: string;
  readonly hasTemplate: boolean;
}

const identity = z.looseObject({ endpoint_id: z.string() });
/** The endpoint touches daemon.pid every 15 s. */
const ALIVE_SECONDS = 30;

/** Endpoints of this computer: every folder with a config.yaml. `globus-compute-endpoint list` itself crashes with today's texttable. */
export async function listEndpoints(base: string, now: number = Date.now()): Promise<LocalEndpoint[]> {
  const names = await readdir(base).catch(() => []);
  const found = await Promise.all(names.sort().map((name) => readEndpoint(base, name, now)));
  return found.filter((endpoint) => endpoint !== undefined);
}

/** One endpoint's folder; undefined when there is none of that name. */
export async function readEndpoint(base: string, name: string, now: number = Date.now()): Promise<LocalEndpoint | undefined> {
  const directory = join(base, name);
  if (!(await exists(join(directory, 'config.yaml')))) return undefined;
  const pid = await stat(join(directory, 'daemon.pid')).catch(() => undefined);
  const id = await readFile(join(directory, 'endpoint.json'), 'utf8')
    .then((text) => identity.parse(JSON.parse(text)).endpoint_id)
    .catch(() => null);
  const beating = pid !== undefined && now - pid.mtimeMs < ALIVE_SECONDS * 1000;
  const state = beating ? 'running' : pid !== undefined ? 'disconnected' : id !== null ? 'registered' : 'configured';
  return { name, id, state, directory, hasTemplate: await exists(join(directory, 'user_config_template.yaml.j2')) };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

export interface LogTail {
  readonly path: string;
  readonly lines: readonly string[];
}

/** Last lines of the endpoint's own log and of its user-endpoint processes' logs (uep.<id>.*). */
export async function endpointLogs(base: string, endpoint: LocalEndpoint, lines: number): Promise<LogTail[]> {
  const children = endpoint.id === null ? [] : (await readdir(base)).filter((name) => name.startsWith(`uep.${endpoint.id}.`)).sort();
  const paths = [endpoint.directory, ...children.map((name) => join(base, name))].map((directory) => join(directory, 'endpoint.log'));
  const tails = await Promise.all(paths.map(async (path) => ({ path, lines: await tail(path, lines) })));
  return tails.filter((part) => part.lines.length > 0);
}

/** At most this much of a log's end is read, bytes. */
const TAIL_BYTES = 1_000_000;

async function tail(path: string, lines: number): Promise<string[]> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return [];
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, TAIL_BYTES);
    const buffer = Buffer.alloc(length);
    await handle.read(buffer, 0, length, size - length);
    const text = buffer.toString('utf8').trimEnd();
    return text === '' ? [] : text.split('\n').slice(-lines);
  } finally {
    await handle.close();
  }
}

/** The last line that says ERROR or CRITICAL, with what follows it, at most 12 lines. */
export function lastError(logs: readonly LogTail[]): string | undefined {
  for (const log of [...logs].reverse()) {
    const at = log.lines.findLastIndex((line) => /\b(ERROR|CRITICAL)\b/.test(line));
    if (at >= 0) return log.lines.slice(at, at + 12).join('\n');
  }
  return undefined;
}
