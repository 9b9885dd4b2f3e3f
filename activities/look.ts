import { ApplicationFailure, Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailureCategory } from '@temporalio/common';
import { trialNumber, trialWorkflowId } from '../src/domain/ids.ts';
import type { DoneRecord } from '../src/domain/spool.ts';
import type { LookNews } from '../src/domain/system-events.ts';
import type { LookRequest, LookResult, SystemDriver } from '../src/systems/driver.ts';
import { attemptEndedSignal } from '../workflows/messages.ts';
import type { ActivityDeps } from './deps.ts';
import { asActivityFailure, driverOf } from './failures.ts';
import { withHeartbeat } from './heartbeat.ts';
import { rebuildLost } from './rebuild-launches.ts';

export interface LookInput {
  readonly system: string;
  readonly campaigns: readonly { readonly campaign: string; readonly localDirectory: string }[];
  readonly request: LookRequest;
}

/** A campaign's existence is asked for at most this often. */
const LEASE_CHECK_MS = 10_000;
/** Signals under way at once. */
const SIGNALS_AT_ONCE = 20;

/**
 * One look at a system: brings what ended to the trials' workflows and the rest to the system's. Without news it throws a BENIGN failure with
 * its own retry delay, so a week of waiting leaves no history. Repeating a look repeats signals, which trials take by attempt number.
 */
export function createLook(deps: ActivityDeps) {
  const leases = new Map<string, number>();

  return function look(input: LookInput): Promise<LookNews> {
    return withHeartbeat((say, signal) =>
      asActivityFailure(async () => {
        const driver = driverOf(deps, input.system);
        const { attempt } = Context.current().info;
        say({ looks: attempt });
        const open = input.campaigns.map(({ campaign }) => campaign);
        await rebuildLost(driver, open, Context.current().client, deps.logger);
        const goneCampaigns = await findGone(open);
        const result = await driver.look(input.request, signal);
        if (result === undefined && goneCampaigns.length === 0) throw await nothingNew(driver);
        const seen: LookResult = result ?? {
          cursor: input.request.cursor ?? '',
          ended: [],
          running: [],
          pilots: [],
          broken: [],
          notices: [],
        };
        await tellTrials(seen.ended);
        for (const record of seen.ended) await collect(driver, input, record);
        return news(seen, goneCampaigns);
      }),
    );
  };

  /** Campaigns whose workflow has ended: nobody will take their results in, so what runs of them must end. */
  async function findGone(campaigns: readonly string[]): Promise<string[]> {
    const gone: string[] = [];
    for (const campaign of campaigns) {
      if (Date.now() - (leases.get(campaign) ?? 0) < LEASE_CHECK_MS) continue;
      leases.set(campaign, Date.now());
      try {
        const { status } = await Context.current().client.workflow.getHandle(campaign).describe();
        if (status.name !== 'RUNNING' && status.name !== 'PAUSED') gone.push(campaign);
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        gone.push(campaign);
      }
    }
    return gone;
  }

  async function tellTrials(ended: readonly DoneRecord[]): Promise<void> {
    const { client } = Context.current();
    for (let first = 0; first < ended.length; first += SIGNALS_AT_ONCE) {
      await Promise.all(
        ended.slice(first, first + SIGNALS_AT_ONCE).map(async (record) => {
          const id = trialWorkflowId(record.campaign, trialNumber(record.trial));
          try {
            await client.workflow.getHandle(id).signal(attemptEndedSignal, { kind: 'record', record });
          } catch (error) {
            if (!(error instanceof WorkflowNotFoundError)) throw error;
            deps.logger.warn(
              { trial: id, attempt: record.attempt },
              'a result came for a trial that has ended; it stays in the launch folder',
            );
          }
        }),
      );
    }
  }

  async function collect(driver: SystemDriver, input: LookInput, record: DoneRecord): Promise<void> {
    const launch = input.campaigns.find(({ campaign }) => campaign === record.campaign);
    if (launch === undefined) return;
    await driver.collect(record.campaign, record, launch.localDirectory);
  }
}

async function nothingNew(driver: SystemDriver): Promise<ApplicationFailure> {
  const { lookIntervalSeconds } = await driver.describe();
  return ApplicationFailure.create({
    message: 'nothing new',
    type: 'NothingNew',
    nextRetryDelay: Math.max(1, lookIntervalSeconds * 1000 * (0.9 + 0.2 * Math.random())),
    category: ApplicationFailureCategory.BENIGN,
  });
}

function news(seen: LookResult, goneCampaigns: readonly string[]): LookNews {
  return {
    cursor: seen.cursor,
    ended: seen.ended.map(({ campaign, trial, attempt, pilot, status }) => ({ campaign, trial, attempt, pilot, status })),
    running: seen.running.flatMap(({ campaign, pilot, busy }) => busy.map((slot) => ({ ...slot, campaign, pilot }))),
    pilots: seen.pilots,
    notices: [
      ...seen.notices,
      ...seen.broken.map(({ campaign, name, message }) => `${campaign}: ${name} cannot be read: ${message}`),
    ].slice(0, 10),
    ...(seen.concerns === undefined ? {} : { concerns: seen.concerns }),
    goneCampaigns,
  };
}
