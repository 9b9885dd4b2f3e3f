import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { controlEndpoint, endpointStatus, printEndpointLogs, printEndpoints, showEndpoint } from '../../src/cli/endpoint-control.ts';
import { initEndpoint, validateEndpoint } from '../../src/cli/endpoint-files.ts';
import type { EndpointIo } from '../../src/cli/endpoint-io.ts';
import { endpointProgram, localProgram } from '../../src/systems/globus/endpoint-command.ts';
import { renderEndpointFiles } from '../../src/systems/globus/endpoint-files.ts';
import { localMachine } from '../../src/systems/globus/endpoint-machine.ts';
import { concurrencyWarning } from '../../src/systems/globus/endpoint-settings.ts';
import { readEndpointSettings } from '../../src/systems/globus/read-endpoint-settings.ts';
import { cli, startCli } from '../support/cli.ts';
import { StandInEndpoint } from '../support/globus-endpoint.ts';
import { GLOBUS_PYTHON, type GlobusSdkChild, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';
import { GlobusStandIn } from '../support/globus-service.ts';

const SHIPPED = fileURLToPath(new URL('../../config/globus_endpoint.yaml', import.meta.url));
const shipped = readFileSync(SHIPPED, 'utf8');
let base: string;
let io: EndpointIo;
let printed: string;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'holdfast-endpoints-'));
  const env = {
    ...process.env,
    GLOBUS_COMPUTE_USER_DIR: base,
    HOLDFAST_GLOBUS_COMPUTE_ENDPOINT: join(dirname(GLOBUS_PYTHON), 'globus-compute-endpoint'),
  };
  io = {
    env,
    machine: localMachine(env),
    program: endpointProgram(env),
    write: (text) => {
      printed += text;
    },
  };
});
beforeEach(() => {
  printed = '';
});
afterAll(() => rmSync(base, { recursive: true, force: true, maxRetries: 5 }));

const change = (from: string | RegExp, to: string) => shipped.replace(from, to);

describe('the endpoint file', () => {
  it.each([
    [
      'an unknown key',
      `${shipped}\nmax_worker_per_node: 3\n`,
      /max_worker_per_node: is not a key here \(f\.yaml:\d+:1\)\. Did you mean "max_workers_per_node"\?/,
    ],
    ['a key of the old form', `${shipped}\nlog_level: DEBUG\n`, /log_level: .*--debug/],
    [
      'more workers than accelerators',
      change('max_workers_per_node: 12', 'max_workers_per_node: 13'),
      /13 workers cannot share 12 accelerators/,
    ],
    [
      'init above max blocks',
      change('init_blocks: 0', 'init_blocks: 2'),
      /init_blocks: is above max_blocks 1 \(f\.yaml:11:14\)\. Lower it\./,
    ],
    ['a walltime that YAML reads as a number', change('"01:00:00"', '3600'), /walltime/],
    [
      'a single-node launcher with two nodes',
      change('nodes_per_block: 1', 'nodes_per_block: 2').replace(/launcher:[\s\S]*?--ppn 1\n/, ''),
      /first of 2 nodes only/,
    ],
    ['more workers than cores', change('cpus_per_node: 64', 'cpus_per_node: 8'), /12 workers need more than the 8 cores .*Lower it to 8/],
    ['no account', change(/account:.*/, ''), /account: is missing/],
    ['a queue on a local endpoint', change('scheduler: pbs', 'scheduler: local'), /queue: .*no meaning/],
    ['scheduler options that are no directives', change('"#PBS -l filesystems=home:flare"', '-l filesystems=home'), /begin with #PBS/],
    ['a misspelt key inside', change('  type: mpiexec', '  tpye: mpiexec'), /launcher\.tpye: is not a key here .*Did you mean "type"\?/],
    ['a misspelt word', change('type: mpiexec', 'type: mpiexce'), /launcher\.type: is "mpiexce".*Did you mean "mpiexec"\?/],
    ['broken YAML', `${shipped}\n  - :\n`, /f\.yaml:\d+:\d+/],
  ])('with %s is refused by name', (_, text, message) => {
    expect(() => readEndpointSettings(text, 'f.yaml')).toThrow(message);
  });

  it('warns when a campaign wants more than its workers', () => {
    const settings = readEndpointSettings(shipped, SHIPPED);
    expect(concurrencyWarning(settings, 12)).toBeUndefined();
    expect(concurrencyWarning(settings, 24)).toMatch(/24 is above the 12 workers.*12 trials would wait/);
  });

  it('is read by holdfast validate of a campaign that names it', async () => {
    const campaign = (concurrency: number) => `objective: {metric: m, direction: maximize}
search_space: {x: {type: float, min: 0, max: 1}}
training: {command: train}
budget: {trials: 3}
globus_compute:
  enabled: true
  endpoint_id: 0e0e0e0e-1111-4222-8333-444444444444
  endpoint_config_path: ${SHIPPED}
  parallel_jobs: {max_concurrent: ${concurrency}}
`;
    const file = join(base, 'campaign.yaml');
    writeFileSync(file, campaign(12));
    expect((await cli('validate', file)).out).not.toContain('WARN');
    writeFileSync(file, campaign(24));
    expect(await cli('validate', file)).toMatchObject({
      exit: 0,
      out: expect.stringMatching(/WARN max_concurrent 24 is above the 12 workers/),
    });
  });

  it('is checked where no endpoint is installed, and the rest is said to be left out', async () => {
    const bare = { ...io, program: '/nowhere/globus-compute-endpoint' };
    expect(await validateEndpoint(undefined, { config: SHIPPED }, bare)).toBeUndefined();
    expect(printed).toMatch(/no mistake found.*not asked/);
  });

  it('keeps shell lines that look like Jinja', () => {
    const lines = `echo "$${'{#PATH}'} {{ not_ours }} {% raw %}"`;
    const settings = readEndpointSettings(change('module load frameworks', lines), 'f.yaml');
    expect(renderEndpointFiles(settings)['user_config_template.yaml.j2']).not.toContain('{{ not_ours }}');
  });
});

describe.skipIf(!HAS_GLOBUS_PYTHON)("the endpoint's own program", () => {
  /** What the real program makes of the shipped file, for the tests after the first. */
  let rendering = '';

  it('configures an endpoint with our files and its loader reads our values', async () => {
    // As root the real program counts as serving several users and wants an address.
    const config = join(base, 'globus_endpoint.yaml');
    writeFileSync(config, `${shipped}contact_email: somebody@example.org\n`);
    await initEndpoint('aurora-training', { config }, io);
    expect(printed).toContain("the endpoint's own loader accepts its files");
    rendering = (await validateEndpoint('aurora-training', {}, io)) ?? '';
    const rendered = parse(rendering) as {
      engine: Record<string, unknown> & { provider: Record<string, unknown> };
    };
    const ours = parse(shipped) as Record<string, unknown>;
    expect(rendered.engine).toMatchObject({
      type: 'GlobusComputeEngine',
      max_workers_per_node: 12,
      prefetch_capacity: 24,
      max_retries_on_system_failure: 2,
      available_accelerators: ours.available_accelerators,
    });
    expect(rendered.engine.provider).toMatchObject({
      type: 'PBSProProvider',
      account: 'your-project',
      queue: 'debug',
      walltime: '01:00:00',
      nodes_per_block: 1,
      init_blocks: 0,
      min_blocks: 0,
      max_blocks: 1,
      cpus_per_node: 64,
      select_options: 'ngpus=1',
      scheduler_options: '#PBS -l filesystems=home:flare',
      worker_init: ours.worker_init,
      launcher: { type: 'MpiExecLauncher', bind_cmd: '--cpu-bind', overrides: '--ppn 1' },
    });
  });

  it('takes the options of a campaign and refuses others', async () => {
    const options = { queue: 'prod', walltime: '03:00:00', max_blocks: 4 };
    const rendered = parse((await validateEndpoint(undefined, { config: SHIPPED, options, maxConcurrent: 24 }, io)) ?? '') as {
      engine: { provider: unknown };
    };
    expect(rendered.engine.provider).toMatchObject({ queue: 'prod', walltime: '03:00:00', max_blocks: 4 });
    expect(printed).toMatch(/WARN max_concurrent 24/);
    await expect(validateEndpoint(undefined, { config: SHIPPED, options: { worker_init: 'rm' } }, io)).rejects.toThrow(/worker_init/);
    await expect(validateEndpoint(undefined, { config: SHIPPED, options: { queue: 'a b' } }, io)).rejects.toThrow(/queue|pattern/);
  });

  it('builds the engine and provider that we mean', async () => {
    const script = `
import sys, json, pathlib
from globus_compute_endpoint.endpoint.config.utils import load_config_yaml, render_config_user_template, load_user_config_template
core = load_config_yaml(pathlib.Path(sys.argv[1], "config.yaml").read_text())
config = load_config_yaml(sys.stdin.read())
engine = config.engine
print(json.dumps({"engine": type(engine).__name__, "provider": type(engine.executor.provider).__name__, "launcher": type(engine.executor.provider.launcher).__name__,
  "account": engine.executor.provider.account, "workers": engine.executor.max_workers_per_node, "accelerators": engine.executor.available_accelerators, "core": type(core).__name__}))
`;
    const answer = await localProgram(io.env)([GLOBUS_PYTHON, '-c', script, join(base, 'aurora-training')], { input: rendering });
    expect(answer.code, answer.stderr).toBe(0);
    expect(JSON.parse(answer.stdout)).toEqual({
      engine: 'GlobusComputeEngine',
      provider: 'PBSProProvider',
      launcher: 'MpiExecLauncher',
      account: 'your-project',
      workers: 12,
      accelerators: (parse(shipped) as { available_accelerators: string[] }).available_accelerators,
      core: 'CoreEndpointConfig',
    });
  });

  it('names the broken key of a damaged endpoint', async () => {
    const path = join(base, 'aurora-training', 'user_config_template.yaml.j2');
    const good = readFileSync(path, 'utf8');
    writeFileSync(path, good.replace('PBSProProvider', 'NoSuchProvider'));
    await expect(validateEndpoint('aurora-training', {}, io)).resolves.toBeTypeOf('string'); // the loader renders only
    writeFileSync(path, 'engine: {{ nothing }}\n');
    await expect(validateEndpoint('aurora-training', {}, io)).rejects.toThrow(/nothing/);
    writeFileSync(path, good);
  });

  it.runIf(process.getuid?.() === 0)('as root asks for an address, in the words of our file', async () => {
    await expect(initEndpoint('as-root', { config: SHIPPED }, io)).rejects.toThrow(/Add contact_email: \S+ to .*globus_endpoint\.yaml/);
  });

  it('that is not logged in ends with the command that logs it in, not with a link that leads nowhere', async () => {
    const start = controlEndpoint('start', 'aurora-training', {}, io);
    await expect(start).rejects.toMatchObject({ class: 'needs_login', code: 'HF-GLOBUS-ENDPOINT-LOGIN' });
    await expect(start).rejects.toThrow(/globus-compute-endpoint login` there once/);
    expect(printed).not.toContain('oauth2/authorize');
  });

  it('refuses to start an endpoint of the old form, with the command that helps', async () => {
    const old = join(base, 'old-form');
    mkdirSync(old);
    writeFileSync(join(old, 'config.yaml'), 'engine:\n  type: GlobusComputeEngine\n');
    await expect(controlEndpoint('start', 'old-form', {}, io)).rejects.toThrow(/holdfast endpoint init old-form/);
    rmSync(old, { recursive: true });
  });
});

describe('holdfast endpoint, mistyped', () => {
  it.each([
    [['validate', '-c', '/nowhere/e.yaml'], /\/nowhere\/e\.yaml cannot be read \(ENOENT\)\. Copy .*config\/globus_endpoint\.yaml/],
    [['validate', '-c', SHIPPED, '--max-concurrent', 'many'], /--max-concurrent.*"many" is no whole number/],
    [['validate', '-c', SHIPPED, '--options', '{queue: prod}'], /--options.*is no JSON object/],
    [['vaildate'], /Did you mean validate/],
    [['init'], /missing required argument 'name'/],
    [['start', 'x', '--log-level', 'DEBUG'], /write --debug/],
    [['logs', 'x', '-n', 'all'], /"all" is no whole number/],
    [['status', 'x', '--auth', 'native'], /"native" is unknown\. Use one of native_client/],
  ])('%j is wrong usage, exit 2, and says what to write', async (words, message) => {
    const { exit, err } = await startCli(['endpoint', ...words], { env: { GLOBUS_COMPUTE_USER_DIR: base } }).end();
    expect(err).toMatch(message);
    expect(exit).toBe(2);
  });

  it('a file with mistakes is exit 2, every one of them named', async () => {
    const file = join(base, 'broken.yaml');
    writeFileSync(file, `${change('queue: debug', 'qeue: debug')}\nlog_level: DEBUG\n`);
    const { exit, err } = await startCli(['endpoint', 'render', '-c', file], { env: {} }).end();
    expect(exit).toBe(2);
    expect(err).toMatch(/qeue: is not a key here .*Did you mean "queue"\?/);
    expect(err).toMatch(/log_level: is not a key here/);
  });
});

describe('an endpoint folder', () => {
  const folder = () => join(base, 'rig');
  beforeAll(() => {
    mkdirSync(join(folder(), '..', 'uep.0e0e0e0e-1111-4222-8333-444444444444.x'), { recursive: true });
    mkdirSync(folder(), { recursive: true });
    writeFileSync(join(folder(), 'config.yaml'), 'display_name: null\n');
    writeFileSync(join(folder(), 'endpoint.json'), '{"endpoint_id": "0e0e0e0e-1111-4222-8333-444444444444"}');
    writeFileSync(join(folder(), 'endpoint.log'), Array.from({ length: 200 }, (_, index) => `line ${index}`).join('\n'));
    writeFileSync(
      join(base, 'uep.0e0e0e0e-1111-4222-8333-444444444444.x', 'endpoint.log'),
      'a\n2026 ERROR qsub: Unauthorized Request\nTraceback\n',
    );
  });

  it('is registered, then running while its pid file is fresh, then disconnected', async () => {
    expect(await showEndpoint('rig', {}, io)).toMatchObject({ state: 'registered' });
    expect(printed.split('\n')[0]).toBe('0e0e0e0e-1111-4222-8333-444444444444');
    writeFileSync(join(folder(), 'daemon.pid'), '1');
    expect((await printEndpoints({ json: true }, io)).find((endpoint) => endpoint.name === 'rig')?.state).toBe('running');
    const old = new Date(Date.now() - 60_000);
    utimesSync(join(folder(), 'daemon.pid'), old, old);
    expect((await printEndpoints({}, io)).find((endpoint) => endpoint.name === 'rig')?.state).toBe('disconnected');
  });

  it('shows the last lines of its own log and of its processes, and the last error', async () => {
    await printEndpointLogs('rig', { lines: 3 }, io);
    expect(printed).toContain('line 197\nline 198\nline 199\n');
    expect(printed).toContain('uep.0e0e0e0e');
    expect(printed).not.toContain('line 196');
    printed = '';
    await printEndpointLogs('rig', { lines: 3, errors: true }, io);
    expect(printed).toMatch(/^2026 ERROR qsub: Unauthorized Request/);
  });

  it('that is not there is refused with the names that are', async () => {
    await expect(showEndpoint('nowhere', {}, io)).rejects.toThrow(/has: .*rig.*holdfast endpoint init nowhere/s);
    await expect(showEndpoint('rgi', {}, io)).rejects.toThrow(/Did you mean "rig"\?/);
  });

  it('is online or offline as the service says', async () => {
    const service = await GlobusStandIn.start();
    try {
      const endpoint = new StandInEndpoint({} as GlobusSdkChild, base);
      service.endpoints.set(endpoint.id, endpoint);
      service.clients.set('c', 's');
      const env = {
        ...io.env,
        GLOBUS_SDK_SERVICE_URL_COMPUTE: service.url,
        GLOBUS_SDK_SERVICE_URL_AUTH: service.url,
        GLOBUS_COMPUTE_CLIENT_ID: 'c',
        GLOBUS_COMPUTE_CLIENT_SECRET: 's',
      };
      expect(await endpointStatus(endpoint.id, { auth: 'confidential_client' }, { ...io, env })).toBe(true);
      endpoint.online = false;
      expect(await endpointStatus(endpoint.id, { auth: 'confidential_client' }, { ...io, env })).toBe(false);
      expect(printed).toContain(`${endpoint.id} offline`);
    } finally {
      await service.end();
    }
  });
});
