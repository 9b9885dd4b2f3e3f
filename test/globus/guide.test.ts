import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CliIo } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { packageRoot } from '../../src/package-root.ts';
import { RequestBudget, shareBudget } from '../../src/systems/globus/request-budget.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { type Rig, startRig } from '../support/globus-rig.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

const guide = readFileSync(join(packageRoot(), 'docs/guides/globus-compute.md'), 'utf8');
const commands = [...guide.matchAll(/^```console\n([\s\S]*?)^```/gm)].flatMap((block) => (block[1] ?? '').trim().split('\n'));
const [campaign = '', three = ''] = [...guide.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((block) => block[1] ?? '');

/**
 * The real program but for start, stop and restart, which need the service's message broker: those leave behind what the real ones leave in the folder.
 */
const ENDPOINT_PROGRAM = (real: string, base: string, id: string) => `#!/bin/sh
case "$1" in
  start|restart) printf '{"endpoint_id": "${id}"}' >'${base}/'"$2"/endpoint.json; echo 1 >'${base}/'"$2"/daemon.pid; echo "started" >'${base}/'"$2"/endpoint.log ;;
  stop) rm -f '${base}/'"$2"/daemon.pid ;;
  *) exec '${real}' "$@" ;;
esac
`;

describe.skipIf(!HAS_GLOBUS_PYTHON)('the guide docs/guides/globus-compute.md', () => {
  let folder: string;
  let rig: Rig;
  let engine: Engine;
  let env: Record<string, string | undefined>;
  const saved = { ...process.env };
  const here = process.cwd();

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-guide-'));
    const base = join(folder, 'globus_compute');
    mkdirSync(base);
    // The worker's own home and Python, as worker_init would leave them.
    process.env.HOME = folder;
    process.env.PATH = [dirname(GLOBUS_PYTHON), process.env.PATH].join(delimiter);
    rig = await startRig();
    engine = await startEngine();
    const program = join(folder, 'globus-compute-endpoint');
    writeFileSync(program, ENDPOINT_PROGRAM(join(dirname(GLOBUS_PYTHON), 'globus-compute-endpoint'), base, rig.endpoint.id));
    chmodSync(program, 0o755);
    const globus = {
      GLOBUS_COMPUTE_USER_DIR: base,
      GLOBUS_SDK_ENVIRONMENT: 'local',
      GLOBUS_SDK_SERVICE_URL_COMPUTE: rig.service.url,
      GLOBUS_SDK_SERVICE_URL_AUTH: rig.service.url,
      HOLDFAST_GLOBUS_COMPUTE_ENDPOINT: program,
      XDG_STATE_HOME: join(folder, 'state'),
      ENDPOINT_ID: rig.endpoint.id,
    };
    Object.assign(process.env, globus, { TEMPORAL_ADDRESS: engine.server.address, TEMPORAL_NAMESPACE: 'default' });
    env = process.env;
    shareBudget(rig.service.url, new RequestBudget(100_000, 10));
    await engine.startWorker({ 'globus-compute': rig.restart({ base: join(folder, 'lus'), workingFolder: folder, pollSeconds: 0.2 }) });
    process.chdir(folder);
    cpSync(join(packageRoot(), 'remote'), join(folder, 'remote'), { recursive: true });
    // As root the real program counts as serving several users and wants an address.
    writeFileSync(
      'globus_endpoint.yaml',
      `${readFileSync(join(packageRoot(), 'config/globus_endpoint.yaml'), 'utf8')}contact_email: somebody@example.org\n`,
    );
    const config = campaign
      .replace('your-endpoint-id-here', rig.endpoint.id)
      .replace('/lus/flare/projects/your-project', join(folder, 'lus'));
    writeFileSync('config.yaml', config);
    // The keys of the second block stand instead of the first one's.
    writeFileSync('three.yaml', `${config.replace(/^(name|budget): .*\n/gm, '')}${three}`);
  });
  afterAll(async () => {
    process.chdir(here);
    for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
    Object.assign(process.env, saved);
    await engine?.close();
    await rig?.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  /** One line as a user types it; a link that is printed is opened and its code pasted. */
  async function type(line: string): Promise<{ exit: number; out: string; err: string }> {
    const [output, errors, input] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const texts = { out: '', err: '' };
    let isPasted = false;
    const listen = (name: 'out' | 'err') => (chunk: Buffer) => {
      texts[name] += chunk.toString();
      const link = /^http\S+oauth2\/authorize\S*$/m.exec(texts[name])?.[0];
      if (link && !isPasted && texts[name].includes('Code: ')) {
        isPasted = true;
        input.write(`${rig.service.consent(link)}\n`);
      }
    };
    output.on('data', listen('out'));
    errors.on('data', listen('err'));
    const words = line.replaceAll(/\$(\w+)/g, (_, name: string) => env[name] ?? '').split(/\s+/);
    expect(words[0]).toBe('holdfast');
    const io: CliIo = { env, input, output, errors, interrupted: new AbortController().signal };
    const exit = await main(words.slice(1), io);
    return { exit, ...texts };
  }

  it('has the commands of sections 2 to 6 of the old guide', () => {
    for (const part of [
      'endpoint init',
      'endpoint start',
      'endpoint list',
      'endpoint show',
      'login globus',
      'diag connectivity',
      'diag training',
      'holdfast run',
      'endpoint logs',
      'endpoint stop',
    ]) {
      expect(commands.join('\n')).toContain(part);
    }
    expect(commands.length).toBeGreaterThan(13);
  });

  it.each(commands)('%s', { timeout: 180_000 }, async (line) => {
    const { exit, out, err } = await type(line);
    expect(exit, `${out}\n${err}`).toBe(0);
    if (line.includes('endpoint show')) expect(out.split('\n')[0]).toBe(rig.endpoint.id);
    if (line.includes('endpoint list')) expect(out).toMatch(/^running\s+[0-9a-f-]{36}\s+aurora-training$/m);
    if (line.includes('endpoint status')) expect(out).toContain(`${rig.endpoint.id} online`);
    if (line.includes('diag connectivity')) expect(out).toContain('Hello from');
    if (line.includes('diag training')) expect(out).toMatch(/PASS training: (1 of 1|5 of 5) trainings completed/);
    if (line.includes('holdfast run config')) expect(out).toMatch(/4\/4/);
    if (line.includes('holdfast run three')) expect(out).toMatch(/3\/3/);
    if (line.includes('holdfast trials')) for (const rate of [/\b0\.01\b/, /\b0\.001\b/, /\b(0\.0001|1e-4)\b/]) expect(out).toMatch(rate);
    if (line.includes('holdfast logs')) expect(out).toMatch(/^==> .*agent\.log <==$/m);
  });
});
