import { Context } from '@temporalio/activity';
import type { TrialOutcome } from '../src/domain/trial.ts';
import { readHistory } from '../src/report/history.ts';
import type { ReportStatus } from '../src/report/input.ts';
import { writeReport as write } from '../src/report/write.ts';
import type { ActivityDeps } from './deps.ts';
import { withHeartbeat } from './heartbeat.ts';

export interface ReportOrder {
  readonly system: string;
  readonly campaign: string;
  readonly chain: string;
  /** Launch folder on this computer. */
  readonly directory: string;
  readonly status: ReportStatus;
}

/** Campaigns whose outcomes stay in memory between two reports. */
const MOST_CAMPAIGNS = 8;

/** Writes tables, summary and report.html into the launch folder, out of the campaign's history. */
export function createWriteReport(deps: ActivityDeps) {
  const outcomes = new Map<string, Map<number, TrialOutcome>>();

  return function writeReport(order: ReportOrder): Promise<{ readonly path: string }> {
    return withHeartbeat(async (say) => {
      const known = outcomes.get(order.chain) ?? new Map<number, TrialOutcome>();
      outcomes.set(order.chain, known);
      for (const oldest of outcomes.keys()) {
        if (outcomes.size <= MOST_CAMPAIGNS) break;
        outcomes.delete(oldest);
      }
      const input = await readHistory(Context.current().client, order.campaign, { status: order.status, known, beat: say });
      const paths = await write(order.directory, input);
      deps.logger.info({ campaign: order.campaign, report: paths.html }, 'report written');
      return { path: paths.html };
    });
  };
}
