import { Context } from '@temporalio/activity';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import type { TrialRow } from '../src/domain/trial.ts';
import { describeQuery, trialsQuery } from '../workflows/messages.ts';

/** A campaign as this worker knows it. Only a cache: every row comes from the campaign's own queries, which leave no history. */
interface KnownCampaign {
  readonly spec: CampaignSpec;
  readonly rows: TrialRow[];
  version: number;
}

const MOST_CAMPAIGNS = 16;

/** Keeps the tables of the last campaigns in memory and reads only what changed since. */
export function createTableCache() {
  const known = new Map<string, KnownCampaign>();

  /**
   * The campaign's specification and rows, at least as new as `tableVersion`. `chain` (the first run's id) tells campaigns of one name apart.
   */
  async function read(campaign: string, chain: string, tableVersion: number): Promise<{ spec: CampaignSpec; rows: readonly TrialRow[] }> {
    const handle = Context.current().client.workflow.getHandle(campaign, undefined, { firstExecutionRunId: chain });
    const entry = known.get(chain) ?? { spec: (await handle.query(describeQuery)).spec, rows: [], version: 0 };
    while (entry.version < tableVersion) {
      const page = await handle.query(trialsQuery, { since: entry.version, limit: 2000 });
      for (const row of page.rows) entry.rows[row.number - 1] = row;
      entry.version = page.version;
      if (page.rows.length === 0) break;
    }
    known.delete(chain);
    known.set(chain, entry);
    for (const oldest of known.keys()) {
      if (known.size <= MOST_CAMPAIGNS) break;
      known.delete(oldest);
    }
    return entry;
  }

  return { read };
}

export type TableCache = ReturnType<typeof createTableCache>;
