import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { packageRoot } from '../../../src/package-root.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-npm-'));
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'fresh', version: '1.0.0', dependencies: { none: '^1.0.0' } }));
  writeFileSync(path.join(folder, 'package-lock.json'), lockAt(1));
  mkdirSync(path.join(folder, 'home'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The set-up's step in a process of its own, with npm's own configuration by its environment. */
async function install(port: number, patience: number, more: Readonly<Record<string, string>> = {}) {
  const module = pathToFileURL(path.join(packageRoot(), 'scripts', 'npm-packages.mjs')).href;
  const setup = pathToFileURL(path.join(packageRoot(), 'scripts', 'setup.mjs')).href;
  const program = `
    const { installNodePackages } = await import(${JSON.stringify(module)});
    const { main } = await import(${JSON.stringify(setup)});
    await main(() => installNodePackages(${JSON.stringify(folder)}, console.log, ${patience}));
  `;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|proxy$/i.test(name)));
  const started = performance.now();
  const told = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    env: {
      ...env,
      HOME: path.join(folder, 'home'),
      npm_config_registry: `http://127.0.0.1:${port}/`,
      npm_config_cache: path.join(folder, 'cache'),
      ...more,
    },
  }).catch((error: { code: number; stdout: string; stderr: string }) => error);
  return { ...told, exit: 'code' in told ? told.code : 0, seconds: (performance.now() - started) / 1000 };
}

const expectOneSentence = ({ exit, stdout, stderr }: Awaited<ReturnType<typeof install>>, code: string) => {
  expect(exit).toBe(1);
  expect(stdout).toBe(`the npm registry does not answer (${code}); looking into npm's cache …\n`);
  expect(stderr.trimEnd().split('\n')).toEqual([
    expect.stringMatching(new RegExp(`^The npm registry cannot be reached \\(${code}\\), .*the first run needs the network`)),
  ]);
  expect(readdirSync(folder)).not.toContain('node_modules');
};

it('a registry that refuses connections is told in one sentence, and soon', async () => {
  const told = await install(1, 15_000);
  expectOneSentence(told, 'ECONNREFUSED');
  expect(told.seconds).toBeLessThan(30);
}, 60_000);

it('… also under `npm run --silent`, which hands its silence on to every npm below it', async () => {
  expectOneSentence(await install(1, 15_000, { npm_config_loglevel: 'silent' }), 'ECONNREFUSED');
}, 60_000);

it('a registry that never answers is waited for so long and no longer', async () => {
  const sockets = new Set<Socket>();
  const silent: Server = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  try {
    const told = await install((silent.address() as { port: number }).port, 2_000);
    expectOneSentence(told, 'FETCH_ERROR');
    expect(told.seconds).toBeLessThan(30);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
}, 60_000);

it('a registry that answers, though with a refusal, is npm’s to judge', async () => {
  const refusing = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
  });
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = refusing.address() as { port: number };
    writeFileSync(path.join(folder, 'package-lock.json'), lockAt(port));
    const { exit, stdout, stderr } = await install(port, 15_000);
    expect(exit).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('E404');
  } finally {
    refusing.close();
  }
}, 60_000);

function lockAt(port: number): string {
  return JSON.stringify({
    name: 'fresh',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: {
      '': { name: 'fresh', version: '1.0.0', dependencies: { none: '^1.0.0' } },
      'node_modules/none': { version: '1.0.0', resolved: `http://127.0.0.1:${port}/none/-/none-1.0.0.tgz` },
    },
  });
}
