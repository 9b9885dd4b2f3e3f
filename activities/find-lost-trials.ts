import { Context } from '@temporalio/activity';
import { WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import { trialWorkflowId } from '../src/domain/ids.ts';
import type { TrialView } from '../src/domain/status.ts';
import type { TrialOutcome } from '../src/domain/trial.ts';
import { trialQuery } from '../workflows/messages.ts';
import { withHeartbeat } from './heartbeat.ts';

interface TrialName {
  readonly campaign: string;
  readonly number: number;
}

export interface LostTrial {
  readonly number: number;
  readonly status: string;
  readonly outcome?: TrialOutcome;
}

/** Of these trials, the ones whose workflow has ended: with their outcome where there is one. */
export async function findLostTrials(input: { readonly campaign: string; readonly numbers: readonly number[] }): Promise<LostTrial[]> {
  return withHeartbeat(async () => {
    const { client } = Context.current();
    const lost: LostTrial[] = [];
    for (const number of input.numbers) {
      const handle = client.workflow.getHandle(trialWorkflowId(input.campaign, number));
      try {
        const { status } = await handle.describe();
        if (status.name === 'RUNNING') continue;
        if (status.name === 'COMPLETED') lost.push({ number, status: status.name, outcome: (await handle.result()) as TrialOutcome });
        else lost.push({ number, status: status.name });
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        lost.push({ number, status: 'not found' });
      }
    }
    return lost;
  });
}

/** Ends the workflow of a trial that an earlier campaign of the same name has left. Its launch is closed, so nothing of it runs. */
export async function endForeignTrial({ campaign, number }: TrialName): Promise<void> {
  return withHeartbeat(async () => {
    try {
      await Context.current().client.workflow.getHandle(trialWorkflowId(campaign, number)).terminate('its campaign was terminated');
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  });
}

/** What a trial's workflow, running or ended, says of itself; undefined when there is none. */
export async function viewTrial({ campaign, number }: TrialName): Promise<TrialView | undefined> {
  return withHeartbeat(async () => {
    try {
      return await Context.current().client.workflow.getHandle(trialWorkflowId(campaign, number)).query(trialQuery);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  });
}

/** Waits until the workflow of a trial has closed, however it ends. */
export async function awaitTrialEnd({ campaign, number }: TrialName): Promise<void> {
  return withHeartbeat(async () => {
    try {
      await Context.current().client.workflow.getHandle(trialWorkflowId(campaign, number)).result();
    } catch (error) {
      if (!(error instanceof WorkflowFailedError) && !(error instanceof WorkflowNotFoundError)) throw error;
    }
  });
}
