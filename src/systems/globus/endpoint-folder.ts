import { join } from 'node:path';
import { z } from 'zod';
import type { EndpointFolder, EndpointMachine } from './endpoint-machine.ts';

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

/** Endpoints of a machine: every folder with a config.yaml. `globus-compute-endpoint list` itself crashes with today's texttable. */
export async function listEndpoints(machine: EndpointMachine): Promise<LocalEndpoint[]> {
  const [base, folders] = [await machine.base(), await machine.folders()];
  return folders.map((folder) => endpointOf(base, folder));
}

/** One endpoint's folder; undefined when there is none of that name. */
export async function readEndpoint(machine: EndpointMachine, name: string): Promise<LocalEndpoint | undefined> {
  return (await listEndpoints(machine)).find((endpoint) => endpoint.name === name);
}

function endpointOf(base: string, { name, hasTemplate, identity: text, pidAgeSeconds }: EndpointFolder): LocalEndpoint {
  const id = idIn(text);
  const isBeating = pidAgeSeconds !== undefined && pidAgeSeconds < ALIVE_SECONDS;
  const state = isBeating ? 'running' : pidAgeSeconds !== undefined ? 'disconnected' : id !== null ? 'registered' : 'configured';
  return { name, id, state, directory: join(base, name), hasTemplate };
}

function idIn(text: string | undefined): string | null {
  if (text === undefined) return null;
  try {
    return identity.parse(JSON.parse(text)).endpoint_id;
  } catch {
    // Half written: the next start writes it again.
    return null;
  }
}

export interface LogTail {
  readonly path: string;
  readonly lines: readonly string[];
}

/** At most this much of a log's end is read, bytes. */
const TAIL_BYTES = 1_000_000;

/** Last lines of the endpoint's own log and of its user-endpoint processes' logs (uep.<id>.*). */
export async function endpointLogs(machine: EndpointMachine, endpoint: LocalEndpoint, lines: number): Promise<LogTail[]> {
  const ends = await machine.logEnds(endpoint.name, endpoint.id, TAIL_BYTES);
  return ends.map(({ path, text }) => ({ path, lines: text.split('\n').slice(-lines) }));
}

/** The last line that says ERROR or CRITICAL, with what follows it, at most 12 lines. */
export function lastError(logs: readonly LogTail[]): string | undefined {
  for (const log of [...logs].reverse()) {
    const at = log.lines.findLastIndex((line) => /\b(ERROR|CRITICAL)\b/.test(line));
    if (at >= 0) return log.lines.slice(at, at + 12).join('\n');
  }
  return undefined;
}
