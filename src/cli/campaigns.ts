import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import { didYouMean } from '../spec/problem.ts';
import { CliError } from './exit-codes.ts';

export interface CampaignEntry {
  readonly campaign: string;
  /** Temporal's word: RUNNING, COMPLETED, FAILED, CANCELLED, TERMINATED. */
  readonly status: string;
  readonly startedAt: Date;
  readonly closedAt?: Date;
  readonly system?: string;
  /** The campaign's own phase, where search attributes are registered. */
  readonly phase?: string;
  readonly best?: number;
  readonly done?: number;
}

/** Campaigns, the newest first, each once (a campaign that continued as new is one). */
export async function listCampaigns(client: Client, limit = 200, prefix = ''): Promise<CampaignEntry[]> {
  const filter = prefix === '' ? '' : ` AND WorkflowId STARTS_WITH "${prefix.replace(/["\\]/g, '')}"`;
  const query = `WorkflowType = "hpoCampaign" AND ExecutionStatus != "ContinuedAsNew"${filter}`;
  const entries = new Map<string, CampaignEntry>();
  for await (const execution of client.workflow.list({ query })) {
    if (entries.size >= limit) break;
    if (!entries.has(execution.workflowId)) entries.set(execution.workflowId, entryOf(execution));
  }
  return [...entries.values()].sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime());
}

function entryOf(execution: WorkflowExecutionInfo): CampaignEntry {
  const attributes = Object.fromEntries(execution.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]));
  const { HpoSystem: system, HpoState: phase, HpoBest: best, HpoDone: done } = attributes;
  return {
    campaign: execution.workflowId,
    status: execution.status.name,
    startedAt: execution.startTime,
    ...(execution.closeTime === undefined ? {} : { closedAt: execution.closeTime }),
    ...(typeof system === 'string' ? { system } : {}),
    ...(typeof phase === 'string' ? { phase } : {}),
    ...(typeof best === 'number' ? { best } : {}),
    ...(typeof done === 'number' ? { done } : {}),
  };
}

/**
 * The campaign with this id, or the only one whose id begins with it; without a name, the newest one.
 * Throws CliError when there is none or several.
 */
export async function findCampaign(client: Client, name?: string): Promise<string> {
  if (name === undefined) return newest(client);
  if (await exists(client, name)) return name;
  const matches = await listCampaigns(client, 20, name);
  const [only, second] = matches;
  if (only !== undefined && second === undefined) return only.campaign;
  if (only !== undefined) {
    throw new CliError('usage', 'HF-AMBIGUOUS', `"${name}" begins ${matches.length} campaigns (${names(matches)}). Type more of the id.`);
  }
  const known = await listCampaigns(client, 200);
  const hint = didYouMean(
    name,
    known.map((entry) => entry.campaign),
  );
  const next =
    hint ?? (known.length === 0 ? 'There is no campaign yet: start one with `holdfast run FILE`.' : `Known: ${names(known.slice(0, 8))}.`);
  throw new CliError('usage', 'HF-NO-CAMPAIGN', `There is no campaign "${name}" here. ${next}`);
}

async function newest(client: Client): Promise<string> {
  const [first] = await listCampaigns(client, 50);
  if (first === undefined) throw new CliError('usage', 'HF-NO-CAMPAIGN', 'There is no campaign yet. Start one with `holdfast run FILE`.');
  return first.campaign;
}

async function exists(client: Client, id: string): Promise<boolean> {
  try {
    const { type } = await client.workflow.getHandle(id).describe();
    return type === 'hpoCampaign';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

function names(entries: readonly CampaignEntry[]): string {
  return entries.map((entry) => entry.campaign).join(', ');
}

/** `digits-1/trial-0007`, `digits-1/7`, or a campaign and a trial apart: which trial of which campaign. Throws CliError. */
export function trialArgument(first: string, second?: string): { readonly campaign?: string; readonly number: number } {
  const slash = second === undefined ? first.lastIndexOf('/') : -1;
  const campaign = second === undefined ? (slash < 0 ? undefined : first.slice(0, slash)) : first;
  const word = second ?? first.slice(slash + 1);
  const number = Number(/^(?:trial-)?0*([1-9]\d*)$/.exec(word)?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(number)) {
    // Most often the campaign alone was typed.
    const example = campaign ?? (word === '' ? 'digits-1' : word);
    throw new CliError(
      'usage',
      'HF-NO-TRIAL',
      `"${word}" names no trial. Write its number, as in \`${example} 7\` or \`${example}/trial-0007\`.`,
    );
  }
  return campaign === undefined ? { number } : { campaign, number };
}
