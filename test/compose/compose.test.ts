import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse } from 'yaml';
import { ATTRIBUTES } from '../../src/domain/search-attributes.ts';
import { type DevServer, startDevServer } from '../../src/temporal/dev-server.ts';

const run = promisify(execFile);

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly restart?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly stop_grace_period?: string;
  readonly entrypoint?: readonly string[];
}

const compose = parse(await readFile('docker-compose.yml', 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const { services } = compose;

describe('docker-compose.yml', () => {
  it('opens ports on loopback only', () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports).toHaveLength(2);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('keeps the database and the worker’s state in named volumes that are declared', () => {
    expect(services.postgresql?.volumes).toEqual(['postgresql-data:/var/lib/postgresql/data']);
    const named = Object.values(services)
      .flatMap((service) => service.volumes ?? [])
      .map((volume) => volume.split(':')[0] ?? '')
      .filter((name) => !name.startsWith('.'));
    expect(named.sort()).toEqual(Object.keys(compose.volumes).sort());
  });

  it('holds no secret: every password is a variable that must be set', async () => {
    const text = await readFile('docker-compose.yml', 'utf8');
    const passwords = text.split('\n').filter((line) => /PASSWORD|PWD/.test(line) && !line.trim().startsWith('#'));
    expect(passwords.length).toBeGreaterThanOrEqual(3);
    for (const line of passwords) expect(line).toMatch(/\$\{POSTGRES_PASSWORD:\?[^}]+\}$/);
    expect(await readFile('.env.example', 'utf8')).toMatch(/^POSTGRES_PASSWORD=$/m);
    expect((await readFile('.gitignore', 'utf8')).split('\n')).toContain('.env');
  });

  it('starts in order: database, schema, server, namespace, worker', () => {
    expect(services['temporal-schema']?.depends_on).toEqual({ postgresql: { condition: 'service_healthy' } });
    expect(services.temporal?.depends_on).toEqual({ 'temporal-schema': { condition: 'service_completed_successfully' } });
    expect(services['temporal-namespace']?.depends_on).toEqual({ temporal: { condition: 'service_healthy' } });
    expect(services.worker?.depends_on).toEqual({ 'temporal-namespace': { condition: 'service_completed_successfully' } });
    for (const name of ['postgresql', 'temporal']) expect(services[name]?.healthcheck?.test.length).toBeGreaterThan(1);
  });

  it('gives time to stop in order, restarts what serves and never the one-shots', () => {
    const seconds = (name: string) => Number(/^(\d+)s$/.exec(services[name]?.stop_grace_period ?? '')?.[1] ?? 0);
    // The worker's own grace is 30 s (src/worker.ts).
    expect(seconds('worker')).toBeGreaterThan(30);
    expect(seconds('temporal')).toBeGreaterThan(10);
    expect(seconds('postgresql')).toBeGreaterThan(10);
    for (const name of ['postgresql', 'temporal', 'temporal-ui', 'worker']) expect(services[name]?.restart).toBe('unless-stopped');
    for (const name of ['temporal-schema', 'temporal-namespace']) expect(services[name]?.restart).toBe('no');
  });

  it('uses images that are still made, the server’s and the tools’ of one version', () => {
    const images = Object.values(services).map((service) => service.image ?? '');
    expect(images.some((image) => image.includes('auto-setup'))).toBe(false);
    expect(services['temporal-schema']?.image?.split(':').slice(1)).toEqual(services.temporal?.image?.split(':').slice(1));
  });

  it('mounts only files that are there', async () => {
    const mounts = Object.values(services).flatMap((service) => service.volumes ?? []);
    const files = mounts.map((mount) => mount.split(':')[0] ?? '').filter((name) => /^\.\/.*\.\w+$/.test(name));
    expect(files).toHaveLength(3);
    for (const file of files) expect((await readFile(file, 'utf8')).length).toBeGreaterThan(0);
    expect(parse(await readFile('config/temporal/dynamic-config.yaml', 'utf8'))).toHaveProperty(['limit.maxIDLength']);
  });
});

describe('Dockerfile', () => {
  it('builds on glibc and Node 24, runs without root and hands signals to the worker', async () => {
    const lines = (await readFile('Dockerfile', 'utf8')).split('\n');
    const bases = lines.filter((line) => line.startsWith('FROM '));
    expect(bases.every((line) => /node:24-bookworm-slim/.test(line))).toBe(true);
    expect(lines.some((line) => line === 'USER node')).toBe(true);
    expect(lines.find((line) => line.startsWith('CMD '))).toMatch(/exec node bin\/holdfast\.mjs worker/);
  });

  it('copies only what is there', async () => {
    const sources = (await readFile('Dockerfile', 'utf8'))
      .split('\n')
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(sources.length).toBeGreaterThan(8);
    expect(sources.filter((source) => !existsSync(source))).toEqual([]);
  });
});

describe('set-up scripts', () => {
  let folder: string;
  let server: DevServer;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'holdfast-compose-'));
    const files = { dbFile: path.join(folder, 't.db'), logFile: path.join(folder, 't.log') };
    server = await startDevServer({ binary: inject('temporalBinary'), ...files, isHeadless: true });
  });
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(['setup-schema.sh', 'setup-namespace.sh'])('%s is plain sh', (name) => {
    execFileSync('sh', ['-n', `config/temporal/${name}`]);
  });

  it('the namespace and the search attributes of the code are made on a real server, and a second run changes nothing', async () => {
    const env = {
      ...process.env,
      HOLDFAST_TEMPORAL_CLI: inject('temporalBinary'),
      TEMPORAL_ADDRESS: server.address,
      TEMPORAL_NAMESPACE: 'team',
      HOLDFAST_SETUP_ATTEMPTS: '30',
    };
    const first = await run('sh', ['config/temporal/setup-namespace.sh'], { env });
    expect(first.stdout).toContain('namespace team is ready');
    const second = await run('sh', ['config/temporal/setup-namespace.sh'], { env });
    expect(second.stdout.match(/: exists/g)).toHaveLength(1 + Object.keys(ATTRIBUTES).length);

    const { stdout } = await run(inject('temporalBinary'), [
      'operator',
      'search-attribute',
      'list',
      '--namespace',
      'team',
      '--address',
      server.address,
      '-o',
      'json',
    ]);
    const { customAttributes } = JSON.parse(stdout) as { customAttributes: Record<string, string> };
    const types = Object.fromEntries(
      Object.entries(customAttributes).map(([name, type]) => [name, type.replace('INDEXED_VALUE_TYPE_', '')]),
    );
    expect(types).toMatchObject(Object.fromEntries(Object.values(ATTRIBUTES).map(({ name, type }) => [name, type])));
  }, 120_000);

  it('a server that does not answer is told, and the script fails', async () => {
    const env = {
      ...process.env,
      HOLDFAST_TEMPORAL_CLI: inject('temporalBinary'),
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      HOLDFAST_SETUP_ATTEMPTS: '1',
    };
    const failure = await run('sh', ['config/temporal/setup-namespace.sh'], { env }).catch((error: { stderr: string }) => error);
    expect((failure as { stderr: string }).stderr).toContain('Temporal at 127.0.0.1:1 does not answer.');
  });

  it('the schema of both databases is set up and updated, also where it exists already; a failing update fails the step', async () => {
    const tool = path.join(folder, 'temporal-sql-tool');
    const calls = path.join(folder, 'calls');
    // Behaves as the real tool: create and setup-schema fail where it is done already.
    await writeFile(
      tool,
      `#!/bin/sh\necho "$*" >> ${calls}\ncase "$*" in *create*|*setup-schema*) [ -e ${folder}/done ] && exit 1;; esac\n[ "\${FAIL_UPDATE:-}" = 1 ] && case "$*" in *update-schema*) exit 1;; esac\nexit 0\n`,
      { mode: 0o755 },
    );
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
    await run('sh', ['config/temporal/setup-schema.sh'], { env });
    await writeFile(path.join(folder, 'done'), '');
    const again = await run('sh', ['config/temporal/setup-schema.sh'], { env });
    expect(again.stdout).toContain('schema is up to date');
    const updates = (await readFile(calls, 'utf8')).split('\n').filter((line) => line.includes('update-schema'));
    expect(updates).toHaveLength(4);
    expect(updates[1]).toBe('--db temporal_visibility update-schema -d /etc/temporal/schema/postgresql/v12/visibility/versioned');
    await expect(run('sh', ['config/temporal/setup-schema.sh'], { env: { ...env, FAIL_UPDATE: '1' } })).rejects.toThrow();
  });
});
