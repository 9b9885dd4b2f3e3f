import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { watchCampaign } from '../../src/cli/watch.ts';
import { startCli } from '../support/cli.ts';
import { type Engine, startEngine } from '../support/engine.ts';

let engine: Engine;
const address = process.env.TEMPORAL_ADDRESS;
beforeAll(async () => {
  engine = await startEngine();
  process.env.TEMPORAL_ADDRESS = engine.server.address;
});
afterAll(async () => {
  if (address === undefined) delete process.env.TEMPORAL_ADDRESS;
  else process.env.TEMPORAL_ADDRESS = address;
  await engine.close();
});

it('a view that was left leaves no question behind, which would fail in nobody’s hands when the server ends', async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown) => void uncaught.push(error);
  process.on('uncaughtException', note);
  try {
    // No worker: it waits, as it does while it runs.
    await engine.start('config/campaigns/digits.yaml', 'left-1');
    const watch = startCli(['watch', 'left-1']);
    await sleep(2000);
    watch.interrupt();
    expect(await watch.end()).toMatchObject({ exit: 0, err: expect.stringContaining('left-1 goes on') });
    // Where the worker ends with the view, as in the demonstration, nobody is told that the campaign goes on meanwhile.
    const errors = new PassThrough();
    const io = { env: {}, input: process.stdin, output: new PassThrough(), errors, interrupted: AbortSignal.abort() };
    expect(await watchCampaign(engine.client, 'left-1', io, { isWorkerHere: true })).toBe('ok');
    expect(errors.read()).toBeNull();
    engine.server.kill();
    await sleep(2000);
    expect(uncaught).toEqual([]);
  } finally {
    process.off('uncaughtException', note);
  }
});
