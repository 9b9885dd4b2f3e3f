import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createPbsDriver, type PbsDriver } from '../../src/systems/pbs/driver.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { systemQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { planOf, QUICK, STAND_IN_SITE, standInProfile, standInShell } from '../support/pbs/campaign.ts';
import { PbsStandIn } from '../support/pbs/standin.ts';

/** The walk of docs/guides/aurora.md against the stand-in: a profile, a campaign file, a worker that holds the system. */
describe('a campaign on PBS, from its file to its report', () => {
  let engine: Engine;
  let pbs: PbsStandIn;
  let driver: PbsDriver;
  let bundle: string;

  beforeAll(async () => {
    [engine, pbs] = await Promise.all([startEngine(), PbsStandIn.start()]);
    writeFileSync(path.join(pbs.directory, 'standin.yaml'), stringify(STAND_IN_SITE));
    bundle = planOf(pbs).spec.training.bundle ?? '';
    driver = createPbsDriver({ name: 'standin', profile: standInProfile(), shell: standInShell(pbs), timing: QUICK });
    await engine.startWorker({ standin: driver });
  });
  afterAll(async () => {
    await engine?.close();
    await pbs?.close();
  });

  const source = (name: string, seconds: number, change: object = {}) => ({
    version: 1,
    name,
    system: { name: path.join(pbs.directory, 'standin.yaml'), account: 'hpo_proj', walltime: '10m', nodes: 2, max_pilots: 1 },
    objective: { metric: 'loss', direction: 'minimize' },
    search_space: { x: { type: 'float', min: 0, max: 1 } },
    sampler: { type: 'random', seed: 5 },
    training: { bundle, command: ['sh', '{code}/train.sh', String(seconds), '{x}'] },
    budget: { trials: 8 },
    working_dirs: { aurora_base: path.join(pbs.directory, 'flare'), local_base: path.join(pbs.directory, 'results') },
    ...change,
  });

  const starts = (name: string) =>
    (existsSync(path.join(pbs.home, 'starts')) ? readFileSync(path.join(pbs.home, 'starts'), 'utf8').split('\n') : []).filter((line) =>
      line.startsWith(`${name}/`),
    );

  it('runs every trial once in one pilot, though the answer of qsub is lost, and brings the results back', {
    timeout: 300_000,
  }, async () => {
    pbs.plan([{ command: 'qsub', fault: 'die_after' }]);
    const result = await engine.run(source('walk', 0), 'walk-1');
    expect(result.counts).toMatchObject({ total: 8, completed: 8 });
    expect(new Set(starts('walk-1')).size).toBe(8);
    expect(starts('walk-1')).toHaveLength(8);
    expect(pbs.events().filter((event) => event.event === 'submit')).toHaveLength(1);
    const [launch = ''] = readdirSync(path.join(pbs.directory, 'results'));
    const results = path.join(pbs.directory, 'results', launch);
    expect(existsSync(path.join(results, 'report.html'))).toBe(true);
    for (let number = 1; number <= 8; number += 1) {
      const folder = readdirSync(path.join(results, 'trials')).find((name) => name.includes(`trial-000${number}`)) ?? '';
      expect(JSON.parse(readFileSync(path.join(results, 'trials', folder, 'attempt-1', 'results.json'), 'utf8'))).toHaveProperty('loss');
    }
    await eventually(() => pbs.jobs().every((job) => job.state === 'F'), 60, 'the end of its job');
  });

  it('goes on with the next pilot when an operator kills the first, and loses no trial', { timeout: 300_000 }, async () => {
    const running = engine.run(source('killed', 1), 'killed-1') as Promise<CampaignResult>;
    await eventually(() => starts('killed-1').length >= 2, 120, 'the first trainings');
    const job = pbs.jobs().find((each) => each.name.includes('killed-1') && each.state === 'R');
    pbs.admin('kill', { id: job?.id ?? '' });
    const result = await running;
    expect(result.counts).toMatchObject({ total: 8, completed: 8 });
    expect(new Set(starts('killed-1')).size).toBe(starts('killed-1').length);
  });

  it('ends when its node-hours are spent, and submits nothing more', { timeout: 300_000 }, async () => {
    const running = engine.run(source('spent', 600, { budget: { trials: 8, node_hours: 0.3334 } }), 'spent-1') as Promise<CampaignResult>;
    await eventually(() => starts('spent-1').length >= 2, 120, 'two trainings');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    pbs.command('qdel', [pbs.jobs().find((each) => each.name.includes('spent-1') && each.state === 'R')?.id ?? 'none']);
    const result = await running;
    expect(result.stopReason).toContain('node-hours are spent');
    expect(pbs.events().filter((event) => event.event === 'submit' && event.name?.includes('spent-1'))).toHaveLength(1);
  });

  it('that is cancelled leaves no job and no process', { timeout: 300_000 }, async () => {
    await engine.start(source('stopped', 600), 'stopped-1');
    await eventually(() => starts('stopped-1').length >= 2, 120, 'two trainings');
    const seen = async () =>
      (await engine.client.workflow.getHandle('system/standin').query(systemQuery)).pilots.find((pilot) => pilot.campaign === 'stopped-1');
    await eventually(async () => (await seen())?.state === 'running', 60, 'the pilot to be seen running');
    expect(await seen()).toMatchObject({ slots: 4 });
    await engine.client.workflow.getHandle('stopped-1').cancel();
    await eventually(
      async () => (await engine.client.workflow.getHandle('stopped-1').describe()).status.name !== 'RUNNING',
      120,
      'the end of the campaign',
    );
    await eventually(() => pbs.jobs().every((job) => job.state === 'F'), 120, 'the end of its job');
  });
});
