import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadProfile } from '../../../src/spec/load-profile.ts';
import type { PbsProfile } from '../../../src/spec/profile.ts';
import { fillTemplate, renderJob } from '../../../src/systems/pbs/job-script.ts';
import { cpuNumbers, shapeOf } from '../../../src/systems/pbs/shape.ts';
import { standInProfile } from '../../support/pbs/campaign.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-script-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function profile(name: string): PbsProfile {
  const found = loadProfile(name, { env: {} });
  if (found.kind !== 'pbs') throw new Error(name);
  return found;
}

const fill = (template: string) =>
  fillTemplate(template, { pilot: 'camp-1.p3', key: 'hf-camp-1.p3-0123456789ab', nodes: 2, walltimeSeconds: 5400 });

describe('the job script', () => {
  it('has the directives that Aurora asks for', () => {
    const shape = shapeOf(profile('aurora'), { mode: 'pilot', queue: 'capacity', account: 'MyProject', nodes: 2, walltime: 5400 });
    const script = fill(renderJob(shape, '/lus/flare/projects/MyProject/me/camp-1')['pbs/job.sh']);
    const directives = script.split('\n').filter((line) => line.startsWith('#PBS'));
    expect(script.split('\n')[0]).toBe('#!/bin/bash -l');
    expect(directives).toEqual([
      '#PBS -N hf-camp-1.p3-0123456789ab',
      '#PBS -A MyProject',
      '#PBS -q capacity',
      '#PBS -l select=2:system=aurora',
      '#PBS -l place=scatter',
      '#PBS -l walltime=01:30:00',
      '#PBS -l filesystems=home:flare',
      '#PBS -k doe',
      '#PBS -j oe',
      '#PBS -r n',
      '#PBS -o /lus/flare/projects/MyProject/me/camp-1/pilots/camp-1.p3/pbs/',
    ]);
    expect(script).not.toMatch(/@[A-Z]+@/);
    expect(script).toContain('mpiexec -n 2 --ppn 1');
  });

  it('gives each of Aurora’s 12 tiles its mask and its own cores, none of which are the system’s', () => {
    const { slots } = shapeOf(profile('aurora'), { mode: 'pilot' });
    expect(slots).toHaveLength(12);
    expect(slots.map((slot) => slot.env.ZE_AFFINITY_MASK)).toEqual(Array.from({ length: 12 }, (_, tile) => String(tile)));
    const cpus = slots.flatMap((slot) => slot.cpus);
    expect(new Set(cpus).size).toBe(cpus.length);
    expect(cpus).not.toContain(0);
    expect(cpus).not.toContain(52);
    expect(shapeOf(profile('polaris'), { mode: 'pilot' }).slots.map((slot) => slot.env.CUDA_VISIBLE_DEVICES)).toEqual(['0', '1', '2', '3']);
  });

  it.each(['aurora', 'polaris', 'crux', 'generic-pbs'])('of %s is accepted by bash, and so is what it starts', (name) => {
    const files = renderJob(shapeOf(profile(name), { mode: 'pilot' }), '/lus/x');
    const jobs = renderJob(shapeOf(profile(name), { mode: 'job' }, 2), '/lus/x');
    for (const text of [fill(files['pbs/job.sh']), files['pbs/environment.sh'], files['pbs/node.sh'], jobs['pbs/node.sh']]) {
      expect(spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    }
  });

  it('hands any value of the environment on unchanged', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0') && !text.includes('\r')),
        (value) => {
          const shape = { ...shapeOf(standInProfile({ setup: [] }), { mode: 'pilot' }), env: { VALUE: value } };
          const file = join(folder, 'environment.sh');
          writeFileSync(file, renderJob(shape, '/lus/x')['pbs/environment.sh']);
          const seen = spawnSync('bash', ['-c', '. "$1"; printf %s "$VALUE"', 'bash', file], {
            encoding: 'utf8',
            env: { PBS_JOBID: '1.x' },
          });
          expect(seen.stdout).toBe(value);
        },
      ),
      { numRuns: 30 },
    );
  });

  it.each([
    ['account', { account: 'x; touch y' }],
    ['account', { account: "a'b" }],
    ['queue', { queue: 'debug\n#PBS -l select=100' }],
    ['directive', { directives: ['-l select=1\n#PBS -A other'] }],
    ['directive', { directives: ['select=1'] }],
    ['filesystems', { filesystems: ['home flare'] }],
  ])(
    'refuses a %s that PBS would read as something else',
    (_what, settings: { account?: string; queue?: string; directives?: string[]; filesystems?: string[] }) => {
      const site = standInProfile(
        settings.queue === undefined
          ? {}
          : { queues: [{ name: settings.queue, nodes: { max: 2 }, walltime: { max: '1h' } }], default_queue: settings.queue },
      );
      expect(() => renderJob(shapeOf(site, { mode: 'pilot', ...settings }), '/lus/x')).toThrow(/cannot/);
    },
  );

  it.each(['/lus/with blank', '/lus/a:b', "/lus/it's", '/lus/$HOME', 'relative'])('refuses the launch folder %j', (directory) => {
    expect(() => renderJob(shapeOf(standInProfile(), { mode: 'pilot' }), directory)).toThrow(/launch folder/);
  });

  it.each(['pilot', 'job'] as const)('in mode %s takes what the set-up lines of a node lasted off the agent’s time', (mode) => {
    const launch = join(folder, mode);
    // Tells the pilot's name, and keeps what the agent is started with.
    const python = join(folder, 'python');
    writeFileSync(python, `#!/bin/sh\nif [ "$1" = -c ]; then echo p1; else echo "$*" >>'${launch}/started'; fi\n`);
    chmodSync(python, 0o755);
    // bash counts on from there, as after 400 seconds of module loads.
    const shape = { ...shapeOf(standInProfile({ setup: ['SECONDS=400'] }), { mode }), python };
    const files = renderJob(shape, launch);
    for (const place of ['pbs', 'pilots/p1', 'spool/ready', 'spool/claimed']) mkdirSync(join(launch, place), { recursive: true });
    writeFileSync(join(launch, 'spool/ready/trial-0001.1.json'), '{}');
    for (const [name, text] of Object.entries(files)) writeFileSync(join(launch, name), text);
    const ran = spawnSync('bash', [join(launch, 'pbs/node.sh'), 'p1', '3600', '1'], {
      encoding: 'utf8',
      env: { ...process.env, PBS_JOBID: '1.x' },
    });
    expect(ran.status).toBe(0);
    const left = Number(/--walltime (\d+)/.exec(readFileSync(join(launch, 'started'), 'utf8'))?.[1]);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(3200);
  });

  it('a campaign’s own directive takes the place of the default', () => {
    const shape = shapeOf(standInProfile({ directives: {} }), { mode: 'pilot', directives: ['-r y', '-m abe'] });
    const script = renderJob(shape, '/lus/x')['pbs/job.sh'];
    expect(script).toContain('#PBS -r y\n');
    expect(script).not.toContain('#PBS -r n\n');
    expect(script).toContain('#PBS -k doe\n');
  });
});

describe('the shape of a pilot', () => {
  it('asks for no more walltime than the queue behind a routing queue takes', () => {
    expect(shapeOf(profile('polaris'), { mode: 'pilot', queue: 'prod', nodes: 10 }).walltimeSeconds).toBe(3 * 3600);
    expect(shapeOf(profile('polaris'), { mode: 'pilot', queue: 'prod', nodes: 50 }).walltimeSeconds).toBe(6 * 3600);
  });

  it('keeps the number of pilots within what the queue allows one user', () => {
    expect(shapeOf(profile('aurora'), { mode: 'pilot', queue: 'debug', maxPilots: 9 }).maxPilots).toBe(1);
    expect(shapeOf(profile('aurora'), { mode: 'pilot', queue: 'capacity' }).maxPilots).toBe(5);
  });

  it('a job of one trial has that trial’s slots', () => {
    expect(shapeOf(profile('aurora'), { mode: 'job', queue: 'capacity', nodes: 4 }, 3)).toMatchObject({
      nodes: 1,
      slotsPerNode: 3,
      prefetch: 0,
    });
  });

  it('refuses a queue that the profile does not have', () => {
    expect(() => shapeOf(profile('aurora'), { mode: 'pilot', queue: 'nosuch' })).toThrow(/not in the profile/);
  });

  it('reads CPU lists', () => {
    expect(cpuNumbers('1-3,105')).toEqual([1, 2, 3, 105]);
    expect(cpuNumbers('7')).toEqual([7]);
  });
});
