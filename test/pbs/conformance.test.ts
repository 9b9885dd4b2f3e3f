import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DoneRecord } from '../../src/domain/spool.ts';
import type { LaunchPlan, PilotSeen } from '../../src/systems/driver.ts';
import { isFullJobId } from '../../src/systems/pbs/job-id.ts';
import { readPbsText, readQstatText } from '../../src/systems/pbs/qstat-text.ts';
import { readQueues } from '../../src/systems/pbs/queues.ts';
import { offer } from '../support/pbs/campaign.ts';
import { openTarget, type Target } from '../support/pbs/target.ts';

/** A real queue may let a job wait; the stand-in starts it at once. */
const PATIENCE_SECONDS = Number(process.env.HOLDFAST_PBS_PATIENCE ?? 600);
const IS_REAL = Boolean(process.env.HOLDFAST_PBS_HOST ?? process.env.HOLDFAST_PBS_SYSTEM);
const LOOK_MS = IS_REAL ? 5_000 : 100;

/**
 * What Holdfast needs of a PBS site, tried on it: `npm run test:pbs -- --host … --queue …` before a site is trusted, the stand-in (through a
 * real sshd) by default. Uses a few minutes of one node and leaves nothing behind.
 */
describe('a PBS site', { timeout: PATIENCE_SECONDS * 2_000 }, () => {
  let target: Target;
  const stamp = Date.now().toString(36);

  beforeAll(async () => {
    target = await openTarget();
    console.log(`conformance of ${target.title}`);
  });
  const campaigns = new Set<string>();

  afterAll(async () => {
    // Also after a test that failed: no job stays in the site's queue.
    for (const campaign of campaigns) await target.driver().closeLaunch(campaign);
    await target?.close();
  }, PATIENCE_SECONDS * 1_000);

  function plan(campaign: string, command: readonly string[], settings: object = {}): LaunchPlan {
    campaigns.add(campaign);
    const bundle = join(target.localBase, 'code');
    mkdirSync(bundle, { recursive: true });
    writeFileSync(join(bundle, 'train.sh'), 'sleep "$1"\nprintf \'{"loss": %s}\\n\' "$2" >"$HOLDFAST_OUT/results.json"\n');
    return {
      campaign,
      launch: campaign,
      reportSteps: [],
      owner: { namespace: 'conformance', workflow_id: campaign, epoch: 1 },
      spec: {
        version: 1,
        name: campaign,
        system: { name: target.profile.name, kind: 'pbs', settings: { mode: 'pilot', ...target.settings, ...settings } },
        objectives: [{ metric: 'loss', direction: 'minimize', reduce: 'result' }],
        space: { parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] },
        sampler: { type: 'random', options: {} },
        enqueue: [],
        training: { command, bundle, env: {}, slots: 1 },
        budget: {},
        stop: { minDelta: 0 },
        limits: { hangFactor: 0, hangMinSeconds: 600, graceSeconds: 5, logBytes: 1_000_000 },
        retries: { infrastructure: 1, trial: 0 },
        workingDirs: { localBase: target.localBase, launchIterationPattern: '{campaign}', jobPattern: '{job_id}' },
        allowDuplicates: false,
        seed: 1,
      },
    };
  }

  async function watch(
    campaign: string,
    pilot: string,
    isEnough: (ended: ReadonlyMap<string, DoneRecord>, pilot: PilotSeen | undefined) => boolean,
  ) {
    const driver = target.driver();
    const ended = new Map<string, DoneRecord>();
    let seen: PilotSeen | undefined;
    for (const deadline = Date.now() + PATIENCE_SECONDS * 1000; Date.now() < deadline; await sleep(LOOK_MS)) {
      const look = await driver.look({ acks: [], pilots: [{ pilot, campaign }], waitSeconds: 0 }, new AbortController().signal);
      for (const record of look?.ended ?? []) if (record.campaign === campaign) ended.set(record.trial, record);
      seen = look?.pilots.find((each) => each.pilot === pilot) ?? seen;
      if (isEnough(ended, seen)) return { ended, seen };
    }
    throw new Error(`${pilot} did not come so far in ${PATIENCE_SECONDS} s: ${JSON.stringify(seen)}`);
  }

  it('answers, keeps a job history and has the queue', async () => {
    const { queues, server } = await target.driver().inspect();
    expect([queues.exit, queues.stderr, server.exit]).toEqual([0, '', 0]);
    const [about] = readPbsText(server.stdout, 'server').objects.values();
    expect(about?.attributes.get('job_history_enable'), 'without a job history an end may be told late').toBe('True');
    const wanted = String(target.settings.queue ?? target.profile.defaultQueue);
    expect(readQueues(readPbsText(queues.stdout, 'queue')).find((queue) => queue.name === wanted)).toMatchObject({ isEnabled: true });
  });

  it('finds no job by a name that never was, without a word', async () => {
    const answer = await target.shell.run({ script: 'PATH="$PATH:/opt/pbs/bin"; qselect -x -N "hf-none-$1"', args: [stamp] });
    expect(answer).toMatchObject({ kind: 'exited', code: 0 });
    if (answer.kind === 'exited') expect([answer.stdout.toString(), answer.stderr.toString()]).toEqual(['', '']);
  });

  it('refuses a queue that it does not have, and no job is left', async () => {
    const campaign = `conf-${stamp}-refused`;
    const { profile } = target;
    const odd = {
      ...target,
      profile: { ...profile, queues: [...profile.queues, { ...profile.queues[0], name: 'no-such-queue' } as (typeof profile.queues)[0]] },
    };
    const { createPbsDriver } = await import('../../src/systems/pbs/driver.ts');
    const driver = createPbsDriver({ name: 'holdfast-conformance', profile: odd.profile, shell: target.shell });
    await driver.prepareLaunch(plan(campaign, ['true'], { queue: 'no-such-queue' }), () => undefined);
    const start = await driver.startPilot({ pilot: `${campaign}.p1`, campaign });
    expect(start).toMatchObject({ kind: 'refused', failure: { evidence: expect.stringContaining('queue') } });
    await driver.closeLaunch(campaign);
  });

  it('runs a pilot once though it is asked for three times, and its results come back whole', async () => {
    const campaign = `conf-${stamp}-run`;
    const pilot = `${campaign}.p1`;
    const prepared = await target.driver().prepareLaunch(plan(campaign, ['sh', '{code}/train.sh', '1', '{x}']), () => undefined);
    await target
      .driver()
      .send([1, 2, 3].map((number) => ({ kind: 'offer' as const, campaign, offer: offer(campaign, number, number / 4) })));
    const starts = await Promise.all([1, 2, 3].map(() => target.driver().startPilot({ pilot, campaign })));
    const ids = new Set(starts.map((start) => (start.kind === 'started' ? start.nativeId : start.kind)));
    expect([...ids].filter(isFullJobId)).toHaveLength(1);
    const { ended } = await watch(campaign, pilot, (done) => done.size === 3);
    expect([...ended.values()].map((record) => record.values?.[0]).sort()).toEqual([0.25, 0.5, 0.75]);
    for (const record of ended.values()) {
      await target.driver().collect(campaign, record, prepared.localDirectory);
      expect(existsSync(join(prepared.localDirectory, record.directory, 'results.json'))).toBe(true);
    }
    const log = join(prepared.localDirectory, [...ended.values()][0]?.directory ?? '', 'results.json');
    expect(JSON.parse(readFileSync(log, 'utf8'))).toHaveProperty('loss');
    await target.driver().closeLaunch(campaign);
  });

  it('deletes a running pilot on request, gives its trial back, and confirms the end', async () => {
    const campaign = `conf-${stamp}-stop`;
    const pilot = `${campaign}.p1`;
    await target.driver().prepareLaunch(plan(campaign, ['sh', '{code}/train.sh', '900', '{x}']), () => undefined);
    await target.driver().send([{ kind: 'offer', campaign, offer: offer(campaign, 1, 0.5) }]);
    const start = await target.driver().startPilot({ pilot, campaign });
    await watch(campaign, pilot, (_, seen) => seen?.state === 'running');
    await target.driver().send([{ kind: 'stopPilot', pilot, reason: 'conformance' }]);
    const { ended } = await watch(campaign, pilot, (done, seen) => done.size === 1 || seen?.state === 'ended');
    for (const record of ended.values()) expect(record.status).toMatch(/returned|stopped/);
    await target.driver().closeLaunch(campaign);
    const id = start.kind === 'started' ? start.nativeId : '';
    const answer = await target.shell.run({ script: 'PATH="$PATH:/opt/pbs/bin"; TZ=UTC timeout 60 qstat -E -x -f -w "$1"', args: [id] });
    if (answer.kind !== 'exited') throw new Error(answer.why);
    expect(readQstatText(answer.stdout).objects.get(id)?.attributes.get('job_state')).toBe('F');
  });
});
