import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { CampaignStatus } from '../../workflows/messages.ts';
import { eventually } from '../support/engine.ts';
import { freePort } from '../support/sshd.ts';

let folder: string;
const started: ChildProcess[] = [];

function env(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const { TEMPORAL_ADDRESS: _address, TEMPORAL_NAMESPACE: _namespace, NO_COLOR: _color, ...rest } = process.env;
  return { ...rest, HOLDFAST_TEMPORAL_CLI: inject('temporalBinary'), XDG_STATE_HOME: path.join(folder, 'state'), ...extra };
}

/** The real command in a process of its own. */
function holdfast(words: readonly string[], extra: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['bin/holdfast.mjs', ...words], { env: env(extra), stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  const seen = { out: '', err: '' };
  child.stdout.on('data', (data) => {
    seen.out += data;
  });
  child.stderr.on('data', (data) => {
    seen.err += data;
  });
  return { child, seen, end: once(child, 'close').then(([code]) => ({ ...seen, exit: code as number })) };
}

/** Ports that no other test and no connection is given; a server that is started again may have them again. */
const portWords = async () => ['--port', `${await freePort()}`, '--ui-port', `${await freePort()}`];

async function startDev(...loudness: string[]): Promise<{ dev: ReturnType<typeof holdfast>; address: string }> {
  const dev = holdfast(['dev', '--folder', path.join(folder, 'dev'), ...(await portWords()), '--json', ...loudness]);
  const address = await eventually(() => /"address": "([^"]+)"/.exec(dev.seen.out)?.[1], 180, `holdfast dev (${dev.seen.err})`);
  return { dev, address };
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-dev-'));
});
afterAll(async () => {
  for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

describe('holdfast dev', () => {
  it('runs server and worker until Ctrl-C, and a campaign goes on at the next start', { timeout: 400_000 }, async () => {
    const file = path.join(folder, 'waits.yaml');
    // The first three end by themselves, the others when a file is there: the campaign is not over before it was looked at.
    const go = path.join(folder, 'go');
    const training = [
      'import json, os, time',
      'time.sleep(0.3)',
      `while int(os.environ['HOLDFAST_TRIAL'][6:]) > 3 and not os.path.exists('${go}'): time.sleep(0.05)`,
      "score = json.load(open(os.environ['HOLDFAST_PARAMS']))['x']",
      "json.dump({'score': score}, open(os.path.join(os.environ['HOLDFAST_OUT'], 'results.json'), 'w'))",
    ].join('\n');
    await writeFile(
      file,
      JSON.stringify({
        version: 1,
        name: 'waits',
        system: 'local',
        objective: { metric: 'score', direction: 'maximize' },
        search_space: { x: { type: 'float', min: 0, max: 1 } },
        sampler: { type: 'random', seed: 1 },
        training: { command: ['python3', '-c', training] },
        concurrency: 1,
        budget: { trials: 12 },
        working_dirs: { local_base: path.join(folder, 'results') },
      }),
    );
    const first = await startDev('--log-level', 'warn');
    const at = { TEMPORAL_ADDRESS: first.address };
    expect(await holdfast(['run', file, '--json'], at).end).toMatchObject({ exit: 0 });
    const status = async (server: Record<string, string>) =>
      JSON.parse((await holdfast(['status', 'waits-1', '--json'], server).end).out) as CampaignStatus;
    const before = await eventually(async () => {
      const now = await status(at);
      return now.counts?.completed >= 2 && now;
    }, 120);
    expect(before.phase).toBe('running');
    first.dev.child.kill('SIGINT');
    expect((await first.dev.end).exit).toBe(0);
    expect(await holdfast(['ls'], at).end).toMatchObject({ exit: 5 });

    const second = await startDev('--quiet');
    await writeFile(go, '');
    const watch = await holdfast(['watch', 'waits-1'], { TEMPORAL_ADDRESS: second.address }).end;
    expect(watch.exit).toBe(0);
    expect(watch.out).toContain('12 trials completed');
    second.dev.child.kill('SIGTERM');
    const { exit, out, err } = await second.dev.end;
    expect(exit).toBe(0);
    // One document, and no progress; of the log what is a warning at least, as on a machine that is busy.
    expect(JSON.parse(out)).toMatchObject({ address: second.address });
    const lines = err.split('\n').filter((line) => line !== '');
    expect(lines.filter((line) => JSON.parse(line).level < 40)).toEqual([]);
  });

  const noteIn = (place: string) => JSON.parse(readFileSync(path.join(place, 'server.json'), 'utf8')) as { pid: number; address: string };
  /** Starts in a folder of its own; resolves when its server's process is there, before it answers. */
  async function beginning(name: string) {
    const place = path.join(folder, name);
    const dev = holdfast(['dev', '--folder', place, ...(await portWords()), '--json', '--quiet']);
    const note = path.join(place, 'server.json');
    await eventually(() => existsSync(note), 180, `the note of ${name} (${dev.seen.err})`);
    return { dev, place, server: noteIn(place) };
  }
  const isAlive = (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  it('that joined the server of another ends with it, and says that nothing answers any more', { timeout: 240_000 }, async () => {
    const words = ['dev', '--folder', path.join(folder, 'shared'), ...(await portWords()), '--quiet', '--log-level', 'silent'];
    const first = holdfast([...words, '--json']);
    await eventually(() => first.seen.out.includes('"address"'), 180, `the first (${first.seen.err})`);
    const second = holdfast([...words, '--json']);
    await eventually(() => second.seen.out.includes('"address"'), 180, `the second (${second.seen.err})`);
    first.child.kill('SIGINT');
    expect((await first.end).exit).toBe(0);
    const { exit, out } = await second.end;
    expect(exit).toBe(5);
    expect(out).toContain('"code":"HF-TEMPORAL-UNREACHABLE"');
  });

  it('started twice at the same moment runs one server', { timeout: 240_000 }, async () => {
    const place = path.join(folder, 'twins');
    const begin = async () => holdfast(['dev', '--folder', place, ...(await portWords()), '--json', '--quiet', '--log-level', 'silent']);
    const twins = [await begin(), await begin()];
    const addresses = [];
    for (const { seen } of twins)
      addresses.push(await eventually(() => /"address": "([^"]+)"/.exec(seen.out)?.[1], 180, `holdfast dev (${seen.err})`));
    expect(new Set(addresses)).toEqual(new Set([noteIn(place).address]));
    for (const { child } of twins) child.kill('SIGINT');
    await Promise.all(twins.map(({ end }) => end));
    await eventually(() => !existsSync(path.join(place, 'server.json')), 30, 'the end of the server');
  });

  it('leaves no server behind when Ctrl-C comes while it starts', { timeout: 240_000 }, async () => {
    const { dev, server } = await beginning('hasty');
    dev.child.kill('SIGINT');
    expect((await dev.end).exit).toBe(0);
    expect(isAlive(server.pid)).toBe(false);
  });

  it('killed while it starts leaves word of its server: the next one takes it over, and no second server opens the same file', {
    timeout: 240_000,
  }, async () => {
    const { dev, place, server } = await beginning('killed');
    dev.child.kill('SIGKILL');
    await dev.end;
    const next = holdfast(['dev', '--folder', place, '--port', `${await freePort()}`, '--json', '--quiet']);
    const address = await eventually(() => /"address": "([^"]+)"/.exec(next.seen.out)?.[1], 180, `the next one (${next.seen.err})`);
    expect(address).toBe(server.address);
    expect(noteIn(place).pid).toBe(server.pid);
    next.child.kill('SIGINT');
    const { exit, err } = await next.end;
    expect(exit).toBe(0);
    expect(err).toContain('--port and --ui-port change nothing');
    await eventually(() => !isAlive(server.pid), 30, 'the end of the server');
  });
});
