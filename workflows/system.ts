import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  patched,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { trialName, trialWorkflowId } from '../src/domain/ids.ts';
import { planPilots } from '../src/domain/pilots.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { attemptKey, demandsOf, noteLook, notePilotStart, pilotShape, statusOf, type Told } from '../src/domain/system-events.ts';
import { type KnownAttempt, livePilots, newSystemState, offersDue, type StopOrder, type SystemState } from '../src/domain/system-state.ts';
import type { SystemOrder } from '../src/systems/driver.ts';
import { systemDetails } from '../src/view/system.ts';
import {
  attemptEndedSignal,
  attemptStartedSignal,
  cancelTrialSignal,
  closeLaunchSignal,
  type Launch,
  type LiveTrial,
  liveQuery,
  loginDoneSignal,
  openLaunchSignal,
  resetBreakerSignal,
  rungReportsSignal,
  type StopRequest,
  type Submission,
  type SystemInput,
  type SystemNotice,
  stopTrialSignal,
  submitTrialSignal,
  systemNoticeSignal,
  systemQuery,
} from './messages.ts';
import { effectsOn, lookAt } from './options.ts';

/** With nothing to do for this long the workflow ends; the next campaign starts it again. */
const IDLE_BEFORE_END = '2 minutes';
/** Progress of running trials reaches the live view at least this often. */
const PROGRESS_SECONDS = 5;
/** Offers and stops of one exchange: keeps the activity's input far below the payload limit. */
const ORDERS_AT_ONCE = 200;

/**
 * One account on one machine: what runs there, its pilots, the one look for everybody, the login, fairness over campaigns. Knows attempts and
 * launches, no hyperparameters. Ends when idle; goes on as new when its history grows.
 */
export async function computeSystem(input: SystemInput, carried?: SystemState): Promise<void> {
  const state: SystemState = carried ?? newSystemState(input.name);
  const effects = effectsOn(input.name);
  const inbox = openInbox(state);
  if (input.hasSearchAttributes && carried === undefined) {
    upsertSearchAttributes([
      { key: ATTRIBUTES.system, value: input.name },
      { key: ATTRIBUTES.state, value: 'running' },
    ]);
  }
  state.description = await effects.describeSystem({ system: input.name });
  inbox.refresh();

  let isRenewing = false;
  const watching = new CancellationScope({ cancellable: true });
  const isLeaving = () => isRenewing || inbox.isIdleLongEnough;

  await Promise.all([dispatchLoop(), watching.run(lookLoop).catch(ignoreCancellation), pilotLoop(), lifeLoop()]);
  await condition(allHandlersFinished);
  if (isRenewing) await continueAsNew<typeof computeSystem>(input, state);
  log.info('the system has nothing to do; its workflow ends until the next campaign starts it');

  /** Sends what is due: stops first, then offers. */
  async function dispatchLoop(): Promise<void> {
    for (;;) {
      await condition(() => isLeaving() || (isLoggedIn() && (state.stops.length > 0 || offersDue(state).length > 0)));
      if (isLeaving()) return;
      const stops = state.stops.splice(0, ORDERS_AT_ONCE);
      const offers = offersDue(state).slice(0, ORDERS_AT_ONCE - stops.length);
      for (const offer of offers) offer.state = 'sending';
      const orders = [...stops.map(stopOrder), ...offers.map(offerOrder)];
      try {
        const { answers } = await effects.sendOrders({ system: input.name, orders });
        for (const [index, stop] of stops.entries()) noteStopAnswer(stop, answers[index] ?? 'unknown');
        offers.forEach((offer, index) => {
          if (offer.state === 'sending') offer.state = answers[stops.length + index] === 'unknown' ? 'queued' : 'offered';
        });
      } catch (error) {
        state.stops.unshift(...stops);
        for (const offer of offers) offer.state = 'queued';
        await park(error);
      }
      inbox.refresh();
    }
  }

  /** One look after the other, as long as there is anything to see. */
  async function lookLoop(): Promise<void> {
    const { look } = lookAt(input.name);
    for (;;) {
      await condition(() => isLeaving() || (isLoggedIn() && hasSomethingToSee()));
      if (isLeaving()) return;
      try {
        const news = await inbox.watch(() =>
          look({
            system: input.name,
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
              progressSeconds: PROGRESS_SECONDS,
            },
          }),
        );
        if (news === undefined) continue;
        inbox.live = news.running;
        const told = noteLook(state, news);
        inbox.refresh();
        await CancellationScope.nonCancellable(async () => {
          await tell(told);
          // A look asks with what it was given; a launch that was closed meanwhile is no orphan.
          for (const campaign of news.goneCampaigns) if (state.launches[campaign] !== undefined) await abandon(campaign);
        });
      } catch (error) {
        if (isCancellation(error)) return;
        await park(error);
      }
    }
  }

  /** Starts and stops pilots one at a time, as the plan says. */
  async function pilotLoop(): Promise<void> {
    for (;;) {
      await condition(() => isLeaving() || (isLoggedIn() && !isPlanEmpty()));
      if (isLeaving()) return;
      const plan = currentPlan();
      for (const { pilot, reason } of plan.stop) {
        const known = state.pilots[pilot];
        if (known) state.pilots[pilot] = { ...known, comment: `being stopped: ${reason}` };
        inbox.stopping.add(pilot);
      }
      try {
        if (plan.stop.length > 0) {
          await effects.sendOrders({
            system: input.name,
            orders: plan.stop.map(({ pilot, reason }) => ({ kind: 'stopPilot', pilot, reason })),
          });
        }
        for (const { pilot, campaign } of plan.start.slice(0, 1)) {
          const launch = state.launches[campaign];
          if (launch === undefined) continue;
          const slots = launch.capacity?.slotsPerPilot ?? state.description?.slotsPerPilot ?? 1;
          notePilotStart(state, pilot, campaign, slots);
          const start = await effects.startPilot({ system: input.name, request: { pilot, campaign } });
          await noteStart(pilot, start);
          inbox.lookAgain();
        }
      } catch (error) {
        for (const { pilot } of plan.start.slice(0, 1)) delete state.pilots[pilot];
        await park(error);
      }
      inbox.refresh();
    }
  }

  async function noteStart(pilot: string, start: Awaited<ReturnType<typeof effects.startPilot>>): Promise<void> {
    const known = state.pilots[pilot];
    if (known === undefined) return;
    switch (start.kind) {
      case 'started':
        state.pilots[pilot] = { ...known, state: known.state === 'requested' ? 'queued' : known.state, nativeId: start.nativeId };
        return;
      case 'unknown':
        state.pilots[pilot] = { ...known, state: 'unknown', comment: start.message };
        return;
      case 'wait':
        delete state.pilots[pilot];
        setNotice(`pilot: ${start.message}`);
        await condition(() => isLeaving(), Math.max(1, start.retrySeconds) * 1000);
        return;
      case 'refused':
        state.pilots[pilot] = { ...known, state: 'ended', end: { kind: 'never_ran', message: start.failure.message } };
        state.breaker.open = true;
        state.breaker.evidence.push(`${pilot}: ${start.failure.message}`);
        await notifyCampaigns({ topic: 'breaker', text: `system ${input.name}: no pilot can be started: ${start.failure.message}` });
    }
  }

  /** Watches for the two ways to leave: history grown, or nothing to do for a while. */
  async function lifeLoop(): Promise<void> {
    for (;;) {
      const isBusy = () => hasWork() || workflowInfo().continueAsNewSuggested;
      await condition(isBusy, IDLE_BEFORE_END);
      if (!isBusy()) {
        inbox.isIdleLongEnough = true;
        watching.cancel();
        return;
      }
      await condition(() => !hasWork() || workflowInfo().continueAsNewSuggested);
      if (workflowInfo().continueAsNewSuggested) {
        isRenewing = true;
        watching.cancel();
        return;
      }
    }
  }

  /** A login that has ended parks the system until a person logs in; a refusal opens the breaker. Anything else is a bug or a cancellation. */
  async function park(error: unknown): Promise<void> {
    if (isCancellation(error)) throw error;
    const failure = error instanceof ActivityFailure ? error.cause : error;
    if (!(failure instanceof ApplicationFailure)) throw error;
    if (failure.type === 'NeedsLogin') {
      if (state.login.kind === 'ready') {
        state.login = { kind: 'needs_login', since: Date.now(), message: failure.message };
        await notifyCampaigns({
          topic: 'login',
          text: `system ${input.name} needs a login: run \`holdfast login ${input.name}\`. ${failure.message}`,
        });
      }
    } else {
      state.breaker.open = true;
      state.breaker.evidence.push(failure.message);
      await notifyCampaigns({ topic: 'breaker', text: `system ${input.name}: ${failure.message}` });
      await condition(() => isLeaving() || !state.breaker.open);
    }
    inbox.refresh();
  }

  function hasWork(): boolean {
    return Object.keys(state.launches).length > 0 || Object.keys(state.attempts).length > 0 || livePilots(state).length > 0;
  }

  function hasSomethingToSee(): boolean {
    const isInFlight = Object.values(state.attempts).some((attempt) => attempt.state === 'offered' || attempt.state === 'running');
    return isInFlight || livePilots(state).length > 0 || state.acks.length > 0;
  }

  function isLoggedIn(): boolean {
    return state.login.kind === 'ready';
  }

  function currentPlan() {
    const shape = pilotShape(state);
    if (shape === undefined) return { start: [], stop: [] };
    const plan = planPilots({
      description: shape,
      campaigns: demandsOf(state),
      pilots: Object.values(state.pilots),
      breakerOpen: state.breaker.open,
    });
    return { start: plan.start, stop: plan.stop.filter(({ pilot }) => !inbox.stopping.has(pilot)) };
  }

  function isPlanEmpty(): boolean {
    const plan = currentPlan();
    return plan.start.length === 0 && plan.stop.length === 0;
  }

  function noteStopAnswer(stop: StopOrder, answer: string): void {
    if (answer !== 'withdrawn' && answer !== 'unknown') return;
    withdraw(stop.key);
  }

  /** An offer that will never start: the trial hears that nothing ran. */
  function withdraw(key: string): void {
    const attempt = state.attempts[key];
    if (attempt === undefined) return;
    delete state.attempts[key];
    const handle = getExternalWorkflowHandle(trialWorkflowId(attempt.campaign, attempt.number));
    handle.signal(attemptEndedSignal, { kind: 'withdrawn', attempt: attempt.attempt }).catch(noteLostSignal);
  }

  async function tell(told: Told): Promise<void> {
    const signals: Promise<void>[] = [];
    for (const { campaign, number, started } of told.started) {
      signals.push(getExternalWorkflowHandle(trialWorkflowId(campaign, number)).signal(attemptStartedSignal, started));
    }
    for (const { campaign, reports } of told.rungs)
      signals.push(getExternalWorkflowHandle(campaign).signal(rungReportsSignal, { reports }));
    await Promise.all(signals.map((signal) => signal.catch(noteLostSignal)));
    if (told.breaker !== undefined) await notifyCampaigns({ topic: 'breaker', text: told.breaker });
    for (const { campaign, text } of told.spent ?? [])
      await getExternalWorkflowHandle(campaign).signal(systemNoticeSignal, { topic: 'budget', text }).catch(noteLostSignal);
    // Histories of earlier versions have no such message.
    if (told.nearlySpent !== undefined && patched('node-hour-marks'))
      for (const { campaign, text } of told.nearlySpent)
        await getExternalWorkflowHandle(campaign).signal(systemNoticeSignal, { topic: 'node-hours', text }).catch(noteLostSignal);
  }

  /** A campaign that was terminated from outside leaves nothing running. */
  async function abandon(campaign: string): Promise<void> {
    log.warn('a campaign is gone: ending what runs of it', { campaign });
    delete state.launches[campaign];
    for (const [key, attempt] of Object.entries(state.attempts)) {
      if (attempt.campaign !== campaign) continue;
      const handle = getExternalWorkflowHandle(trialWorkflowId(campaign, attempt.number));
      await handle.signal(cancelTrialSignal, { kind: 'cancel', reason: 'its campaign was terminated' }).catch(noteLostSignal);
      withdraw(key);
    }
    await effects.closeLaunch({ system: input.name, campaign });
    forgetPilots(campaign);
  }

  function forgetPilots(campaign: string): void {
    for (const pilot of Object.values(state.pilots)) if (pilot.campaign === campaign) delete state.pilots[pilot.pilot];
  }

  async function notifyCampaigns(notice: SystemNotice): Promise<void> {
    const campaigns = Object.keys(state.launches);
    await Promise.all(campaigns.map((id) => getExternalWorkflowHandle(id).signal(systemNoticeSignal, notice).catch(noteLostSignal)));
  }

  function setNotice(text: string): void {
    state.notices = [...state.notices.filter((line) => line !== text), text].slice(-10);
  }

  /** Signals, queries; the parts of the state that need not survive a continue-as-new. */
  function openInbox(state: SystemState) {
    const inbox = {
      live: [] as readonly LiveTrial[],
      stopping: new Set<string>(),
      isIdleLongEnough: false,
      refresh: () => setCurrentDetails(systemDetails(statusOf(state))),
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
      lookAgain() {
        if (current === undefined) return;
        isBrokenOff = true;
        current.cancel();
      },
    };
    let current: CancellationScope | undefined;
    let isBrokenOff = false;
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
      forgetPilots(campaign);
      for (const [key, attempt] of Object.entries(state.attempts)) if (attempt.campaign === campaign) delete state.attempts[key];
    });
    setHandler(submitTrialSignal, (submission: Submission) => {
      const key = attemptKey(submission);
      // A second submission of the same attempt is the trial asking again after a loss: what is known stays.
      state.attempts[key] ??= { ...submission, state: 'queued' };
    });
    setHandler(stopTrialSignal, (request: StopRequest) => {
      const key = attemptKey(request);
      const known = state.attempts[key];
      if (known?.state === 'queued') withdraw(key);
      else state.stops.push({ key, ...request });
    });
    setHandler(loginDoneSignal, () => {
      state.login = { kind: 'ready' };
      void notifyCampaigns({ topic: 'login' });
      inbox.refresh();
    });
    setHandler(resetBreakerSignal, () => {
      state.breaker = { open: false, evidence: [] };
      void notifyCampaigns({ topic: 'breaker' });
      inbox.refresh();
    });
    return inbox;
  }
}

function stopOrder(stop: StopOrder): SystemOrder {
  return { kind: 'stop', campaign: stop.campaign, trial: trialName(stop.number), attempt: stop.attempt, reason: stop.reason };
}

function offerOrder(attempt: KnownAttempt): SystemOrder {
  return {
    kind: 'offer',
    campaign: attempt.campaign,
    offer: {
      version: 1,
      campaign: attempt.campaign,
      trial: trialName(attempt.number),
      attempt: attempt.attempt,
      params: attempt.params,
      resume_from: attempt.resumeFrom ?? null,
      target_step: attempt.targetStep ?? null,
    },
  };
}

function noteLostSignal(error: unknown): void {
  if (isCancellation(error)) throw error;
  log.warn('a workflow that should have been told something is gone', { error: String(error) });
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}
