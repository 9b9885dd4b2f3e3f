import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HealthReport } from '../../src/domain/health.ts';
import { DriverError } from '../../src/systems/driver.ts';
import type { WatchedSystem } from '../../src/temporal/health-schedule.ts';
import { cli, cliJson } from '../support/cli.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { type Rig, startRig } from '../support/globus-rig.ts';
import { HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

describe.skipIf(!HAS_GLOBUS_PYTHON)('a watched Globus Compute system', () => {
  let engine: Engine;
  let rig: Rig;
  let isLoggedIn = true;
  const saved = process.env.TEMPORAL_ADDRESS;

  beforeAll(async () => {
    [engine, rig] = await Promise.all([startEngine(), startRig()]);
    process.env.TEMPORAL_ADDRESS = engine.server.address;
    const ended = () => new DriverError('needs_login', 'HF-GLOBUS-LOGIN-EXPIRED', 'Globus login has expired. Run `holdfast login globus`.');
    const driver = rig.restart({
      endpointId: rig.endpoint.id,
      authorizer: {
        token: (signal) => (isLoggedIn ? rig.authorizer.token(signal) : Promise.reject(ended())),
        renew: (token, signal) => (isLoggedIn ? rig.authorizer.renew(token, signal) : Promise.reject(ended())),
      },
    });
    await engine.startWorker({ 'globus-compute': driver });
  });
  afterAll(async () => {
    if (saved === undefined) delete process.env.TEMPORAL_ADDRESS;
    else process.env.TEMPORAL_ADDRESS = saved;
    await engine?.close();
    await rig?.end();
  });

  const now = () => cliJson<WatchedSystem & { report: HealthReport }>('health', 'globus-compute', '--now');
  const statusOf = (report: HealthReport, id: string) => report.findings.find((finding) => finding.id === id)?.status;

  it('is checked from the moment somebody asks for it, by a Temporal Schedule', async () => {
    expect(await cli('health', 'globus-compute')).toMatchObject({ exit: 1, out: expect.stringContaining('--every 10m') });
    const { exit, out, err } = await cli('health', 'globus-compute', '--every', '10m', '--now');
    expect(exit, err).toBe(0);
    expect(out).toMatch(/^system globus-compute is well\nchecked every 10 min, the last time \d+ s ago\n/);
    expect(out).toContain(`OK   endpoint online (${rig.endpoint.id}): endpoint ${rig.endpoint.id} is online`);
    const schedule = await engine.client.schedule.getHandle('health/globus-compute').describe();
    expect(schedule.spec.intervals?.map(({ every }) => every)).toEqual([600_000]);
    expect(schedule.policies.overlap).toBe('SKIP');
    // Another interval changes the schedule that there is.
    expect((await cliJson<WatchedSystem>('health', 'globus-compute', '--every', '20m')).everySeconds).toBe(1200);
  });

  it('that goes offline and comes back has both as events, and the Web UI finds it', async () => {
    rig.endpoint.setOnline(false);
    const { report: offline } = await now();
    expect(offline.verdict).toBe('fail');
    expect(offline.events.map(({ title, from, to }) => [title, from, to])).toEqual([['endpoint online', 'ok', 'fail']]);
    const shown = await cli('health', 'globus-compute');
    expect(shown.exit).toBe(1);
    expect(shown.out).toMatch(/FAIL endpoint online .* is offline \(since .*\)\n {5}Run: holdfast endpoint start NAME/);
    expect((await cli('health')).out).toMatch(/globus-compute\s+FAIL/);

    const runs = engine.client.workflow.list({ query: 'HpoState = "fail" AND HpoSystem = "globus-compute" AND HpoError = "TS8"' });
    const found: string[] = [];
    for await (const run of runs) found.push(run.workflowId);
    expect(found.length).toBeGreaterThan(0);
    const handle = engine.client.workflow.getHandle(found[0] ?? '');
    expect(await handle.describe().then((run) => run.staticSummary())).toBe('health of globus-compute');
    const metadata = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toContain('Needs attention');

    rig.endpoint.setOnline(true);
    const { report: back } = await now();
    expect(back.verdict).toBe('ok');
    expect(back.events.map(({ from, to }) => [from, to])).toEqual([
      ['ok', 'fail'],
      ['fail', 'ok'],
    ]);
  });

  it('tells a version that changed, and one that does not fit', async () => {
    rig.endpoint.version = '4.20.1';
    const { report: newer } = await now();
    expect(newer.events.at(-1)?.text).toBe('endpoint 4.19.0 is now 4.20.1');
    expect(newer.verdict).toBe('ok');
    rig.endpoint.version = '1.9.0';
    const { report: old } = await now();
    expect(statusOf(old, 'TS10')).toBe('fail');
    expect(old.events.at(-1)?.text).toMatch(/endpoint 1\.9\.0 is older than the service's least 2\.0\.0/);
    rig.endpoint.version = '4.19.0';
  });

  it('whose login has ended is told once; what nobody could ask is no event', async () => {
    await now();
    isLoggedIn = false;
    const { report } = await now();
    expect([statusOf(report, 'TS2'), statusOf(report, 'TS8')]).toEqual(['fail', 'skip']);
    expect(report.findings.find(({ id }) => id === 'TS2')?.advice).toBe('Run: holdfast login globus');
    isLoggedIn = true;
    const { report: after } = await now();
    expect(after.verdict).toBe('ok');
    expect(after.events.slice(-2).map(({ title }) => title)).toEqual(['login still valid', 'login still valid']);
  });

  it('without its worker is a finding, not a check that waits for ever', async () => {
    const report = (await engine.client.workflow.execute('systemHealth', {
      taskQueue: 'holdfast',
      workflowId: 'health/nobody',
      args: [{ system: 'nobody', patienceSeconds: 2 }],
    })) as HealthReport;
    expect(report.findings).toMatchObject([{ id: 'worker', status: 'fail', advice: 'Run: holdfast worker --systems nobody' }]);
  });

  it('is left alone again, and systems without a service are refused', async () => {
    expect((await cli('health', 'globus-compute', '--off')).out).toBe('globus-compute is not watched any more.\n');
    expect((await cli('health')).out).toContain('No system is watched');
    expect(await cli('health', 'local', '--every', '10m')).toMatchObject({ exit: 2, err: expect.stringContaining('of kind local') });
    expect(await cli('health', 'globus-compute', '--every', '5s')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('at least 60 s'),
    });
  });
});
