import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import type { TrialRecord } from '../../src/report/trial-records.ts';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { specification } from '../support/specification.ts';

const TRAINING = 'echo told; echo warned >&2; echo \'{"x": 0.5}\' > "$HOLDFAST_OUT/results.json"';

describe('the folder that a campaign leaves', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    const driver = createLocalDriver({ slots: 2, stateDirectory: path.join(engine.folder, 'state'), workingDirectory: engine.folder });
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  // Ids with underscores and hyphens: whoever splits such a name at them gets it wrong, so nobody may have to.
  it.each([
    ['my_exp_1', '{timestamp}_{experiment_id}', 'job_{job_id}', /^\d{8}-\d{6}_my_exp_1$/],
    ['iter-7_b', 'agentic_{timestamp}_{experiment_id}', '{job_id}', /^agentic_\d{8}-\d{6}_iter-7_b$/],
    ['plain', '{experiment_id}', 'run_{job_id}_x', /^plain$/],
  ])('%s under %s: id, time, folders, files and sizes stand in the summary and are true', async (id, launch, job, name) => {
    const working_dirs = { local_base: 'results', launch_iteration_pattern: launch, job_pattern: job };
    const training = { command: ['/bin/sh', '-c', TRAINING] };
    const result = await engine.run(specification({ budget: { trials: 3 }, concurrency: 2, training, working_dirs }), id);
    const folder = result.resultsDirectory ?? '';
    const summary = JSON.parse(readFileSync(path.join(folder, 'summary.json'), 'utf8')) as Summary;
    expect(summary).toMatchObject({
      campaign: id,
      launch: path.basename(folder),
      folders: { local: folder, on_system: folder, trials: 3 },
    });
    expect(summary.launch).toMatch(name);
    const stamp = /\d{8}-\d{6}/.exec(summary.launch ?? '')?.[0];
    const started = summary.started_at.replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
    if (stamp !== undefined) expect(stamp).toBe(started);

    const lines = readFileSync(path.join(folder, 'trials.jsonl'), 'utf8').trimEnd().split('\n');
    const trials = lines.map((line) => JSON.parse(line) as TrialRecord);
    for (const { trial, directory, files } of trials) {
      expect(directory).toBe(`trials/${job.replace('{job_id}', trial)}/attempt-1`);
      expect(files.map((file) => file.path)).toEqual(expect.arrayContaining(['results.json', 'stderr.log', 'stdout.log']));
      for (const file of files) {
        const bytes = readFileSync(path.join(folder, directory ?? '', file.path));
        expect([bytes.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([file.sizeBytes, file.sha256]);
      }
    }
    const sizes = trials.flatMap(({ files }) => files.map((file) => file.sizeBytes));
    expect(summary.folders).toMatchObject({ files: sizes.length, size_bytes: sizes.reduce((sum, size) => sum + size, 0) });
    expect(readdirSync(path.join(folder, 'trials'))).toHaveLength(3);
    expect(existsSync(path.join(folder, 'report.html'))).toBe(true);
  });
});
