import { execFile } from 'node:child_process';
import { accessSync, constants, copyFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeFolderSync } from '../make-folder.ts';
import { cacheFolder } from '../package-root.ts';

const run = promisify(execFile);

/** The newest Temporal CLI that Go can build from its module alone (later ones have a replace directive). Server 1.29, Web UI 2.42. */
const GO_MODULE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';
const DOWNLOAD_TIMEOUT_MS = 120_000;

/** No Temporal CLI here and no way to get one. */
export class NoTemporalBinary extends Error {
  readonly code = 'HF-TEMPORAL-BINARY';
  constructor(tried: readonly string[]) {
    super(
      `No Temporal server can be started here (${tried.join('; ')}). Install the Temporal CLI and put it on PATH, name it with HOLDFAST_TEMPORAL_CLI, or install Go ≥ 1.23 so that it can be built.`,
    );
    this.name = 'NoTemporalBinary';
  }
}

/**
 * Path of a `temporal` executable: HOLDFAST_TEMPORAL_CLI, PATH, our cache folder, the SDK's own download, or built with Go (about 4 minutes on
 * two cores, once). `say` hears what takes long. Throws NoTemporalBinary.
 */
export async function findTemporalBinary(
  say: (text: string) => void,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string> {
  const named = env.HOLDFAST_TEMPORAL_CLI;
  if (named !== undefined && named !== '') {
    if (isExecutable(named)) return named;
    throw new NoTemporalBinary([`HOLDFAST_TEMPORAL_CLI names ${named}, which is not executable`]);
  }
  const onPath = (env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, 'temporal'));
  const cached = path.join(cacheFolder(), 'bin', 'temporal');
  const found = [...onPath, cached].find(isExecutable);
  if (found !== undefined) return found;

  makeFolderSync(path.dirname(cached));
  const tried = ['not on PATH'];
  for (const [name, get] of [
    ['download', downloadBySdk],
    ['go install', buildWithGo],
  ] as const) {
    try {
      say(`Temporal server: trying ${name} …`);
      await get(cached, say);
      return cached;
    } catch (error) {
      tried.push(`${name}: ${firstLine(error)}`);
    }
  }
  throw new NoTemporalBinary(tried);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The SDK downloads the CLI when it starts a test server; we keep what it got. */
async function downloadBySdk(target: string): Promise<void> {
  const { TestWorkflowEnvironment } = await import('@temporalio/testing');
  const folder = path.join(path.dirname(target), 'download');
  rmSync(folder, { recursive: true, force: true });
  makeFolderSync(folder);
  try {
    const started = TestWorkflowEnvironment.createLocal({ server: { executable: { type: 'cached-download', downloadDir: folder } } });
    const environment = await Promise.race([started, rejectAfter(DOWNLOAD_TIMEOUT_MS)]);
    await environment.teardown();
    const file = readdirSync(folder).find((name) => isExecutable(path.join(folder, name)));
    if (file === undefined) throw new Error('the download left no executable');
    copyFileSync(path.join(folder, file), `${target}.tmp`);
    renameSync(`${target}.tmp`, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function buildWithGo(target: string, say: (text: string) => void): Promise<void> {
  await run('go', ['version']);
  say('Temporal server: building it with Go, once; this takes about four minutes on two cores …');
  await run('go', ['install', GO_MODULE], {
    env: { ...process.env, GOBIN: path.dirname(target), GOFLAGS: '-modcacherw' },
    maxBuffer: 64 * 1024 * 1024,
  });
}

function rejectAfter(milliseconds: number): Promise<never> {
  return new Promise((_resolve, reject) =>
    setTimeout(() => reject(new Error(`no answer in ${milliseconds / 1000} s`)), milliseconds).unref(),
  );
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]?.slice(0, 160) ?? '';
}
