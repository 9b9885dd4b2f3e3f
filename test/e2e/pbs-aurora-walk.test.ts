import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { eventually } from '../support/engine.ts';
import { PbsStandIn, type StandInQueue } from '../support/pbs/standin.ts';
import { freePort, removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';

const reason = whyNoSshd();
if (reason) console.warn(`"Aurora in ten minutes" is not walked: ${reason}`);

const ROOT = process.cwd();
const HOLDFAST = path.join(ROOT, 'bin', 'holdfast.mjs');
const CAMPAIGN = 'config/campaigns/cifar100-aurora-pbs.yaml';
const TRIALS = 4;

/** The shell lines of the guide's first block, without their comments. */
function guideCommands(): string[] {
  const block = /```sh\n([\s\S]*?)```/.exec(readFileSync(path.join(ROOT, 'docs/guides/aurora.md'), 'utf8'))?.[1] ?? '';
  return block
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** The queues of the shipped profile, as the site itself would set them up. */
function queuesOf(profile: { queues: Record<string, never>[] }): Record<string, StandInQueue> {
  const seconds = (text: string) => Number(text.slice(0, -1)) * ({ m: 60, h: 3600 }[text.slice(-1)] as number);
  const clock = (text: string) =>
    new Date(seconds(text) * 1000 - Math.floor(seconds(text) / 86_400) * 86_400_000).toISOString().slice(11, 19);
  const time = (text: string) => (seconds(text) < 86_400 ? clock(text) : `${seconds(text) / 3600}:00:00`);
  const limits = ({ nodes, walltime, per_user: user }: Record<string, Record<string, never>>): StandInQueue => ({
    ...(nodes?.min === undefined ? {} : { min_nodes: nodes.min }),
    ...(nodes?.max === undefined ? {} : { max_nodes: nodes.max }),
    ...(walltime?.min === undefined ? {} : { min_walltime: time(walltime.min) }),
    ...(walltime?.max === undefined ? {} : { max_walltime: time(walltime.max) }),
    ...(user?.queued === undefined ? {} : { max_queued: user.queued }),
    ...(user?.running === undefined ? {} : { max_run: user.running }),
  });
  return Object.fromEntries(
    profile.queues.flatMap((queue) => {
      const routes: Record<string, never>[] = queue.routes ?? [];
      return [
        [queue.name, { ...limits(queue), ...(routes.length === 0 ? {} : { route: routes.map(({ name }) => name) }) }],
        ...routes.map((route) => [route.name, { ...limits(route), from_route_only: true }]),
      ];
    }),
  );
}

/**
 * The guide's commands as they stand there, in their order, each a process of its own, against a real sshd with the stand-in behind it. The shipped profile
 * and campaign are used with what belongs to the real machine replaced: host, modules, cores, queue and sizes as the guide says for a first try, and a
 * training that needs no GPU.
 */
describe.skipIf(reason !== undefined)('Aurora in ten minutes', () => {
  let pbs: PbsStandIn;
  let sshd: TestSshd;
  let folder: string;
  const left: ChildProcess[] = [];

  beforeAll(async () => {
    const profile = parse(readFileSync(path.join(ROOT, 'config/systems/aurora.yaml'), 'utf8'));
    pbs = await PbsStandIn.start({ queues: queuesOf(profile) });
    sshd = await startSshd({ sessionEnv: pbs.env });
    folder = path.join(pbs.directory, 'walk');
    for (const name of ['config/systems', 'config/campaigns', 'code']) mkdirSync(path.join(folder, name), { recursive: true });
    const { cpus: _cpus, ...slots } = profile.slots;
    const site = {
      ...profile,
      ssh: { ...profile.ssh, host: 'testhost', config_file: sshd.clientConfig },
      slots,
      setup: [],
      poll_seconds: 1,
    };
    writeFileSync(path.join(folder, 'config/systems/aurora.yaml'), stringify(site));
    writeFileSync(
      path.join(folder, 'code/train.sh'),
      'echo "tile $ZE_AFFINITY_MASK"\nprintf \'{"val_auc": %s}\\n\' "$1" >"$HOLDFAST_OUT/results.json"\n',
    );
    const campaign = parse(readFileSync(path.join(ROOT, CAMPAIGN), 'utf8'));
    const { max_pilots: _pilots, ...system } = campaign.system;
    const { pruner: _pruner, sampler: _sampler, limits: _limits, ...rest } = campaign;
    const first = {
      ...rest,
      sampler: { type: 'random', seed: 42 },
      system: { ...system, queue: 'debug', nodes: 1, walltime: '1h' },
      training: { bundle: path.join(folder, 'code'), command: ['sh', '{code}/train.sh', '{learning_rate}'] },
      budget: { trials: TRIALS },
      working_dirs: { ...campaign.working_dirs, aurora_base: path.join(pbs.directory, 'flare') },
    };
    writeFileSync(path.join(folder, CAMPAIGN), stringify(first));
  });
  afterAll(async () => {
    for (const child of left) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    if (sshd) await removeSshd(sshd);
    await pbs?.close();
  });

  /** One line of the guide; `more` are words that keep this test apart from a server of the developer's own. */
  function type(line: string, more: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    const [npx, command, ...words] = line.split(/\s+/);
    expect([npx, command]).toEqual(['npx', 'holdfast']);
    const child = spawn(process.execPath, [HOLDFAST, ...words, ...more], {
      cwd: folder,
      env: {
        ...sshd.env,
        NO_COLOR: '1',
        HOLDFAST_TEMPORAL_CLI: inject('temporalBinary'),
        XDG_STATE_HOME: path.join(folder, 'state'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    left.push(child);
    const seen = { out: '', err: '' };
    child.stdout.on('data', (piece) => {
      seen.out += piece;
    });
    child.stderr.on('data', (piece) => {
      seen.err += piece;
    });
    return { child, seen, end: once(child, 'close').then(([exit]) => ({ ...seen, exit: exit as number })) };
  }

  it('is what the commands of the guide do, in their order', { timeout: 600_000 }, async () => {
    const [exports, login, diff, validate, render, dev, run, ...rest] = guideCommands() as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    expect(rest).toEqual([]);
    expect(exports).toBe('export ALCF_PROJECT=your-project ALCF_USER=your-name');
    const mine = { ALCF_PROJECT: 'hpo_proj', ALCF_USER: 'me' };

    const loggedIn = await type(login, [], mine).end;
    expect(loggedIn, loggedIn.err).toMatchObject({ exit: 0 });
    expect(sshd.logins()).toEqual({ accepted: 1, failed: 0 });

    const compared = await type(diff, [], mine).end;
    expect(compared, compared.out + compared.err).toMatchObject({ exit: 0, out: expect.stringMatching(/is what the site says now/) });

    expect(await type(validate, [], mine).end).toMatchObject({ exit: 0 });

    const rendered = await type(render, [], mine).end;
    expect(rendered.exit, rendered.err).toBe(0);
    for (const line of ['-A hpo_proj', '-q debug', '-l select=1:system=aurora', '-l place=scatter', '-l filesystems=home:flare', '-k doe'])
      expect(rendered.out).toContain(`#PBS ${line}`);
    expect(pbs.events()).toEqual([]);

    const server = type(
      dev,
      ['--folder', path.join(folder, 'dev'), '--port', String(await freePort()), '--ui-port', String(await freePort()), '--json'],
      mine,
    );
    const address = await eventually(() => /"address": "([^"]+)"/.exec(server.seen.out)?.[1], 240, `holdfast dev (${server.seen.err})`);

    const watched = await type(run, [], { ...mine, TEMPORAL_ADDRESS: address }).end;
    expect(watched, watched.err).toMatchObject({ exit: 0, out: expect.stringContaining(`${TRIALS} trials completed`) });
    server.child.kill('SIGINT');
    expect((await server.end).exit).toBe(0);

    expect(pbs.events().filter(({ event }) => event === 'submit')).toHaveLength(1);
    expect(pbs.jobs().map(({ state }) => state)).toEqual(['F']);
    expect(sshd.logins()).toEqual({ accepted: 1, failed: 0 });
    const launch = path.join(folder, 'results', readdirSync(path.join(folder, 'results'))[0] ?? '');
    expect(existsSync(path.join(launch, 'summary.json'))).toBe(true);
    const tiles = readdirSync(path.join(launch, 'trials')).map((trial) =>
      readFileSync(path.join(launch, 'trials', trial, 'attempt-1', 'stdout.log'), 'utf8').trim(),
    );
    expect(tiles).toHaveLength(TRIALS);
    expect(new Set(tiles).size).toBe(TRIALS);
    for (const tile of tiles) expect(tile).toMatch(/^tile ([0-9]|1[01])$/);
  });
});
