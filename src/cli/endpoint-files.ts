import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.ts';
import { packageRoot } from '../package-root.ts';
import { DriverError } from '../systems/driver.ts';
import { askEndpointProgram } from '../systems/globus/endpoint-command.ts';
import { type EndpointFiles, renderEndpointFiles } from '../systems/globus/endpoint-files.ts';
import { type LocalEndpoint, readEndpoint } from '../systems/globus/endpoint-folder.ts';
import type { EndpointMachine } from '../systems/globus/endpoint-machine.ts';
import { concurrencyWarning, type EndpointSettings, workersOf } from '../systems/globus/endpoint-settings.ts';
import { readEndpointSettings } from '../systems/globus/read-endpoint-settings.ts';
import { type EndpointIo, knownEndpoint } from './endpoint-io.ts';
import { CliError } from './exit-codes.ts';
import { writingTo } from './output-place.ts';

export const DEFAULT_ENDPOINT_FILE = 'config/globus_endpoint.yaml';

async function settingsOf(path: string): Promise<EndpointSettings> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError(
      'usage',
      'HF-GLOBUS-ENDPOINT-FILE',
      `endpoint file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code}). Copy ${join(packageRoot(), DEFAULT_ENDPOINT_FILE)}, edit it, and name it with -c.`,
      { cause },
    );
  }
  return readEndpointSettings(text, path);
}

/** `holdfast endpoint init NAME`: makes the endpoint with the real program and our files; an existing one gets our files anew. */
export async function initEndpoint(name: string, options: { readonly config: string }, io: EndpointIo): Promise<LocalEndpoint> {
  const settings = await settingsOf(options.config);
  const files = renderEndpointFiles(settings);
  const { machine } = io;
  if (!(await readEndpoint(machine, name))) {
    const made = withFiles(machine, files, (path) =>
      askEndpointProgram(machine.run, io.program, [
        'configure',
        name,
        '--core-config',
        path('config.yaml'),
        '--template-config',
        path('user_config_template.yaml.j2'),
        '--schema-config',
        path('user_config_schema.json'),
        ...(settings.contact_email === undefined ? [] : ['--contact-email', settings.contact_email]),
      ]),
    );
    await made.catch((error: unknown) => {
      if (!(error instanceof DriverError) || !error.message.includes('--contact-email')) throw error;
      throw new DriverError(
        error.class,
        error.code,
        `endpoint ${name} would serve several users, since it runs as root, and needs an address. Add contact_email: you@example.org to ${options.config}.`,
        { cause: error },
      );
    });
  }
  const endpoint = await knownEndpoint(name, io);
  await machine.writeFiles(endpoint.directory, { ...files });
  await validateEndpoint(name, {}, io);
  io.write(
    `Endpoint ${name} is configured in ${endpoint.directory} (${workersOf(settings)} workers at once). Start it: holdfast endpoint start ${name}\n`,
  );
  return endpoint;
}

/** `holdfast endpoint render`: the three files, to a folder or to the terminal. */
export async function renderEndpoint(options: { readonly config: string; readonly out?: string }, io: EndpointIo): Promise<EndpointFiles> {
  const files = renderEndpointFiles(await settingsOf(options.config));
  const { out } = options;
  if (out !== undefined)
    await writingTo('--out', out, async () => {
      await makeFolder(out);
      for (const [file, text] of Object.entries(files)) await writeFile(join(out, file), text);
    });
  for (const [file, text] of Object.entries(files)) {
    io.write(options.out === undefined ? `# ${file}\n${text}\n` : `${join(options.out, file)}\n`);
  }
  return files;
}

/**
 * `holdfast endpoint validate [NAME]`: our file (keys, contradictions, concurrency), then the endpoint's own loader on what lies in its folder or on
 * what would be rendered; undefined where the endpoint is not installed. Throws DriverError refused with the key or the loader's words.
 */
export async function validateEndpoint(
  name: string | undefined,
  options: { readonly config?: string; readonly maxConcurrent?: number; readonly options?: Readonly<Record<string, unknown>> },
  io: EndpointIo,
): Promise<string | undefined> {
  const { machine, program } = io;
  const input = JSON.stringify(options.options ?? {});
  if (name !== undefined) {
    await knownEndpoint(name, io);
    const rendered = await askEndpointProgram(machine.run, program, ['render-user-config', '-e', name, '-o', '-'], input);
    io.write(`Endpoint ${name}: the endpoint's own loader accepts its files.\n`);
    return rendered;
  }
  const settings = await settingsOf(options.config ?? DEFAULT_ENDPOINT_FILE);
  const warning = options.maxConcurrent === undefined ? undefined : concurrencyWarning(settings, options.maxConcurrent);
  if (warning !== undefined) io.write(`WARN ${warning}\n`);
  const file = options.config ?? DEFAULT_ENDPOINT_FILE;
  try {
    const rendered = await withFiles(machine, renderEndpointFiles(settings), (path) => {
      const parts = [
        '-t',
        path('user_config_template.yaml.j2'),
        '-s',
        path('user_config_schema.json'),
        '--parent-config',
        path('config.yaml'),
      ];
      return askEndpointProgram(machine.run, program, ['render-user-config', ...parts, '-o', '-'], input);
    });
    io.write(`${file}: the endpoint's own loader accepts what Holdfast makes of it.\n`);
    return rendered;
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-ENDPOINT-MISSING') throw error;
    io.write(`${file}: no mistake found. The endpoint's own loader was not asked: ${program} is not installed on ${machine.name}.\n`);
    return undefined;
  }
}

async function withFiles<T>(
  machine: EndpointMachine,
  files: EndpointFiles,
  work: (path: (file: keyof EndpointFiles) => string) => Promise<T>,
): Promise<T> {
  const folder = await machine.writeFiles(undefined, { ...files });
  try {
    return await work((file) => join(folder, file));
  } finally {
    await machine.removeFolder(folder);
  }
}
