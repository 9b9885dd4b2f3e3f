import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { answers, startDevServer } from '../../src/temporal/dev-server.ts';
import { freePort } from '../support/sshd.ts';

/**
 * Stands before the real server: notes each start and its port; while the first start lasts, it holds one of the ports that were chosen for the
 * server, so that the server meets what a program does that takes a port at just this moment.
 */
const TAKES_A_PORT = `#!/usr/bin/env python3
import os, socket, subprocess, sys
words, folder = sys.argv[1:], os.path.dirname(sys.argv[0])
with open(folder + "/starts", "a") as starts:
    starts.write(words[words.index("--port") + 1] + "\\n")
if len(open(folder + "/starts").readlines()) > 1:
    os.execv(os.environ["REAL_TEMPORAL"], ["temporal"] + words)
taken = socket.socket()
taken.bind(("127.0.0.1", int(words[words.index(open(folder + "/which").read()) + 1])))
taken.listen(1)
sys.exit(subprocess.call([os.environ["REAL_TEMPORAL"]] + words))
`;
const FAILS = `#!/bin/sh\necho x >> "$(dirname "$0")/starts"\necho 'the file is damaged'\nexit 3\n`;

describe('the dev server', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'holdfast-server-'));
    process.env.REAL_TEMPORAL = inject('temporalBinary');
  });
  afterAll(async () => {
    delete process.env.REAL_TEMPORAL;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Options for a server whose program is this script, in a folder of its own. */
  async function options(name: string, script: string) {
    const place = path.join(folder, name);
    const files = { binary: path.join(place, 'program'), dbFile: path.join(place, 'temporal.db'), logFile: path.join(place, 'server.log') };
    await mkdir(place);
    await writeFile(files.binary, script);
    await chmod(files.binary, 0o755);
    return { ...files, place, starts: async () => (await readFile(path.join(place, 'starts'), 'utf8')).trim().split('\n') };
  }

  it.each(['--port', '--http-port', '--metrics-port'])('whose %s was taken meanwhile starts at another', async (which) => {
    const { place, starts, ...files } = await options(`taken${which}`, TAKES_A_PORT);
    await writeFile(path.join(place, 'which'), which);
    const server = await startDevServer({ ...files, isHeadless: true });
    try {
      expect(await answers(server.address)).toBe(true);
      const ports = await starts();
      expect(ports).toHaveLength(2);
      expect(server.address).toBe(`127.0.0.1:${ports[1]}`);
    } finally {
      await server.stop();
    }
  });

  it('that must have its port waits for it and gets it', async () => {
    const { place, starts, ...files } = await options('must', TAKES_A_PORT);
    await writeFile(path.join(place, 'which'), '--port');
    const port = await freePort();
    const server = await startDevServer({ ...files, isHeadless: true, port, mustHavePort: true });
    await server.stop();
    expect(await starts()).toEqual([`${port}`, `${port}`]);
  });

  it('that ends for another reason is not started again, and its log is named', async () => {
    const { starts, place: _place, ...files } = await options('fails', FAILS);
    await expect(startDevServer({ ...files, isHeadless: true })).rejects.toThrow(
      `The Temporal server ended at once (exit 3). Its log: ${files.logFile}`,
    );
    expect(await starts()).toHaveLength(1);
    expect(await readFile(files.logFile, 'utf8')).toContain('the file is damaged');
  });

  it('whose program cannot be run says so at once', async () => {
    const { starts: _starts, place, ...files } = await options('no-program', '');
    await rm(path.join(place, 'program'));
    await expect(startDevServer({ ...files, isHeadless: true })).rejects.toThrow(/cannot be started \(.*ENOENT\).*HOLDFAST_TEMPORAL_CLI/);
  });
});
