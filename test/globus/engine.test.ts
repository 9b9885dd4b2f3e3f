import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateEndpoint } from '../../src/cli/endpoint-files.ts';
import type { EndpointIo } from '../../src/cli/endpoint-io.ts';
import { packageRoot } from '../../src/package-root.ts';
import { localProgram } from '../../src/systems/globus/endpoint-command.ts';
import { localMachine } from '../../src/systems/globus/endpoint-machine.ts';
import { remoteFunction } from '../../src/systems/globus/remote-function.ts';
import { deserializeResult, packFunction, packPayload, packTask, RESULT_SERIALIZERS } from '../../src/systems/globus/serialize.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

const TILES = Array.from({ length: 12 }, (_, index) => `${Math.floor(index / 2)}.${index % 2}`);

/** Answers only when twelve of its kind run at once: no worker can have taken two. */
const ECHO = `
def echo(folder, index):
    import os, time
    open(os.path.join(folder, str(index)), "w").close()
    end = time.monotonic() + 400
    while len(os.listdir(folder)) < 12 and time.monotonic() < end:
        time.sleep(0.1)
    return [index, os.getpid(), os.environ.get("ZE_AFFINITY_MASK")]
`;

describe.skipIf(!HAS_GLOBUS_PYTHON)("the endpoint's own engine, made from our file", () => {
  let folder: string;
  let io: EndpointIo;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-engine-'));
    mkdirSync(join(folder, 'run'));
    // The engine starts its interchange and worker pool by name.
    const env = { ...process.env, PATH: `${dirname(GLOBUS_PYTHON)}:${process.env.PATH}`, GLOBUS_COMPUTE_USER_DIR: folder, HOME: folder };
    io = { env, write: () => undefined, machine: localMachine(env), program: join(dirname(GLOBUS_PYTHON), 'globus-compute-endpoint') };
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  it('gives twelve tasks at once a tile each: twelve masks, all different', { timeout: 600_000 }, async () => {
    const file = join(folder, 'endpoint.yaml');
    writeFileSync(
      file,
      `version: 1\nscheduler: local\nmax_workers_per_node: 12\navailable_accelerators: ${JSON.stringify(TILES)}\ncores_per_worker: 0.05\nlauncher: {type: simple}\ninit_blocks: 1\n`,
    );
    // A local engine has no interface to be named: loopback is enough.
    const config = `${await validateEndpoint(undefined, { config: file }, io)}`.replace('engine:\n', 'engine:\n  address: 127.0.0.1\n');
    const meeting = join(folder, 'meeting');
    mkdirSync(meeting);
    const buffers = TILES.map((_, index) => packTask(packFunction('echo', ECHO), packPayload([meeting, index])));
    // Our own look says which engine gave it to the worker.
    const { name, source } = remoteFunction();
    buffers.push(packTask(packFunction(name, source), packPayload([{ op: 'look', attempts: [] }])));
    const script = readFileSync(join(packageRoot(), 'test/support/globus-engine.py'), 'utf8');
    const answer = await localProgram(io.env)([GLOBUS_PYTHON, '-c', script], {
      input: JSON.stringify({ config, buffers, serializers: RESULT_SERIALIZERS, run_dir: join(folder, 'run') }),
      timeoutSeconds: 500,
    });
    expect(answer.code, answer.stderr.slice(-3_000)).toBe(0);
    const results = (JSON.parse(answer.stdout) as string[]).map(deserializeResult);
    expect(results.pop()).toMatchObject({ engine: expect.stringMatching(/^--port=\d+ [0-9a-f]{16}$/), found: {} });
    const echoes = results as [number, number, string][];
    expect(echoes.map(([index]) => index)).toEqual(TILES.map((_, index) => index));
    expect(echoes.map(([, , mask]) => mask).sort()).toEqual(TILES);
    expect(new Set(echoes.map(([, pid]) => pid)).size).toBe(12);
  });
});
