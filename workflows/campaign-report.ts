import { ActivityFailure, isCancellation, workflowInfo } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import type { CampaignState } from '../src/domain/campaign-state.ts';
import { isFinal } from '../src/domain/trial.ts';
import type { Desk } from './campaign-desk.ts';
import type { CampaignResult } from './messages.ts';
import { reportsOn } from './options.ts';

/** Has the report written; a failure to do so is a notice, since the report can be made again from the history. */
export async function writeReport(
  state: CampaignState,
  spec: CampaignSpec,
  desk: Pick<Desk, 'notice'>,
  status: CampaignResult['status'] | 'running',
) {
  if (state.launch === undefined) return undefined;
  state.reportedAt = state.table.rows.filter((row) => isFinal(row.state)).length;
  try {
    const { path } = await reportsOn(spec.system.name).writeReport.executeWithOptions({ summary: `report (${status})` }, [
      {
        system: spec.system.name,
        campaign: state.campaign,
        chain: workflowInfo().firstExecutionRunId,
        directory: state.launch.localDirectory,
        status,
      },
    ]);
    desk.notice('report');
    return path;
  } catch (error) {
    if (isCancellation(error)) throw error;
    const message = error instanceof ActivityFailure && error.cause ? error.cause.message : String(error);
    desk.notice('report', `The report could not be written: ${message} Make it again with \`holdfast report ${state.campaign}\`.`);
    return undefined;
  }
}
