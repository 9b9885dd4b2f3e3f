import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { localProgram, type RunProgram } from './endpoint-command.ts';
import { type Environment, globusEnvironment } from './environment.ts';

/** What lies in one endpoint's folder, as far as we read it. */
export interface EndpointFolder {
  readonly name: string;
  readonly hasTemplate: boolean;
  /** Text of endpoint.json; absent before the first start. */
  readonly identity?: string;
  /** Seconds since daemon.pid was touched, by the machine's own clock; absent without one. */
  readonly pidAgeSeconds?: number;
}

/** The end of a log file. */
export interface LogEnd {
  readonly path: string;
  readonly text: string;
}

/** The machine on which endpoints live: this computer, or a login node behind SSH. Each call is one exchange with it. Throws DriverError. */
export interface EndpointMachine {
  /** In messages: `this machine`, `aurora`. */
  readonly name: string;
  readonly run: RunProgram;
  /** Folder of the endpoints' own folders, absolute. */
  base(): Promise<string>;
  /** Every folder there with a config.yaml, sorted. */
  folders(): Promise<readonly EndpointFolder[]>;
  /** Ends of `endpoint.log` of one endpoint and, given its id, of its user processes' folders (uep.<id>.*); those that are missing or empty are left out. */
  logEnds(name: string, id: string | null, bytes: number): Promise<readonly LogEnd[]>;
  /** Writes whole files (mode 0600) into a folder, or into a new temporary one; returns the folder. */
  writeFiles(folder: string | undefined, files: Readonly<Record<string, string>>): Promise<string>;
  /** Removes a folder that `writeFiles` made. */
  removeFolder(folder: string): Promise<void>;
}

/** This machine, where the Globus Compute SDK keeps its endpoints. */
export function localMachine(env: Environment = process.env): EndpointMachine {
  const { endpointsDirectory: directory } = globusEnvironment(env);
  return {
    name: 'this machine',
    run: localProgram(env),
    base: async () => directory,
    async folders() {
      const names = await readdir(directory).catch(() => []);
      const found = await Promise.all(names.sort().map((name) => localFolder(directory, name)));
      return found.filter((folder) => folder !== undefined);
    },
    async logEnds(name, id, bytes) {
      const children = id === null ? [] : (await readdir(directory)).filter((other) => other.startsWith(`uep.${id}.`)).sort();
      const paths = [name, ...children].map((folder) => join(directory, folder, 'endpoint.log'));
      const ends = await Promise.all(paths.map(async (path) => ({ path, text: await endOf(path, bytes) })));
      return ends.filter(({ text }) => text !== '');
    },
    async writeFiles(folder, files) {
      const into = folder ?? (await mkdtemp(join(tmpdir(), 'holdfast-endpoint-')));
      await makeFolder(into);
      for (const [file, text] of Object.entries(files)) await writeFile(join(into, file), text, { mode: 0o600 });
      return into;
    },
    removeFolder: (folder) => rm(folder, { recursive: true, force: true }),
  };
}

async function localFolder(directory: string, name: string): Promise<EndpointFolder | undefined> {
  const folder = join(directory, name);
  if ((await changed(join(folder, 'config.yaml'))) === undefined) return undefined;
  const [pid, template] = [await changed(join(folder, 'daemon.pid')), await changed(join(folder, 'user_config_template.yaml.j2'))];
  const identity = await readFile(join(folder, 'endpoint.json'), 'utf8').catch(() => undefined);
  return {
    name,
    hasTemplate: template !== undefined,
    ...(identity === undefined ? {} : { identity }),
    ...(pid === undefined ? {} : { pidAgeSeconds: (Date.now() - pid) / 1000 }),
  };
}

/** When a file was last changed, milliseconds since the epoch; undefined when there is none. */
async function changed(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}

async function endOf(path: string, bytes: number): Promise<string> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return '';
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    await handle.read(buffer, 0, length, size - length);
    return buffer.toString('utf8').trimEnd();
  } finally {
    await handle.close();
  }
}
