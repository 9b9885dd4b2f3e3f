import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { DoneRecord, OfferRecord } from '../../domain/spool.ts';
import { makeFolder } from '../../make-folder.ts';
import { AUTH_METHODS } from './authorizer.ts';

const offer = z.looseObject({ trial: z.string(), attempt: z.int() }).transform((record) => record as unknown as OfferRecord);
const record = z
  .looseObject({ trial: z.string(), attempt: z.int(), directory: z.string() })
  .transform((found) => found as unknown as DoneRecord);

/** What is known of one attempt that is not yet acknowledged. */
const attemptFacts = z.object({
  offer,
  /** Tasks that may carry it; several attempts share them after an ambiguous submission of several. Empty: nobody is known to run it. */
  tasks: z.array(z.string()),
  /** The task that last carried it alone, for people: the service calls it so. */
  task: z.string().optional(),
  /** The engine that a later small task ran on, so that this one's task had been handed to the endpoint by then. */
  engine: z.string().optional(),
  /** Submissions after a failure of the machine (max_retries counts them). */
  resubmits: z.int().default(0),
  /** Submissions that only ask what became of a training that was started. */
  settlings: z.int().default(0),
  /** Why the last task that carried it failed. */
  failure: z.object({ class: z.string(), message: z.string(), infrastructure: z.boolean() }).optional(),
  /** Why its submission was refused, in the service's words: nothing carries it, and it is sent again now and then without being counted. */
  refused: z.string().optional(),
  /** The code of the trouble that its submission met: nothing is known to carry it, and it is sent again ever less often, uncharged as well. */
  unsent: z.string().optional(),
  stop: z.object({ reason: z.string(), placed: z.boolean() }).optional(),
  ended: record.optional(),
});
export type AttemptFacts = z.infer<typeof attemptFacts>;

/** An attempt that nothing is known of yet but the tasks that may carry it. */
export function newAttempt(offered: OfferRecord, tasks: readonly string[] = []): AttemptFacts {
  return { offer: offered, tasks: [...tasks], resubmits: 0, settlings: 0 };
}

/**
 * The driver's own durable facts of one campaign: what a restarted worker must know to ask the service the right questions. Everything in it can be
 * found again from the task group and the endpoint's file system; the file saves that work and the ambiguity.
 */
const campaignFacts = z.object({
  version: z.literal(1),
  campaign: z.string(),
  launch: z.string(),
  /** Launch folder on the endpoint and on this computer. */
  directory: z.string(),
  localDirectory: z.string(),
  agent: z.string(),
  python: z.string(),
  endpointId: z.string(),
  authMethod: z.enum(AUTH_METHODS),
  userEndpointConfig: z.record(z.string(), z.unknown()).optional(),
  functionTimeoutSeconds: z.number(),
  graceSeconds: z.number(),
  maxRetries: z.int(),
  liveMetrics: z.boolean(),
  /** Told as a notice for as long as it runs. */
  warning: z.string().optional(),
  groupId: z.string(),
  /** Tasks of the group that are ours and accounted for; anything else in its list came from a lost answer. */
  groupTasks: z.array(z.string()),
  /** A submission that was about to be made or whose answer was lost: the attempts it carried. */
  intent: z.array(z.string()).optional(),
  attempts: z.record(z.string(), attemptFacts),
  /** Attempts whose ends were acknowledged. */
  acknowledged: z.array(z.string()),
  /** Of those, the ones whose records still lie in spool/done. */
  uncollected: z.array(z.string()),
  /** Ended attempts some of whose files could not be fetched yet: no worker was free for it. */
  unfetched: z.array(record).default([]),
  /** Built again from the history: what is not yet known of what was in flight then. */
  rebuilding: z
    .object({
      /** Attempts that may have been sent before the loss: looked up before they are sent. */
      uncertain: z.array(z.string()),
      /** Pending tasks of the group; each may carry any of them. */
      strays: z.array(z.string()),
      /** The system has not been asked yet to offer them again. */
      isRecalling: z.boolean(),
    })
    .optional(),
  /** Set when closing could not reach the endpoint yet, milliseconds since the epoch. */
  closingSince: z.number().optional(),
});
export type CampaignFacts = z.infer<typeof campaignFacts>;

export interface FactsStore {
  /** Damaged files are put aside: their campaigns count as lost, and are built again from their histories. */
  load(): Promise<CampaignFacts[]>;
  save(facts: CampaignFacts): Promise<void>;
  remove(campaign: string): Promise<void>;
}

async function loadOne(path: string): Promise<CampaignFacts | undefined> {
  try {
    return campaignFacts.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    await rename(path, `${path}.damaged`);
    return undefined;
  }
}

/** One file a campaign in a folder of the worker, replaced whole and fsynced: a submission is on record before it is made. */
export function factsStore(directory: string): FactsStore {
  const path = (campaign: string) => join(directory, `${encodeURIComponent(campaign)}.json`);
  let tail: Promise<unknown> = Promise.resolve();

  async function write(campaign: string, text: string): Promise<void> {
    await makeFolder(directory);
    const temporary = `${path(campaign)}.${process.pid}.${randomBytes(3).toString('hex')}.tmp`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path(campaign));
  }

  /** In the order of the calls: a later state never loses to an earlier one. */
  function inOrder<T>(work: () => Promise<T>): Promise<T> {
    const next = tail.then(work, work);
    tail = next.catch(() => undefined);
    return next;
  }

  return {
    load: async () => {
      const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.json'));
      return (await Promise.all(names.map((name) => loadOne(join(directory, name))))).flatMap((facts) => facts ?? []);
    },
    save: (facts) => {
      const text = JSON.stringify(facts);
      return inOrder(() => write(facts.campaign, text));
    },
    remove: (campaign) => inOrder(() => rm(path(campaign), { force: true })),
  };
}
