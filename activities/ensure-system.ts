import { ApplicationFailure, Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailureCategory } from '@temporalio/common';
import { systemWorkflowId, TASK_QUEUE } from '../src/domain/ids.ts';
import {
  describeQuery,
  type Launch,
  openLaunchSignal,
  type Submission,
  type SystemInput,
  submitTrialSignal,
} from '../workflows/messages.ts';
import type { ActivityDeps } from './deps.ts';

/** How often a campaign asks whether its system is there. */
const GUARD_INTERVAL_MS = 20_000;

/** Starts a system's workflow if it does not run and tells it of a launch: one step, so two campaigns cannot start it twice. */
export function createEnsureSystem(deps: ActivityDeps) {
  async function openLaunch(system: string, launch: Launch): Promise<void> {
    await Context.current().client.workflow.signalWithStart<(input: SystemInput) => Promise<void>, [Launch]>('computeSystem', {
      workflowId: systemWorkflowId(system),
      taskQueue: TASK_QUEUE,
      args: [{ name: system, hasSearchAttributes: deps.hasSearchAttributes }],
      signal: openLaunchSignal,
      signalArgs: [launch],
      staticSummary: `system ${system}`,
    });
  }

  async function isRunning(workflowId: string): Promise<boolean> {
    try {
      const { status } = await Context.current().client.workflow.getHandle(workflowId).describe();
      return status.name === 'RUNNING' || status.name === 'PAUSED';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  }

  return {
    async ensureSystem(input: { readonly system: string; readonly launch: Launch }): Promise<void> {
      await openLaunch(input.system, input.launch);
    },

    /** Ends only when the system's workflow was gone and has been brought back; a BENIGN failure otherwise, so that it is asked again. */
    async guardSystem(input: { readonly system: string; readonly launch: Launch }): Promise<void> {
      if (await isRunning(systemWorkflowId(input.system))) {
        throw ApplicationFailure.create({
          message: `system ${input.system} is there`,
          type: 'AllIsWell',
          nextRetryDelay: GUARD_INTERVAL_MS,
          category: ApplicationFailureCategory.BENIGN,
        });
      }
      await openLaunch(input.system, input.launch);
    },

    /** For a trial whose system's workflow has ended: brings it back with what the campaign knows, then submits. */
    async submitThroughClient(input: { readonly system: string; readonly submission: Submission }): Promise<void> {
      const { client } = Context.current();
      const { campaign } = input.submission;
      const description = await client.workflow.getHandle(campaign).query(describeQuery);
      if (description.openLaunch === undefined) throw new Error(`Campaign ${campaign} has no launch on ${input.system} yet.`);
      await openLaunch(input.system, description.openLaunch);
      await client.workflow.getHandle(systemWorkflowId(input.system)).signal(submitTrialSignal, input.submission);
    },
  };
}
