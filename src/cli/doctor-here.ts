import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Client } from '@temporalio/client';
import { ATTRIBUTES } from '../domain/search-attributes.ts';
import { isPolled } from './absent-worker.ts';
import type { Finding } from './doctor.ts';
import { type CliIo, withClient } from './io.ts';
import { scriptPython } from './payload-script.ts';
import { sizeText } from './size-text.ts';
import { versions } from './version.ts';

const OLDEST_NODE = [20, 16] as const;

/** Dependencies: versions, Python, room, the Temporal server and who works for it. */
export async function thisComputer(io: CliIo): Promise<Finding[]> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNodeNew = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const node: Finding = {
    id: 'node',
    title: 'Node.js',
    status: isNodeNew ? 'ok' : 'fail',
    found: process.versions.node,
    ...(isNodeNew ? {} : { advice: `Install Node.js ${OLDEST_NODE.join('.')} or newer.` }),
  };
  const python = scriptPython(io.env);
  const version = await promisify(execFile)(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
  const [pythonMajor = 0, pythonMinor = 0] = (version ?? '').split('.').map(Number);
  const isPythonNew = pythonMajor === 3 && pythonMinor >= 6;
  const agent: Finding = {
    id: 'python',
    title: 'Python for local trials',
    status: isPythonNew ? 'ok' : 'fail',
    found: version === undefined ? `${python} cannot be started` : `${python} ${version}`,
    ...(isPythonNew ? {} : { advice: 'Install Python 3.6 or newer, or name one in HOLDFAST_PYTHON.' }),
  };
  const holdfast: Finding = { id: 'holdfast', title: 'Holdfast', status: 'ok', found: versions().holdfast };
  return [holdfast, node, agent, await room(), ...(await temporal())];
}

const LEAST_FREE_BYTES = 2e9;

/** Of the file system where results go. */
async function room(): Promise<Finding> {
  const { bavail, bsize } = await statfs('.');
  const free = bavail * bsize;
  const isEnough = free >= LEAST_FREE_BYTES;
  return {
    id: 'disk',
    title: 'Free space here',
    status: isEnough ? 'ok' : 'warn',
    found: sizeText(free),
    ...(isEnough ? {} : { advice: 'Results may not fit. Free space (holdfast clean), or set working_dirs.local_base.' }),
  };
}

async function temporal(): Promise<Finding[]> {
  const title = { id: 'temporal', title: 'Temporal server' };
  try {
    return await withClient(async (client): Promise<Finding[]> => {
      const { namespace } = client.options;
      const { serverVersion } = await client.workflowService.getSystemInfo({});
      const found = `${serverVersion ?? 'version unknown'}, namespace ${namespace}`;
      return [{ ...title, status: 'ok', found }, await attributes(client, namespace), await worker(client)];
    });
  } catch (error) {
    const found = /^.*? does not answer|^.*/.exec((error as Error).message)?.[0] ?? '';
    return [{ ...title, status: 'warn', found, advice: 'Start one with holdfast dev, or set TEMPORAL_ADDRESS.' }];
  }
}

async function attributes(client: Client, namespace: string): Promise<Finding> {
  const title = { id: 'search-attributes', title: 'Search attributes' };
  try {
    const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
    const missing = Object.values(ATTRIBUTES).filter(({ name }) => !(name in customAttributes));
    if (missing.length === 0) return { ...title, status: 'ok', found: 'registered' };
    const found = `not registered: ${missing.map(({ name }) => name).join(', ')}`;
    return {
      ...title,
      status: 'warn',
      found,
      advice: 'A worker registers them when it may; config/temporal has the commands for an administrator.',
    };
  } catch (error) {
    // Temporal Cloud answers no operator calls to ordinary keys.
    return { ...title, status: 'skip', found: `cannot be listed (${(error as Error).message.split('\n')[0]})` };
  }
}

async function worker(client: Client): Promise<Finding> {
  const title = { id: 'worker', title: 'Worker' };
  if (await isPolled(client)) return { ...title, status: 'ok', found: 'polls the task queue' };
  return {
    ...title,
    status: 'warn',
    found: 'none has asked for work lately',
    advice: 'Start one: holdfast worker. Campaigns wait for it.',
  };
}
