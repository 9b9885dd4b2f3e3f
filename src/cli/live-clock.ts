import type { CampaignStatus } from '../../workflows/messages.ts';

/** A workflow's clock stands still between its events, for hours where trainings are long: of a campaign that runs, the time is taken here. */
export function withLiveClock(status: CampaignStatus, now = Date.now()): CampaignStatus {
  if (status.phase === 'ended') return status;
  return { ...status, elapsedSeconds: Math.max(status.elapsedSeconds, (now - status.startedAt) / 1000) };
}
