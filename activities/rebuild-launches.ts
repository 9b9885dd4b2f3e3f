import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Logger } from 'pino';
import { attemptName, systemWorkflowId, trialWorkflowId } from '../src/domain/ids.ts';
import { type LaunchMemory, RECALL_REASON, type SystemDriver } from '../src/systems/driver.ts';
import { describeQuery, statusQuery, stopTrialSignal, systemQuery, trialQuery } from '../workflows/messages.ts';

interface InFlight {
  readonly number: number;
  readonly attempt: number;
}

/**
 * Campaigns whose facts the driver has lost (its state folder is gone) get them back from their history. Then the system's workflow is made to offer
 * again what was in flight: it asks the driver to stop each attempt for RECALL_REASON, hears that it is unknown, and takes the offer back, so that the trial
 * submits the same attempt anew. Each step may be repeated.
 */
export async function rebuildLost(driver: SystemDriver, campaigns: readonly string[], client: Client, logger: Logger): Promise<void> {
  if (driver.lost === undefined || driver.rebuild === undefined || driver.recalled === undefined) return;
  const lost = await driver.lost(campaigns);
  if (lost.length === 0) return;
  const system = client.workflow.getHandle(systemWorkflowId(driver.name));
  const open = new Set((await system.query(systemQuery)).campaigns.map(({ campaign }) => campaign));
  for (const campaign of lost.filter((name) => open.has(name))) {
    const found = await memoryOf(client, campaign);
    if (found === undefined) continue;
    logger.warn(
      { campaign, system: driver.name, attempts: found.inFlight.length },
      'the driver has lost this campaign; it is built again from its history',
    );
    await driver.rebuild(found.memory);
    for (const { number, attempt } of found.inFlight)
      await system.signal(stopTrialSignal, { campaign, number, attempt, reason: RECALL_REASON });
    await driver.recalled(campaign);
  }
}

/** For a campaign that is to be closed: only the facts, so that what still runs of it can be ended. */
export async function rebuildForClose(driver: SystemDriver, campaign: string, client: Client): Promise<void> {
  if (driver.lost === undefined || driver.rebuild === undefined) return;
  if ((await driver.lost([campaign])).length === 0) return;
  const found = await memoryOf(client, campaign);
  if (found !== undefined) await driver.rebuild(found.memory);
}

/** What the campaign and its trials remember; undefined when there is no such campaign or it has no launch. */
async function memoryOf(client: Client, campaign: string): Promise<{ memory: LaunchMemory; inFlight: readonly InFlight[] } | undefined> {
  const handle = client.workflow.getHandle(campaign);
  try {
    const { spec, launch, provenance } = await handle.query(describeQuery);
    if (launch === undefined) return undefined;
    const inFlight = await Promise.all((await handle.query(statusQuery)).inFlight.map((number) => attemptOf(client, campaign, number)));
    const attempts = inFlight.map(({ number, attempt }) => attemptName(number, attempt));
    return { memory: { campaign, spec, ...launch, provenance, attempts }, inFlight };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

async function attemptOf(client: Client, campaign: string, number: number): Promise<InFlight> {
  try {
    const { attempt } = await client.workflow.getHandle(trialWorkflowId(campaign, number)).query(trialQuery);
    return { number, attempt };
  } catch (error) {
    // Its workflow has not begun: nothing of it was offered.
    if (error instanceof WorkflowNotFoundError) return { number, attempt: 1 };
    throw error;
  }
}
