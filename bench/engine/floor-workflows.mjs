// The bare floor: one child workflow with one no-op activity per trial, a window of them in flight, on the same server and worker settings.
import { condition, proxyActivities, startChild } from '@temporalio/workflow';

const { noop } = proxyActivities({ startToCloseTimeout: '1 minute' });

export async function floorParent(trials, width) {
  let inFlight = 0;
  for (let number = 1; number <= trials; number += 1) {
    await condition(() => inFlight < width);
    inFlight += 1;
    const child = await startChild(floorChild, { args: [number] });
    child.result().then(() => {
      inFlight -= 1;
    });
  }
  await condition(() => inFlight === 0);
}

export async function floorChild() {
  await noop();
}
