import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import { statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';

/** Trains to HOLDFAST_TARGET_STEP or to epoch 9, from the checkpoint of the earlier attempt; notes each epoch it really trained. */
const TRAINING = `
import json, os, sys, time
out, p = os.environ["HOLDFAST_OUT"], json.load(open(os.environ["HOLDFAST_PARAMS"]))
first, earlier = 1, os.environ.get("HOLDFAST_RESUME_FROM")
if earlier and os.path.exists(os.path.join(earlier, "epoch")):
    first = int(open(os.path.join(earlier, "epoch")).read()) + 1
os.makedirs(os.path.join(out, "checkpoint"), exist_ok=True)
for epoch in range(first, int(os.environ.get("HOLDFAST_TARGET_STEP") or 9) + 1):
    time.sleep(float(sys.argv[2]))
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, ("%s %d\\n" % (os.environ["HOLDFAST_TRIAL"], epoch)).encode()); os.close(fd)
    with open(os.path.join(out, "metrics.jsonl"), "a") as f:
        f.write(json.dumps({"epoch": epoch, "val": (1 - (p["x"] - 0.3) ** 2) * epoch / (1 + epoch)}) + "\\n")
    with open(os.path.join(out, "checkpoint", "epoch"), "w") as f:
        f.write(str(epoch))
    if os.path.exists(os.environ["HOLDFAST_STOP_FILE"]):
        break
`;

describe('early stopping, on the real agent', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    writeFileSync(path.join(engine.folder, 'train.py'), TRAINING);
    const driver = createLocalDriver({ slots: 3, stateDirectory: path.join(engine.folder, 'state'), workingDirectory: engine.folder });
    await engine.startWorker({ local: driver });
  });
  afterAll(() => engine.close());

  const spec = (log: string, epochSeconds: number, pruner: object) => ({
    version: 1,
    name: 'pruning',
    system: 'local',
    objective: { metric: 'val', direction: 'maximize', reduce: 'best' },
    search_space: { x: { type: 'float', min: 0, max: 1 } },
    sampler: { type: 'random', seed: 3 },
    training: { command: ['{python}', path.join(engine.folder, 'train.py'), path.join(engine.folder, log), String(epochSeconds)] },
    pruner: { max_steps: 9, reduction_factor: 3, ...pruner },
    budget: { trials: 12 },
  });

  it('promoted trials go on from their checkpoint: no epoch is trained twice, and only the best reach the end', async () => {
    const result = await engine.run(spec('promote.log', 0.05, { type: 'asha', form: 'promote' }), 'promote');
    const { rows } = await engine.client.workflow.getHandle('promote').query(trialsQuery);
    const epochs = readFileSync(path.join(engine.folder, 'promote.log'), 'utf8').trim().split('\n');
    expect(new Set(epochs).size).toBe(epochs.length);
    const whole = rows.filter((row) => row.step === 9);
    expect(whole.length).toBeGreaterThan(0);
    expect(whole.length).toBeLessThan(rows.length / 2);
    expect(whole.every((row) => row.state === 'completed' && row.attempts === 3)).toBe(true);
    expect(rows.filter((row) => row.step === 1).every((row) => row.state === 'pruned' && row.attempts === 1)).toBe(true);
    // Each value is of its own epoch, whatever a running attempt that has begun above a rung reports.
    const valueAt = (x: number, epoch: number) => (1 - (x - 0.3) ** 2) * (epoch / (1 + epoch));
    for (const row of rows)
      for (const [epoch, value] of row.curve ?? [])
        expect(value, `trial ${row.number}`).toBeCloseTo(valueAt(Number(row.params.x), epoch), 12);
    // The ends of training follow the values: the best completed trial is the best of all that were seen at the first rung.
    const atFirstRung = rows.toSorted((a, b) => Math.abs(Number(a.params.x) - 0.3) - Math.abs(Number(b.params.x) - 0.3))[0];
    expect(result.best?.number).toBe(atFirstRung?.number);
    const status = await engine.client.workflow.getHandle('promote').query(statusQuery);
    expect(status.savedHours).toBeGreaterThan(0);
  });

  it('a promoted trial that failed above its first rung runs again on demand: from its checkpoint to the rung that it was on its way to', async () => {
    const mended = path.join(engine.folder, 'mended');
    const fails = `    if p["x"] == 0.3 and epoch == 5 and not os.path.exists(${JSON.stringify(mended)}): sys.exit(3)\n`;
    writeFileSync(path.join(engine.folder, 'fails.py'), TRAINING.replace('    time.sleep(', `${fails}    time.sleep(`));
    const campaign = {
      ...spec('again.log', 0.05, { type: 'asha', form: 'promote' }),
      training: { command: ['{python}', path.join(engine.folder, 'fails.py'), path.join(engine.folder, 'again.log'), '0.05'] },
      enqueue: [{ x: 0.3 }],
      retries: { trial: 0 },
      budget: { trials: 200 },
    };
    await engine.start(campaign, 'again');
    const handle = engine.client.workflow.getHandle('again');
    const first = async () => (await handle.query(trialsQuery, { limit: 1000 })).rows[0];
    const failed = await eventually(async () => (await first())?.state === 'failed' && (await first()));
    expect(failed).toMatchObject({ attempts: 3, failure: { class: 'exit_code' } });
    writeFileSync(mended, '');
    expect(await handle.executeUpdate('retry', { args: [{ numbers: [1] }] })).toBe('1 trial again: 1');
    expect(await eventually(async () => (await first())?.state === 'completed' && (await first()))).toMatchObject({ attempts: 4, step: 9 });
    await handle.executeUpdate('stop', { args: ['seen'] });
    await handle.result();
    // Each epoch once: the failure came before its epoch was trained.
    const epochs = readFileSync(path.join(engine.folder, 'again.log'), 'utf8').trim().split('\n');
    expect(epochs.filter((line) => line.startsWith('trial-0001 ')).map((line) => Number(line.split(' ')[1]))).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
  });

  it('freeze_thaw: what the model expects most of goes on from its checkpoint, and the campaign ends by itself', async () => {
    const budget = { trials: 12, wall_time: '10h' };
    const thaw = { ...spec('thaw.log', 0.05, { type: 'freeze_thaw', min_steps: 2 }), sampler: { type: 'gp', seed: 3 }, budget };
    await engine.run(thaw, 'thaw');
    const { rows } = await engine.client.workflow.getHandle('thaw').query(trialsQuery);
    // The pruner's model goes on from the sampler's fit, and it knows the budget.
    const { events } = await engine.client.workflow.getHandle('thaw').fetchHistory();
    const judged = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: asked }) =>
      asked?.activityType?.name === 'judgeRungs'
        ? asked.input?.payloads?.map((each) => JSON.parse(Buffer.from(each.data ?? []).toString()))
        : [],
    );
    expect(judged.at(-1)).toMatchObject({
      samplerState: { hyper: { logLengths: expect.any(Array) } },
      budgetTrials: 12,
      budgetShare: expect.any(Number),
    });
    const epochs = readFileSync(path.join(engine.folder, 'thaw.log'), 'utf8').trim().split('\n');
    expect(new Set(epochs).size).toBe(epochs.length);
    expect(rows).toHaveLength(12);
    const whole = rows.filter((row) => row.step === 9);
    expect(whole.length).toBeGreaterThan(0);
    expect(whole.every((row) => row.state === 'completed' && row.attempts === 3)).toBe(true);
    // Rungs 2, 6, 9: the best end is at 0.3, and somebody near it was taken to the end.
    const nearest = Math.min(...rows.map((row) => Math.abs(Number(row.params.x) - 0.3)));
    expect(Math.min(...whole.map((row) => Math.abs(Number(row.params.x) - 0.3)))).toBeLessThan(nearest + 0.1);
    expect(epochs.length).toBeLessThan(12 * 9);
  });

  it('a trial that says it is final is complete below its rung, and is not trained again', async () => {
    // Of two epochs, whatever the target says: x below a half. The others train on from rung to rung.
    const script = `${TRAINING.replace('or 9) + 1', 'or 9) + 1 if p["x"] >= 0.5 else 3')}
json.dump({"val": 0.4 + p["x"], "status": "completed", "is_final": p["x"] < 0.5}, open(os.path.join(out, "results.json"), "w"))
`;
    writeFileSync(path.join(engine.folder, 'final.py'), script);
    const final = spec('final.log', 0.05, { type: 'asha', form: 'promote', min_steps: 3 });
    const command = ['{python}', path.join(engine.folder, 'final.py'), path.join(engine.folder, 'final.log'), '0.05'];
    await engine.run({ ...final, objective: { metric: 'val', direction: 'maximize', reduce: 'result' }, training: { command } }, 'final');
    const { rows } = await engine.client.workflow.getHandle('final').query(trialsQuery);
    const short = rows.filter((row) => Number(row.params.x) < 0.5);
    expect(short.length).toBeGreaterThan(0);
    expect(short.every((row) => row.state === 'completed' && row.attempts === 1 && row.step === 2)).toBe(true);
    expect(rows.some((row) => Number(row.params.x) >= 0.5 && row.state === 'pruned' && row.step === 3)).toBe(true);
    const epochs = readFileSync(path.join(engine.folder, 'final.log'), 'utf8').trim().split('\n');
    expect(new Set(epochs).size).toBe(epochs.length);
  });
});
