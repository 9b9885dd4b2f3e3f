import { ApplicationFailure, Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailureCategory } from '@temporalio/common';
import { systemWorkflowId, TASK_QUEUE } from '../src/domain/ids.ts';
import {
  abandonLaunchSignal,
  describeQuery,
  type Launch,
  openLaunchSignal,
  type Submission,
  type SystemInput,
  submitTrialSignal,
  systemQuery,
} from '../workflows/messages.ts';
import type { ActivityDeps } from './deps.ts';

/** How often a campaign asks whether its system is there. */
const GUARD_INTERVAL_MS = 20_000;

/** How often a campaign asks whether an earlier one of its name is gone. */
const EARLIER_INTERVAL_MS = 1_000;

interface EarlierQuestion {
  readonly system: string;
  readonly campaign: string;
  /** The one that the campaign is about to make. */
  readonly launch: string;
}

/**
 * Starts a system's workflow if it does not run and tells it of a launch: one step, so two campaigns cannot start it twice. A system's life is
 * named by the first run of its chain: it stays when the system continues as new, and is another one after somebody has terminated it.
 */
export function createEnsureSystem(deps: ActivityDeps) {
  async function openLaunch(system: string, launch: Launch): Promise<string | undefined> {
    const handle = await Context.current().client.workflow.signalWithStart<(input: SystemInput) => Promise<void>, [Launch]>(
      'computeSystem',
      {
        workflowId: systemWorkflowId(system),
        taskQueue: TASK_QUEUE,
        args: [{ name: system, hasSearchAttributes: deps.hasSearchAttributes }],
        signal: openLaunchSignal,
        signalArgs: [launch],
        staticSummary: `system ${system}`,
      },
    );
    return (await findRun(handle.workflowId, handle.signaledRunId))?.life;
  }

  /** Undefined when there is no such workflow; a server that names no first run gives no life. */
  async function findRun(workflowId: string, runId?: string): Promise<{ isRunning: boolean; life?: string } | undefined> {
    try {
      const { status, raw } = await Context.current().client.workflow.getHandle(workflowId, runId).describe();
      const life = raw.workflowExecutionInfo?.firstRunId;
      return { isRunning: status.name === 'RUNNING' || status.name === 'PAUSED', ...(life ? { life } : {}) };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  }

  return {
    /**
     * Ends once nothing is left of an earlier campaign of this name, which somebody has terminated: its trials have the names that this one's will
     * have. Until then a BENIGN failure, so that it is asked again.
     */
    async endEarlier({ system, campaign, launch }: EarlierQuestion): Promise<void> {
      const workflowId = systemWorkflowId(system);
      if ((await findRun(workflowId))?.isRunning !== true) return;
      const handle = Context.current().client.workflow.getHandle(workflowId);
      const { launches, login } = await handle.query(systemQuery);
      const open = launches[campaign];
      // Its own launch: the campaign's workflow was reset to a point before it had prepared it.
      if (open === undefined || (open.launch === launch && open.isAbandoned !== true)) return;
      if (login.kind === 'needs_login') throw ApplicationFailure.nonRetryable(login.message, 'NeedsLogin');
      await handle.signal(abandonLaunchSignal, { campaign });
      throw ApplicationFailure.create({
        message: `what an earlier campaign ${campaign} has left on ${system} is being ended`,
        type: 'EarlierCampaign',
        nextRetryDelay: EARLIER_INTERVAL_MS,
        category: ApplicationFailureCategory.BENIGN,
      });
    },

    /** Gives the system's life. */
    async ensureSystem(input: { readonly system: string; readonly launch: Launch }): Promise<string | undefined> {
      return openLaunch(input.system, input.launch);
    },

    /**
     * Ends only when the life that the campaign knows is over, with the new one's name: what that system had been told and had not passed on is
     * lost, whoever brought it back (a trial, another campaign). A BENIGN failure otherwise, so that it is asked again.
     */
    async guardSystem(input: { readonly system: string; readonly launch: Launch; readonly life?: string }): Promise<string | undefined> {
      const now = await findRun(systemWorkflowId(input.system));
      const isSame = input.life === undefined || now?.life === undefined || now.life === input.life;
      if (now?.isRunning === true && isSame) {
        throw ApplicationFailure.create({
          message: `system ${input.system} is there`,
          type: 'AllIsWell',
          nextRetryDelay: GUARD_INTERVAL_MS,
          category: ApplicationFailureCategory.BENIGN,
        });
      }
      return openLaunch(input.system, input.launch);
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
