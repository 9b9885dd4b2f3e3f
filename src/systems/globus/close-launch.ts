import type { DoneRecord } from '../../domain/spool.ts';
import { DriverError } from '../driver.ts';
import { aliveAnswer, stopAnswer } from './answers.ts';
import type { CampaignFacts } from './campaign-facts.ts';
import { collectFiles } from './collect-files.ts';
import { type ControlOptions, control, submitControl } from './control-tasks.ts';
import type { KnownCampaigns } from './known-campaigns.ts';
import type { DriverTimes } from './options.ts';

/** An endpoint that is online but has no free worker for the stop request is asked again for so long. */
const CLOSE_PATIENCE_MS = 30 * 60_000;

/** Ends whose files are waited for in vain before the rest is left where it is. */
const MOST_IN_VAIN = 3;

/** How patient the tasks of a campaign's end are. */
export interface ClosingTimes {
  readonly times: DriverTimes;
  readonly pollSeconds: number;
}

/** Ends what is left of a campaign, fetches the files that could not be fetched before, and moves its done records aside. */
export async function closeLaunch(known: KnownCampaigns, facts: CampaignFacts, patience: ClosingTimes): Promise<void> {
  const isUncertain = facts.intent !== undefined || (facts.rebuilding?.uncertain.length ?? 0) > 0;
  const isBusy = isUncertain || Object.values(facts.attempts).some((attempt) => attempt.ended === undefined);
  if (isBusy) await endEverything(known, facts, patience);
  await fetchRest(known, facts, patience);
  if (facts.uncollected.length > 0)
    await submitControl(known.targetOf(facts), [{ op: 'collect', directory: facts.directory, names: facts.uncollected }]);
}

/** What is left of the files, until nobody has served a few of them: the others stay in the launch folder, where `holdfast get` finds them. */
async function fetchRest(known: KnownCampaigns, facts: CampaignFacts, patience: ClosingTimes): Promise<void> {
  let inVain = 0;
  for (const record of [...facts.unfetched]) {
    if (await fetchFiles(known, facts, record, facts.localDirectory, patience)) {
      facts.unfetched = facts.unfetched.filter((other) => other !== record);
      await known.store.save(facts);
    } else if (++inVain === MOST_IN_VAIN) return;
  }
}

/**
 * Files that did not come with the end are fetched by tasks, which need a free worker. False when there was none for a while, or the endpoint refused: a
 * result must not wait for its log files, which stay in the launch folder and are asked for again when the campaign closes.
 */
export async function fetchFiles(
  known: KnownCampaigns,
  facts: CampaignFacts,
  record: DoneRecord,
  localDirectory: string,
  { times, pollSeconds }: ClosingTimes,
): Promise<boolean> {
  try {
    await collectFiles(known.targetOf(facts), facts.directory, record, localDirectory, { timeoutSeconds: times.fetch, pollSeconds });
    return true;
  } catch (error) {
    if (error instanceof DriverError && (error.code === 'HF-GLOBUS-TASK-PENDING' || error.class === 'refused')) return false;
    throw error;
  }
}

/**
 * Stops what runs and what waits (a task that starts later finds the stop file), then sees that no agent of the launch beats any more. The
 * service keeps the stop request of an endpoint that is offline: it overtakes the trials when the endpoint comes back, so the campaign may close.
 */
async function endEverything(known: KnownCampaigns, facts: CampaignFacts, { times, pollSeconds }: ClosingTimes): Promise<void> {
  facts.closingSince ??= Date.now();
  await known.store.save(facts);
  const short: ControlOptions = { timeoutSeconds: times.close, pollSeconds };
  const target = known.targetOf(facts);
  try {
    await control(
      target,
      [{ op: 'stop', directory: facts.directory, names: ['all'], reason: 'The campaign has ended.' }],
      stopAnswer,
      short,
    );
    const deadline = performance.now() + (2 * facts.graceSeconds + 60 + times.close) * 1000;
    for (;;) {
      const [answer] = await control(
        target,
        [{ op: 'alive', directory: facts.directory, seconds: 1.5 * times.heartbeat }],
        aliveAnswer,
        short,
      );
      if (answer?.alive.length === 0) return;
      if (performance.now() > deadline) {
        throw new DriverError(
          'transport',
          'HF-GLOBUS-STILL-RUNNING',
          `${answer?.alive.length} trials of ${facts.campaign} still run on endpoint ${facts.endpointId}. They are asked again.`,
        );
      }
    }
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-TASK-PENDING') throw error;
    const { status } = await target.client.endpointStatus(facts.endpointId);
    if (status !== 'online' || Date.now() - facts.closingSince > CLOSE_PATIENCE_MS) return;
    throw error;
  }
}
