import { PassThrough } from 'node:stream';
import { type Client, ServiceError } from '@temporalio/client';
import { expect, it } from 'vitest';
import { watchCampaign } from '../../../src/cli/watch.ts';

/** A campaign that answers every question as a server does while the last task of its workflow has failed, and has ended once it was asked. */
function failingCampaign(): Client {
  let end: (result: object) => void = () => undefined;
  const result = new Promise<object>((resolve) => {
    end = resolve;
  });
  const query = async () => {
    end({ status: 'completed', counts: {}, stopReason: 'done', top: [], elapsedSeconds: 1 });
    const details = 'Unable to query workflow due to Workflow Task in failed state.';
    throw new ServiceError('Failed to query Workflow', { cause: Object.assign(new Error(details), { code: 9, details }) });
  };
  const client = {
    withAbortSignal: (_signal: AbortSignal, work: () => unknown) => work(),
    withDeadline: (_deadline: number, work: () => unknown) => work(),
    workflow: { getHandle: (workflowId: string) => ({ client, workflowId, query, result: () => result }) },
  };
  return client as unknown as Client;
}

it('a watch goes on while the worker fails at a step of the campaign, and says so', async () => {
  const [output, errors] = [new PassThrough(), new PassThrough()];
  const io = { env: {}, input: new PassThrough(), output, errors, interrupted: new AbortController().signal };
  expect(await watchCampaign(failingCampaign(), 'c-1', io, {})).toBe('ok');
  expect(String(output.read())).toContain('The worker has failed at a step of the campaign and tries it again; its log says why.');
});
