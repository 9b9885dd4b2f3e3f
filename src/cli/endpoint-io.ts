import { didYouMean } from '../spec/problem.ts';
import { DriverError } from '../systems/driver.ts';
import { endpointProgram } from '../systems/globus/endpoint-command.ts';
import { type LocalEndpoint, listEndpoints } from '../systems/globus/endpoint-folder.ts';
import { type EndpointMachine, localMachine } from '../systems/globus/endpoint-machine.ts';
import type { Environment } from '../systems/globus/environment.ts';

/** What the endpoint commands need from outside; tests give their own. */
export interface EndpointIo {
  readonly env: Environment;
  readonly write: (text: string) => void;
  /** Where the endpoints are. */
  readonly machine: EndpointMachine;
  /** The endpoint's program on that machine. */
  readonly program: string;
  /** For a login node that asks for a passcode. */
  readonly terminal?: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream };
}

/** Standard output, and the endpoints and the program of this machine. */
export function endpointIo(env: Environment = process.env): EndpointIo {
  return { env, write: (text) => void process.stdout.write(text), machine: localMachine(env), program: endpointProgram(env) };
}

/** An endpoint by its name. Throws DriverError refused with the names that there are. */
export async function knownEndpoint(name: string, { machine }: EndpointIo): Promise<LocalEndpoint> {
  const endpoints = await listEndpoints(machine);
  const found = endpoints.find((endpoint) => endpoint.name === name);
  if (found) return found;
  const names = endpoints.map((endpoint) => endpoint.name);
  const meant = didYouMean(name, names);
  throw new DriverError(
    'refused',
    'HF-GLOBUS-ENDPOINT-UNKNOWN',
    `endpoint ${name} does not exist on ${machine.name} (${await machine.base()} has: ${names.join(', ') || 'none'}). ${meant === undefined ? '' : `${meant} `}Run \`holdfast endpoint init ${name}\`.`,
  );
}
