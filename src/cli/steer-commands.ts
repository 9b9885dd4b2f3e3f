import { type Client, WorkflowNotFoundError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { drainUpdate, pauseUpdate, resumeUpdate, stopUpdate } from '../../workflows/messages.ts';
import { plural } from '../view/format.ts';
import { endedTrials } from '../view/progress.ts';
import { askEnd, askStatus } from './ask-campaign.ts';
import { askLine } from './ask-line.ts';
import { findCampaign } from './campaigns.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';

export interface SteerOptions extends CommonOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

export type Verb = 'pause' | 'resume' | 'drain' | 'stop' | 'cancel';

interface Steering {
  readonly summary: string;
  /** Asked on a terminal before it is done. */
  readonly question?: (inFlight: string) => string;
  readonly act: (client: Client, campaign: string, options: SteerOptions) => Promise<string>;
}

const handleOf = (client: Client, campaign: string) => client.workflow.getHandle(campaign);

export const STEERING: Readonly<Record<Verb, Steering>> = {
  pause: {
    summary: 'start nothing new; what runs goes on',
    act: (client, campaign) => handleOf(client, campaign).executeUpdate(pauseUpdate),
  },
  resume: {
    summary: 'go on after pause',
    act: (client, campaign) => handleOf(client, campaign).executeUpdate(resumeUpdate),
  },
  drain: {
    summary: 'finish what runs, start nothing new, then report',
    act: (client, campaign, { reason }) =>
      handleOf(client, campaign).executeUpdate<string, [string]>(drainUpdate.name, { args: [reason ?? 'drained by the user'] }),
  },
  stop: {
    summary: 'end what runs, then report',
    question: (inFlight) => `End ${inFlight} in flight and close the campaign?`,
    act: (client, campaign, { reason }) =>
      handleOf(client, campaign).executeUpdate<string, [string]>(stopUpdate.name, { args: [reason ?? 'stopped by the user'] }),
  },
  cancel: {
    summary: 'cancel the workflow: end remote work first, then a report marked as cancelled',
    question: (inFlight) => `Cancel the campaign and end ${inFlight} in flight?`,
    act: async (client, campaign) => {
      await handleOf(client, campaign).cancel();
      return 'cancellation requested; remote work is ended first';
    },
  },
};

/** pause, resume, drain, stop, cancel. Asks on a terminal before anything that runs is ended; --yes answers. */
export function steer(verb: Verb, name: string | undefined, options: SteerOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const { question, act } = STEERING[verb];
    await refuseEnded(client, campaign);
    if (question !== undefined && options.yes !== true && options.json !== true && io.input.isTTY === true) {
      if (!(await confirm(io, `${campaign}: ${question(await inFlight(client, campaign))}`))) {
        print(io, options, { campaign, done: false }, 'Nothing was done.');
        return 'failed';
      }
    }
    const answer = await told(client, campaign, () => act(client, campaign, options), recorded(client, campaign, verb, options));
    print(io, options, { campaign, done: true, answer }, `${campaign}: ${answer}`);
    return 'ok';
  });
}

async function inFlight(client: Client, campaign: string): Promise<string> {
  try {
    return plural((await askStatus(client, campaign)).inFlight.length, 'trial');
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'HF-NO-WORKER')) throw error;
    return 'the trials (no worker answers how many)';
  }
}

/** With nobody there to answer the order is left as a signal: the server keeps it for the next worker. A second one of the same kind changes nothing. */
function recorded(client: Client, campaign: string, verb: Verb, { reason }: SteerOptions): () => Promise<string> {
  return async () => {
    await handleOf(client, campaign).signal(verb, ...(reason === undefined ? [] : [reason]));
    return `no worker answers now; ${verb} is recorded, and done as soon as one comes (holdfast worker)`;
  };
}

/** Asks on the terminal; anything but y or yes is a no. */
export async function confirm(io: CliIo, question: string): Promise<boolean> {
  // Ctrl-C or the end of the input is a no.
  const answer = await askLine(io.input, io.errors, `${question} [y/N] `, io.interrupted);
  return /^y(es)?$/i.test((answer ?? '').trim());
}

const ANOTHER = 'Start another one with `holdfast run FILE`.';

/** A campaign that has ended cannot be steered: exit 4 when that is since its budget is spent. `next` is what to do instead. */
export async function refuseEnded(client: Client, campaign: string, next = ANOTHER): Promise<void> {
  const { status } = await client.workflow.getHandle(campaign).describe();
  if (status.name === 'RUNNING') return;
  const end = await askEnd(client, campaign);
  const reason = sentence(
    end.result?.stopReason ?? (end.kind === 'failed' && end.message !== '' ? end.message : status.name.toLowerCase()),
  );
  const isSpent = await spent(client, campaign);
  throw new CliError(
    isSpent ? 'budgetSpent' : 'failed',
    isSpent ? 'HF-BUDGET-SPENT' : 'HF-ENDED',
    `${campaign} has ended: ${reason} ${next}`,
  );
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

async function spent(client: Client, campaign: string): Promise<boolean> {
  try {
    const { counts, budget, startedAt, elapsedSeconds } = await askStatus(client, campaign);
    const end = startedAt + elapsedSeconds * 1000;
    return (
      (budget.trials !== undefined && endedTrials(counts) >= budget.trials) ||
      (budget.wallSeconds !== undefined && elapsedSeconds >= budget.wallSeconds) ||
      (budget.deadline !== undefined && end >= Date.parse(budget.deadline))
    );
  } catch (error) {
    // Without a worker nobody can say; the campaign has ended either way.
    if (error instanceof CliError) return false;
    throw error;
  }
}

/** A worker that has to replay a long history first answers within seconds. */
const ANSWER_MILLISECONDS = 15_000;

/**
 * The answer to an update. One to a campaign that ended in the same instant is not a crash of ours; where no worker answers in time `otherwise` says what
 * is to be done.
 */
export async function told<T>(
  client: Client,
  campaign: string,
  update: () => Promise<T>,
  otherwise: () => Promise<T> = nobody(campaign),
): Promise<T> {
  try {
    return await client.withDeadline(Date.now() + ANSWER_MILLISECONDS, update);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new CliError('failed', 'HF-ENDED', `${campaign} has just ended. See holdfast status ${campaign}.`);
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return otherwise();
    throw error;
  }
}

function nobody(campaign: string): () => Promise<never> {
  return async () => {
    throw new CliError(
      'unreachable',
      'HF-NO-WORKER',
      `No worker answers for ${campaign}: the change is made when one comes, or not at all. Start one with \`holdfast worker\`, look, and say it again.`,
    );
  };
}
