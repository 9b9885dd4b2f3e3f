import { CancellationScope, isCancellation, setCurrentDetails, setHandler } from '@temporalio/workflow';
import { attemptKey, statusOf } from '../src/domain/system-events.ts';
import { isOfAnotherLaunch, type SystemState } from '../src/domain/system-state.ts';
import { withMargin } from '../src/view/format.ts';
import { systemDetails } from '../src/view/system.ts';
import {
  abandonLaunchSignal,
  closeLaunchSignal,
  type Launch,
  type LiveTrial,
  liveQuery,
  loginDoneSignal,
  openLaunchSignal,
  resetBreakerSignal,
  type StopRequest,
  type Submission,
  stopTrialSignal,
  submitTrialSignal,
  systemQuery,
} from './messages.ts';
import { forgetPilots, notifyCampaigns, sendAway, withdraw } from './system-calls.ts';

export type Inbox = ReturnType<typeof openInbox>;

/** Signals, queries; the parts of the state that need not survive a continue-as-new. */
export function openInbox(state: SystemState) {
  let current: CancellationScope | undefined;
  let isBrokenOff = false;

  const inbox = {
    live: [] as readonly LiveTrial[],
    stopping: new Set<string>(),
    isIdleLongEnough: false,
    isRenewing: false,
    /** Signals under way: the server drops those of a workflow that ends or continues as new before they have been passed on. */
    onTheWay: 0,
    async post(sending: Promise<void>): Promise<void> {
      inbox.onTheWay += 1;
      await sending.finally(() => {
        inbox.onTheWay -= 1;
      });
    },
    isLeaving: (): boolean => inbox.isRenewing || inbox.isIdleLongEnough,
    refresh: (): void => setCurrentDetails(withMargin(systemDetails(statusOf(state)))),
    /** Runs one look; undefined when it was broken off because there is more to watch than it knows of. */
    async watch<T>(look: () => Promise<T>): Promise<T | undefined> {
      const scope = new CancellationScope({ cancellable: true });
      current = scope;
      try {
        return await scope.run(look);
      } catch (error) {
        if (isCancellation(error) && isBrokenOff) return undefined;
        throw error;
      } finally {
        current = undefined;
        isBrokenOff = false;
      }
    },
    lookAgain(): void {
      if (current === undefined) return;
      isBrokenOff = true;
      current.cancel();
    },
  };

  setHandler(systemQuery, () => statusOf(state), { description: 'Login, pilots, slots and load of this system.' });
  setHandler(liveQuery, (filter) => inbox.live.filter((trial) => filter?.campaign === undefined || trial.campaign === filter.campaign), {
    description: 'Running trials with step and value, as of the last look. Optional argument: {"campaign": id}.',
  });
  setHandler(openLaunchSignal, (launch: Launch) => {
    state.launches[launch.campaign] = launch;
    inbox.lookAgain();
  });
  setHandler(closeLaunchSignal, ({ campaign }) => {
    delete state.launches[campaign];
    delete state.concerns?.[campaign];
    forgetPilots(state, campaign);
    for (const [key, attempt] of Object.entries(state.attempts)) if (attempt.campaign === campaign) delete state.attempts[key];
  });
  setHandler(abandonLaunchSignal, ({ campaign }) => {
    if (state.launches[campaign] === undefined || state.abandoned?.includes(campaign)) return;
    state.abandoned = [...(state.abandoned ?? []), campaign];
    inbox.lookAgain();
  });
  setHandler(submitTrialSignal, (submission: Submission) => {
    if (isOfAnotherLaunch(state, submission)) {
      void inbox.post(sendAway(submission));
      return;
    }
    const key = attemptKey(submission);
    // A second submission of the same attempt is the trial asking again after a loss: what is known stays.
    state.attempts[key] ??= { ...submission, state: 'queued' };
  });
  setHandler(stopTrialSignal, (request: StopRequest) => {
    if (isOfAnotherLaunch(state, request)) {
      void inbox.post(sendAway(request));
      return;
    }
    const key = attemptKey(request);
    const known = state.attempts[key];
    if (known?.state === 'queued' && known.isAgain !== true) {
      void inbox.post(withdraw(state, request));
      return;
    }
    // What may run already is not offered any more; whether it runs is the machine's to say.
    if (known?.state === 'queued') known.state = 'offered';
    state.stops.push({ key, ...request });
  });
  setHandler(loginDoneSignal, () => {
    state.login = { kind: 'ready' };
    void inbox.post(notifyCampaigns(state, { topic: 'login' }));
    inbox.refresh();
  });
  setHandler(resetBreakerSignal, () => {
    state.breaker = { open: false, evidence: [] };
    void inbox.post(notifyCampaigns(state, { topic: 'breaker' }));
    inbox.refresh();
  });
  return inbox;
}
