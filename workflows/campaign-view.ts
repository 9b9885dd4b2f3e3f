import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { bestOf, type CampaignState, countsOf, statusOf } from '../src/domain/campaign-state.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { campaignDetails } from '../src/view/campaign.ts';
import { withMargin } from '../src/view/format.ts';

/** Renews what the Web UI shows of a campaign: current details and, when the list would look different, search attributes. Returns the details. */
export function showCampaign(state: CampaignState, order: readonly string[] | undefined): string {
  const details = campaignDetails(statusOf(state, Date.now()), state.table.rows, {
    ...(order === undefined ? {} : { order }),
    ...(state.spec?.metricConstraints === undefined ? {} : { constraints: state.spec.metricConstraints }),
  });
  setCurrentDetails(withMargin(details));
  if (state.hasSearchAttributes && state.spec !== undefined) noteAttributes(state, state.spec);
  return details;
}

/** State, best and done as search attributes: one event, so only when the list would look different. */
function noteAttributes(state: CampaignState, spec: CampaignSpec): void {
  const counts = countsOf(state.table.rows);
  const done = counts.total - counts.queued;
  const step = Math.max(1, Math.floor((state.budget.trials ?? 100) / 10));
  const best = bestOf(spec, state.table.rows, 1)[0]?.values[0] ?? null;
  const isEnd = state.phase === 'ended';
  const shown = `${state.phase} ${isEnd ? done : Math.floor(done / step)}`;
  if (shown === state.lastAttributes) return;
  state.lastAttributes = shown;
  upsertSearchAttributes([
    { key: ATTRIBUTES.campaign, value: state.campaign },
    { key: ATTRIBUTES.system, value: spec.system.name },
    { key: ATTRIBUTES.state, value: state.phase },
    { key: ATTRIBUTES.best, value: best },
    { key: ATTRIBUTES.done, value: done },
  ]);
}
