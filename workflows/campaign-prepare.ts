import { ActivityFailure, ApplicationFailure, CancellationScope, condition, patched, workflowInfo } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { type CampaignState, userSuggestions } from '../src/domain/campaign-state.ts';
import { launchName } from '../src/domain/ids.ts';
import type { Desk } from './campaign-desk.ts';
import { admitCampaign, endEarlier, ensureSystem, stagingOn } from './options.ts';

/**
 * Admits the specification, stages code and agent, opens the launch; false when the campaign was asked to end before its launch was made, so that
 * nothing of it runs on the system. A failed step ends the campaign before anything is submitted.
 */
export async function prepare(state: CampaignState, source: unknown, desk: Desk): Promise<boolean> {
  const isUnwanted = () => state.phase !== 'preparing';
  try {
    // Asked before the local activity, never between it and the next wait: a local activity's marker may stand a workflow task before the patch's,
    // and a replay would go on from the former without having seen the latter.
    const endsEarlier = patched('end-earlier');
    const admitted = await admitCampaign(source);
    const { spec } = admitted;
    state.spec = spec;
    state.hasSearchAttributes = admitted.hasSearchAttributes;
    state.budget = spec.budget;
    state.enqueued.push(...userSuggestions(spec.enqueue));
    desk.show();
    // Not this run's own clock: a campaign that is reset to before this point finds its launch, and all results in it, again.
    const epoch = workflowInfo().startTime.getTime();
    const launch = launchName(spec.workingDirs.launchIterationPattern, state.campaign, epoch);
    const reportSteps = admitted.reportSteps;
    const order = { campaign: state.campaign, launch, spec, reportSteps, epoch };
    if (endsEarlier) {
      const earlier = { system: spec.system.name, campaign: state.campaign, launch };
      const endThem = () => endEarlier.executeWithOptions({ summary: 'end what an earlier one of this name has left' }, [earlier]);
      await whileWanted(desk, isUnwanted, () => onceLoggedIn(spec, desk, endThem, isUnwanted));
    }
    const { prepareLaunch } = stagingOn(spec.system.name);
    const stage = () => prepareLaunch.executeWithOptions({ summary: `stage: code and agent to ${spec.system.name}` }, [order]);
    const prepared = await whileWanted(desk, isUnwanted, () => onceLoggedIn(spec, desk, stage, isUnwanted));
    state.launch = { launch, directory: prepared.directory, localDirectory: prepared.localDirectory };
    state.provenance = prepared.provenance;
    // Campaigns of earlier versions forgot what the user had set meanwhile.
    if (state.isConcurrencySet !== true || !patched('concurrency-kept')) state.concurrency = spec.concurrency ?? prepared.slots;
    state.openLaunch = {
      campaign: state.campaign,
      launch,
      localDirectory: prepared.localDirectory,
      slotsPerTrial: spec.training.slots,
      reportSteps,
      weight: 1,
      ...(state.budget.nodeHours === undefined ? {} : { nodeHours: state.budget.nodeHours }),
      ...(prepared.capacity === undefined ? {} : { capacity: prepared.capacity }),
    };
    state.systemLife = await ensureSystem.executeWithOptions({ summary: `open the launch on ${spec.system.name}` }, [
      { system: spec.system.name, launch: state.openLaunch },
    ]);
    if (state.phase === 'preparing') state.phase = state.isPauseAsked ? 'paused' : 'running';
    return true;
  } catch (error) {
    if (error instanceof Unwanted) return false;
    // The user's mistake, without the engine's wrapping: one failure that lists every problem.
    const cause = error instanceof ActivityFailure ? error.cause : error;
    // Whoever asks for its status hears why it ended. The search attributes stay as they are: histories of earlier versions have no event for them here.
    state.phase = 'ended';
    state.stopReason = cause instanceof Error ? cause.message : String(cause);
    state.hasSearchAttributes = false;
    desk.show();
    desk.herald.tellEnd(`failed: ${state.stopReason}`);
    await desk.herald.settle();
    throw cause instanceof ApplicationFailure
      ? ApplicationFailure.create({
          message: cause.message,
          type: cause.type ?? 'PrepareFailed',
          nonRetryable: true,
          details: cause.details ?? [],
        })
      : error;
  }
}

/**
 * A step on the system that is left as soon as `isUnwanted` says that nobody waits for it any more, by throwing `Unwanted`: no worker may hold the
 * system, and what cannot be reached is tried for ever. A worker that is at it is told, and waited for: what it finishes all the same counts.
 */
async function whileWanted<T>(desk: Desk, isUnwanted: () => boolean, work: () => Promise<T>): Promise<T> {
  const scope = new CancellationScope();
  let isDone = false;
  let isLeft = false;
  void condition(() => isDone || isUnwanted()).then(() => {
    // Histories of earlier versions wait for the worker.
    if (isDone || !patched('leave-preparation')) return;
    isLeft = true;
    scope.cancel();
  });
  try {
    return await scope.run(work);
  } catch (error) {
    // How it would have ended else is no news; a worker that was killed at it says nothing any more.
    if (!isLeft) throw error;
    desk.notice('login');
    throw new Unwanted('the campaign was asked to end before its launch was made');
  } finally {
    isDone = true;
  }
}

/** Longest wait between two looks whether a person has logged in; `resume` cuts it short. */
const LONGEST_LOGIN_WAIT_MS = 10 * 60_000;

/** Nobody wants any more what is being prepared. */
class Unwanted extends Error {}

/**
 * Does something on the system as soon as its login stands; says meanwhile what a person must do. Never attempts a login. Throws `Unwanted` when
 * the login is missing and `isUnwanted` says that nobody waits for it any more.
 */
export async function onceLoggedIn<T>(spec: CampaignSpec, desk: Desk, work: () => Promise<T>, isUnwanted?: () => boolean): Promise<T> {
  for (let wait = 15_000; ; wait = Math.min(2 * wait, LONGEST_LOGIN_WAIT_MS)) {
    try {
      const done = await work();
      desk.notice('login');
      return done;
    } catch (error) {
      const failure = error instanceof ActivityFailure ? error.cause : error;
      if (!(failure instanceof ApplicationFailure) || failure.type !== 'NeedsLogin') throw error;
      desk.notice('login', `System ${spec.system.name} needs a login: run \`holdfast login ${spec.system.name}\`. ${failure.message}`);
      desk.show();
      // Histories of earlier versions go on to wait for the login.
      const giveUp = isUnwanted !== undefined && patched('unwanted-before-login') ? isUnwanted : undefined;
      await desk.wake(wait, giveUp);
      if (giveUp?.() === true) {
        desk.notice('login');
        throw new Unwanted('the campaign was asked to end before its login came');
      }
    }
  }
}
