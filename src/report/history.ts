import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { describeQuery, statusQuery, trialsQuery } from '../../workflows/messages.ts';
import { trialWorkflowId } from '../domain/ids.ts';
import { isFinal, type TrialOutcome, type TrialRow } from '../domain/trial.ts';
import { earlierOutcomes } from './earlier-report.ts';
import type { ReportInput, ReportStatus } from './input.ts';

/** Results asked for at once. */
const READS_AT_ONCE = 10;

/**
 * Everything a report is made from, read out of Temporal: the table by the campaign's queries, each ended trial's outcome from its own
 * workflow, or where the server has forgotten that (retention), from the last report on this computer. `known` keeps outcomes between calls. `beat` is called as it goes.
 */
export async function readHistory(
  client: Client,
  campaign: string,
  options: { readonly status?: ReportStatus; readonly known?: Map<number, TrialOutcome>; readonly beat?: (note: unknown) => void } = {},
): Promise<ReportInput> {
  const handle = client.workflow.getHandle(campaign);
  const { spec, launch, provenance } = await handle.query(describeQuery);
  const status = await handle.query(statusQuery);
  const rows: TrialRow[] = [];
  for (let since = 0, more = true; more; ) {
    const page = await handle.query(trialsQuery, { since, limit: 2000 });
    for (const row of page.rows) rows[row.number - 1] = row;
    since = page.version;
    more = page.more;
  }
  const known = options.known ?? new Map<number, TrialOutcome>();
  const missing = rows.filter((row) => isFinal(row.state) && !known.has(row.number));
  const forgotten: number[] = [];
  for (let first = 0; first < missing.length; first += READS_AT_ONCE) {
    await Promise.all(
      missing.slice(first, first + READS_AT_ONCE).map(async ({ number }) => {
        const outcome = await outcomeOf(client, campaign, number);
        if (outcome === 'forgotten') forgotten.push(number);
        else if (outcome !== undefined) known.set(number, outcome);
      }),
    );
    options.beat?.({ read: Math.min(first + READS_AT_ONCE, missing.length), of: missing.length });
  }
  if (forgotten.length > 0 && launch !== undefined) {
    const earlier = earlierOutcomes(launch.localDirectory, campaign);
    for (const number of forgotten) {
      const outcome = earlier.get(number);
      if (outcome !== undefined) known.set(number, outcome);
    }
  }
  return {
    campaign,
    spec,
    status: options.status ?? (await statusOf(client, campaign)),
    startedAt: status.startedAt,
    endedAt: status.startedAt + status.elapsedSeconds * 1000,
    rows,
    outcomes: [...known.values()],
    problems: status.problems,
    ...(status.llm === undefined ? {} : { llm: status.llm }),
    provenance,
    ...(status.stopReason === undefined ? {} : { stopReason: status.stopReason }),
    ...(launch === undefined ? {} : { launch }),
  };
}

const STATUS_WORDS: Readonly<Record<string, ReportStatus>> = {
  RUNNING: 'running',
  COMPLETED: 'completed',
  CANCELLED: 'cancelled',
  TERMINATED: 'stopped',
  FAILED: 'failed',
};

async function statusOf(client: Client, campaign: string): Promise<ReportStatus> {
  const { status } = await client.workflow.getHandle(campaign).describe();
  return STATUS_WORDS[status.name] ?? 'running';
}

/** A trial's outcome; undefined when its workflow still runs or ended without one. */
async function outcomeOf(client: Client, campaign: string, number: number): Promise<TrialOutcome | 'forgotten' | undefined> {
  const handle = client.workflow.getHandle(trialWorkflowId(campaign, number));
  try {
    const { status } = await handle.describe();
    // A trial reports to its campaign just before it completes: wait for that instant, not for a trial that goes on.
    if (status.name !== 'COMPLETED' && status.name !== 'RUNNING') return undefined;
    return (await handle.result()) as TrialOutcome;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'forgotten';
    throw error;
  }
}
