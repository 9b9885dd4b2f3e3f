import { CancellationScope, condition, isCancellation, log, patched } from '@temporalio/workflow';
import { noteLook } from '../src/domain/system-events.ts';
import { livePilots, type SystemState } from '../src/domain/system-state.ts';
import { plural } from '../src/view/format.ts';
import type { LiveTrial } from './messages.ts';
import { lookAt } from './options.ts';
import type { SystemDesk } from './system.ts';
import { cancelOrphan, forgetPilots, tell, withdraw } from './system-calls.ts';

/** How often progress alone is news: each time a twentieth of the longest run has passed, within these seconds. It costs history. */
const PROGRESS_SECONDS = { least: 5, most: 60 } as const;

/** One look after the other, as long as there is anything to see. */
export async function lookLoop(desk: SystemDesk): Promise<void> {
  const { name, state, inbox } = desk;
  const { look } = lookAt(name);
  for (;;) {
    await condition(() => inbox.isLeaving() || (desk.isLoggedIn() && (hasSomethingToSee(state) || isAbandoning(state))));
    if (inbox.isLeaving()) return;
    try {
      if (isAbandoning(state)) {
        await CancellationScope.nonCancellable(async () => {
          for (const campaign of [...(state.abandoned ?? [])]) await abandon(desk, campaign);
        });
        continue;
      }
      const request = {
        system: name,
        campaigns: Object.values(state.launches).map(({ campaign, localDirectory }) => ({ campaign, localDirectory })),
        request: {
          ...(state.cursor === undefined ? {} : { cursor: state.cursor }),
          acks: state.acks,
          pilots: livePilots(state).map((pilot) => ({
            pilot: pilot.pilot,
            campaign: pilot.campaign,
            ...(pilot.nativeId === undefined ? {} : { nativeId: pilot.nativeId }),
          })),
          waitSeconds: 3,
          progressSeconds: progressSeconds(inbox.live),
        },
      };
      const news = await inbox.watch(() => look.executeWithOptions({ summary: lookSummary(state) }, [request]));
      if (news === undefined) continue;
      inbox.live = news.running;
      const told = noteLook(state, news);
      inbox.refresh();
      await CancellationScope.nonCancellable(async () => {
        await tell(state, told);
        // A look asks with what it was given; a launch that was closed meanwhile is no orphan.
        for (const campaign of news.goneCampaigns) if (state.launches[campaign] !== undefined) await abandon(desk, campaign);
      });
    } catch (error) {
      if (isCancellation(error)) return;
      await desk.park(error);
    }
  }
}

function progressSeconds(live: readonly LiveTrial[]): number {
  const longest = Math.max(0, ...live.map((trial) => trial.run_seconds));
  return Math.min(PROGRESS_SECONDS.most, Math.max(PROGRESS_SECONDS.least, longest / 20));
}

function lookSummary(state: SystemState): string {
  const { length } = Object.keys(state.attempts);
  return `${plural(length, 'trial')} under way`;
}

function hasSomethingToSee(state: SystemState): boolean {
  const isInFlight = Object.values(state.attempts).some((attempt) => attempt.state === 'offered' || attempt.state === 'running');
  return isInFlight || livePilots(state).length > 0 || state.acks.length > 0;
}

function isAbandoning(state: SystemState): boolean {
  return (state.abandoned ?? []).length > 0;
}

/**
 * A campaign that was terminated from outside leaves nothing running, and nothing that could be taken for a later campaign's of the same name.
 * Until its launch is closed it stays among the abandoned: what fails on the way is done again.
 */
async function abandon({ name, state, inbox, effects }: SystemDesk, campaign: string): Promise<void> {
  log.warn('a campaign is gone: ending what runs of it', { campaign });
  const launch = state.launches[campaign]?.launch;
  const others = () => (state.abandoned ?? []).filter((other) => other !== campaign);
  // Histories of earlier versions tried once, and sent on the stops that were under way.
  if (patched('abandon-again')) {
    state.abandoned = [...others(), campaign];
    state.stops = state.stops.filter((stop) => stop.campaign !== campaign);
  }
  delete state.launches[campaign];
  delete state.concerns?.[campaign];
  for (const attempt of Object.values(state.attempts)) {
    if (attempt.campaign !== campaign) continue;
    await cancelOrphan(attempt, launch);
    void inbox.post(withdraw(state, attempt));
  }
  await effects.closeLaunch({ system: name, campaign });
  state.acks = state.acks.filter((ack) => ack.campaign !== campaign);
  forgetPilots(state, campaign);
  state.abandoned = others();
}
