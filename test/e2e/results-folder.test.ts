import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import { type CampaignResult, statusQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { specification } from '../support/specification.ts';

const canMount = (() => {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-may-mount-'));
  const disk = mountSmallDisk(folder, 64);
  disk?.unmount();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  return disk !== undefined;
})();

describe.skipIf(!canMount)('a results folder that takes nothing', () => {
  let engine: Engine;
  let disk: SmallDisk;
  beforeAll(async () => {
    engine = await startEngine();
    const driver = createLocalDriver({ slots: 1, stateDirectory: path.join(engine.folder, 'state'), workingDirectory: engine.folder });
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());
  beforeEach(() => {
    disk = mountSmallDisk(path.join(engine.folder, 'results'), 1024) as SmallDisk;
  });
  afterEach(() => disk.unmount());

  const training = { command: ['/bin/sh', '-c', 'sleep 0.3; echo \'{"x": 0.5}\' > "$HOLDFAST_OUT/results.json"'] };
  const failureOf = async (id: string) =>
    engine.run(specification({ budget: { trials: 2 }, training }), id).then(
      () => 'no failure',
      (error: Error) => (error.cause as Error).message,
    );

  it('because it may not be written to ends the campaign at once, with what to do', async () => {
    disk.makeReadOnly();
    expect(await failureOf('read-only')).toMatch(
      /^Results folder .*\/results\/\S*read-only lies on a read-only file system \(EROFS\)\. Free or change it, or name another in working_dirs\.local_base\./,
    );
  });

  it('because its disk is full ends a campaign that begins there', async () => {
    disk.fill();
    expect(await failureOf('full')).toMatch(/^Results folder .* lies on a full disk \(ENOSPC\)\. .*working_dirs\.local_base\./);
  });

  it('for a while holds a campaign that runs: no trial is charged, none is lost, and it goes on when there is space', async () => {
    const handle = engine.client.workflow.getHandle('tight');
    // The second trial ends when the disk is full: the campaign is not over before.
    const waiting = 'case $HOLDFAST_TRIAL in *1) ;; *) while [ ! -e "$0/full" ]; do sleep 0.05; done;; esac';
    const change = { training: { command: ['/bin/sh', '-c', `${waiting}; ${training.command[2]}`, engine.folder] } };
    await engine.start(specification({ budget: { trials: 6 }, concurrency: 1, ...change }), 'tight');
    await eventually(async () => (await handle.query(statusQuery)).counts.completed >= 1);
    disk.fill();
    writeFileSync(path.join(engine.folder, 'full'), '');
    await eventually(async () => (await handle.query(statusQuery)).counts.total >= 2);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const stuck = await handle.query(statusQuery);
    expect(stuck.phase).toBe('running');
    expect(stuck.counts.failed).toBe(0);
    disk.empty();
    const result = (await handle.result()) as CampaignResult;
    expect(result.counts).toMatchObject({ total: 6, completed: 6, failed: 0 });
    const summary = JSON.parse(readFileSync(path.join(result.resultsDirectory ?? '', 'summary.json'), 'utf8')) as Summary;
    expect(summary.counts.completed).toBe(6);
  });

  it('at the report leaves the result whole and says how the report is made later', async () => {
    const last = 'touch "$0/begun"; while [ ! -e "$0/go" ]; do sleep 0.05; done';
    const change = { budget: { trials: 1 }, training: { command: ['/bin/sh', '-c', `${last}; ${training.command[2]}`, engine.folder] } };
    const handle = engine.client.workflow.getHandle('unreported');
    await engine.start(specification(change), 'unreported');
    await eventually(() => existsSync(path.join(engine.folder, 'begun')));
    // Enough for the end of the trial, not for report.html.
    disk.fill(32);
    writeFileSync(path.join(engine.folder, 'go'), '');
    const result = (await handle.result()) as CampaignResult;
    expect(result).toMatchObject({ status: 'completed', counts: { completed: 1 } });
    const { problems } = await handle.query(statusQuery);
    expect(problems.join(' ')).toMatch(/The report could not be written: .*Make it again with `holdfast report unreported`/);
  });
});
