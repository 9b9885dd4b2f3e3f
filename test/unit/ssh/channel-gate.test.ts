import { expect, it } from 'vitest';
import { ChannelGate } from '../../../src/ssh/channel-gate.ts';

const never = new AbortController().signal;
const soon = () => performance.now() + 200;
const late = () => performance.now() + 60_000;

it('never gives out more channels than the limit, and serves in order', async () => {
  const gate = new ChannelGate(2);
  const order: number[] = [];
  let open = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 9 }, async (_, number) => {
      const release = await gate.acquire(late(), never);
      order.push(number);
      most = Math.max(most, ++open);
      await new Promise((resolve) => setTimeout(resolve, 5));
      open--;
      release();
    }),
  );
  expect(most).toBe(2);
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

it('a refusal lowers the limit to what the server gave, never below one', async () => {
  const gate = new ChannelGate(4);
  const releases = [await gate.acquire(soon(), never), await gate.acquire(soon(), never), await gate.acquire(soon(), never)];
  gate.refused();
  expect(gate.channels).toBe(2);
  for (const release of releases) release();
  const one = await gate.acquire(soon(), never);
  gate.refused();
  expect(gate.channels).toBe(1);
  one();
  gate.reset();
  expect(gate.channels).toBe(4);
});

it('waiting ends in an error at the deadline and the place is given up', async () => {
  const gate = new ChannelGate(1);
  const release = await gate.acquire(soon(), never);
  await expect(gate.acquire(soon(), never)).rejects.toMatchObject({ code: 'HF-SSH-BUSY', class: 'transport' });
  release();
  (await gate.acquire(soon(), never))();
});

it('a cancelled wait gives its place to the next', async () => {
  const gate = new ChannelGate(1);
  const release = await gate.acquire(soon(), never);
  const abort = new AbortController();
  const cancelled = gate.acquire(late(), abort.signal);
  const next = gate.acquire(late(), never);
  abort.abort();
  await expect(cancelled).rejects.toMatchObject({ code: 'HF-SSH-ABORTED' });
  release();
  (await next)();
});

it('a channel given back twice counts once', async () => {
  const gate = new ChannelGate(1);
  const release = await gate.acquire(soon(), never);
  release();
  release();
  await gate.acquire(soon(), never);
  await expect(gate.acquire(soon(), never)).rejects.toMatchObject({ code: 'HF-SSH-BUSY' });
});
