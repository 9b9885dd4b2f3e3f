import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrialRow } from '../../src/domain/trial.ts';
import { PRUNERS } from '../../src/search/pruning/registry.ts';
import { bracketOf as bracketOfTrial } from '../../src/search/rungs.ts';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import { measured } from '../../src/view/format.ts';
import { statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { cli } from '../support/cli.ts';
import { type Engine, startEngine } from '../support/engine.ts';

/**
 * Trains to HOLDFAST_TARGET_STEP or to epoch 9, from the checkpoint of the earlier attempt, and notes each epoch it really trained. A first attempt waits after the
 * epoch `waits` (0: after none) until it is told to stop: how fast machine and campaign are changes nothing.
 */
const TRAINING = `
import json, os, sys, time
out, p = os.environ["HOLDFAST_OUT"], json.load(open(os.environ["HOLDFAST_PARAMS"]))
first, earlier, stop = 1, os.environ.get("HOLDFAST_RESUME_FROM"), os.environ["HOLDFAST_STOP_FILE"]
if earlier:
    first = int(open(os.path.join(earlier, "epoch")).read()) + 1
os.makedirs(os.path.join(out, "checkpoint"), exist_ok=True)
def note(what):
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, ("%s %s\\n" % (os.environ["HOLDFAST_TRIAL"], what)).encode()); os.close(fd)
for epoch in range(first, int(os.environ.get("HOLDFAST_TARGET_STEP") or 9) + 1):
    note(epoch)
    value = p["x"] * {"no": 1, "yes": epoch, "late": epoch if epoch == 9 else 0}[p["grows"]]
    with open(os.path.join(out, "metrics.jsonl"), "a") as f:
        f.write(json.dumps({"epoch": epoch, "val": value}) + "\\n")
    with open(os.path.join(out, "checkpoint", "epoch"), "w") as f:
        f.write(str(epoch))
    if not earlier and epoch == p["waits"]:
        for _ in range(6000):
            if os.path.exists(stop):
                note("stopped")
                sys.exit(0)
            time.sleep(0.02)
        sys.exit("nobody told it to stop")
`;

interface TestPoint {
  readonly x: number;
  /** Epoch after which the training waits for its stop file; 0: it never waits. */
  readonly waits: number;
  readonly grows: 'yes' | 'no' | 'late';
}
const point = (x: number, waits = 0, grows: TestPoint['grows'] = 'yes'): TestPoint => ({ x, waits, grows });
const fiveGoodOnes = [0.1, 0.2, 0.3, 0.4, 0.5].map((x) => point(x));

/** Per rule: its options, the points in their order, one at a time, and the step at which each trial ended; 9 is the end of training. */
const STOPPING: Readonly<Record<string, { options: object; points: readonly TestPoint[]; ends: readonly number[]; says: RegExp }>> = {
  asha: {
    options: { min_results: 3 },
    // The third is the best of three; the fourth the worst of four.
    points: [point(0.2), point(0.3), point(0.4), point(0.1, 1)],
    ends: [9, 9, 9, 1],
    says: /^Place 4 of 4 at step 1: not among the best 1\.$/,
  },
  median: {
    options: {},
    points: [...fiveGoodOnes, point(0.35), point(0.25, 1)],
    ends: [9, 9, 9, 9, 9, 9, 1],
    says: /worse than the best 50 % of 6 others/,
  },
  percentile: {
    options: { percentile: 25 },
    // Better than the median, and not good enough for a quarter.
    points: [...fiveGoodOnes, point(0.45), point(0.35, 1)],
    ends: [9, 9, 9, 9, 9, 9, 1],
    says: /worse than the best 25 % of 6 others/,
  },
  patience: {
    options: { patience: 3 },
    points: [point(0.1), point(0.9, 4, 'no')],
    ends: [9, 4],
    says: /^No improvement in 3 reports until step 4\.$/,
  },
};

describe('every early-stopping rule, through a whole campaign on the real agent', { timeout: 400_000 }, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    writeFileSync(path.join(engine.folder, 'train.py'), TRAINING);
    const driver = createLocalDriver({ slots: 1, stateDirectory: path.join(engine.folder, 'state'), workingDirectory: engine.folder });
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  /** Runs these points one after another; the rows, and the epochs that were really trained. */
  async function run(id: string, pruner: object, points: readonly TestPoint[]) {
    const log = path.join(engine.folder, `${id}.log`);
    const result = await engine.run(
      {
        version: 1,
        name: 'pruners',
        system: 'local',
        objective: { metric: 'val', direction: 'maximize', reduce: 'best' },
        search_space: {
          x: { type: 'float', min: 0, max: 1 },
          waits: { type: 'int', min: 0, max: 9 },
          grows: { type: 'categorical', values: ['yes', 'no', 'late'] },
        },
        sampler: { type: 'random', seed: 3 },
        training: { command: ['{python}', path.join(engine.folder, 'train.py'), log] },
        pruner: { max_steps: 9, ...pruner },
        enqueue: points,
        concurrency: 1,
        budget: { trials: points.length },
      },
      id,
    );
    const handle = engine.client.workflow.getHandle(id);
    const { rows } = await handle.query(trialsQuery);
    const status = await handle.query(statusQuery);
    const summary = JSON.parse(readFileSync(path.join(result.resultsDirectory as string, 'summary.json'), 'utf8'));
    return { result, rows, status, summary, trained: readFileSync(log, 'utf8').trim().split('\n') };
  }

  it('is here: each name that a campaign file may give', () => {
    // freeze_thaw and asha in its promoting form: pruning.test.ts.
    expect(new Set([...Object.keys(STOPPING), 'hyperband', 'freeze_thaw'])).toEqual(new Set(Object.keys(PRUNERS)));
  });

  it.each(Object.entries(STOPPING))(
    '%s stops the one that is not worth its steps by its stop file, no other, and tells what that saved',
    async (type, { options, points, ends, says }) => {
      const { result, rows, status, summary, trained } = await run(`stop-${type}`, { type, ...options }, points);
      expect(rows.map((row) => row.step)).toEqual(ends);
      expect(rows.map((row) => row.state)).toEqual(ends.map((step) => (step === 9 ? 'completed' : 'pruned')));
      const stopped = rows.at(-1) as TrialRow;
      expect(stopped.failure?.message).toMatch(says);
      expect(trained.filter((line) => line.endsWith('stopped'))).toEqual([`trial-000${points.length} stopped`]);
      expect(result.best?.step).toBe(9);
      expect(summary.early_stopping).toMatchObject({ pruned: 1, saved_steps: 9 - (ends.at(-1) as number) });
      expect(status.savedHours).toBeGreaterThan(0);
      expect(summary.early_stopping.saved_slot_hours).toBe(status.savedHours);
    },
  );

  it('a training that is told to stop and is at its last step by then is complete, and may be the best', async () => {
    const late = point(0.9, 9, 'late');
    const { result, rows, summary, trained } = await run('late', { type: 'median' }, [...fiveGoodOnes, late]);
    expect(trained).toContain('trial-0006 stopped');
    expect(rows.at(-1)).toMatchObject({ state: 'completed', step: 9, values: [0.9 * 9] });
    expect(result).toMatchObject({ counts: { completed: 6, pruned: 0 }, best: { number: 6 } });
    expect(summary.early_stopping).toMatchObject({ pruned: 0, saved_steps: 0 });
  });

  it('hyperband pauses trials at the first rung of their bracket, and the best third goes on from its checkpoint', async () => {
    const options = { form: 'promote' };
    const rungs = [1, 3, 9];
    const numbers = Array.from({ length: 10 }, (_, i) => i + 1);
    const pruner = { type: 'hyperband', minSteps: 1, maxSteps: 9, reductionFactor: 3, options };
    const bracketOf = (number: number) => bracketOfTrial(pruner, 3, number);
    const brackets = rungs.map((_, bracket) => numbers.filter((number) => bracketOf(number) === bracket));
    expect(brackets.map((members) => members.length)).toEqual([6, 3, 1]);
    // The earlier the better. Nobody waits for a stop file: a training knows from its start where it pauses.
    const points = numbers.map((number) => point(1 - number / 20));
    const { rows, status, trained } = await run('hyperband', { type: 'hyperband', ...options }, points);
    const endsOf = (bracket: number) => brackets[bracket]?.map((number) => [rows[number - 1]?.step, rows[number - 1]?.attempts]);
    const [first, last] = [brackets[0] ?? [], brackets[1] ?? []];
    expect(endsOf(0)).toEqual(first.map((_, i) => (i < 2 ? [3, 2] : [1, 1])));
    expect(endsOf(1)).toEqual(last.map((_, i) => (i < 1 ? [9, 2] : [3, 1])));
    expect(endsOf(2)).toEqual([[9, 1]]);
    // No epoch twice: what went on did so from its checkpoint.
    expect(new Set(trained).size).toBe(trained.length);
    expect(status).toMatchObject({ counts: { completed: 2, pruned: 8 } });
    const saved = `${measured(status.savedHours as number)} slot-hours, 8 trials stopped early or paused`;
    process.env.TEMPORAL_ADDRESS = engine.server.address;
    expect((await cli('status', 'hyperband')).out).toContain(`saved   ${saved}\n`);
    expect((await cli('best', 'hyperband')).out).toContain(`early stopping saved ${saved}\n`);
  });
});
