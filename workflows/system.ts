import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  log,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { livePilots, newSystemState, type SystemState } from '../src/domain/system-state.ts';
import type { SystemInput } from './messages.ts';
import { effectsOn } from './options.ts';
import { notifyCampaigns } from './system-calls.ts';
import { type Inbox, openInbox } from './system-inbox.ts';
import { lookLoop } from './system-looks.ts';
import { dispatchLoop } from './system-orders.ts';
import { pilotLoop } from './system-pilots.ts';

/** With nothing to do for this long the workflow ends; the next campaign starts it again. */
const IDLE_BEFORE_END = '2 minutes';

/** What the loops of one system share. */
export interface SystemDesk {
  readonly name: string;
  readonly state: SystemState;
  readonly inbox: Inbox;
  readonly effects: ReturnType<typeof effectsOn>;
  isLoggedIn(): boolean;
  /** Waits out what no retry mends: a login that has ended, a refusal. Rethrows cancellations and bugs. */
  park(error: unknown): Promise<void>;
}

/**
 * One account on one machine: what runs there, its pilots, the one look for everybody, the login, fairness over campaigns. Knows attempts and
 * launches, no hyperparameters. Ends when idle; goes on as new when its history grows.
 */
export async function computeSystem(input: SystemInput, carried?: SystemState): Promise<void> {
  const state: SystemState = carried ?? newSystemState(input.name);
  const inbox = openInbox(state);
  const desk = openDesk(input.name, state, inbox);
  if (input.hasSearchAttributes && carried === undefined) {
    upsertSearchAttributes([
      { key: ATTRIBUTES.system, value: input.name },
      { key: ATTRIBUTES.state, value: 'running' },
    ]);
  }
  state.description = await desk.effects.describeSystem.executeWithOptions({ summary: 'slots and limits' }, [{ system: input.name }]);
  inbox.refresh();

  const watching = new CancellationScope({ cancellable: true });
  await Promise.all([
    dispatchLoop(desk),
    watching.run(() => lookLoop(desk)).catch(ignoreCancellation),
    pilotLoop(desk),
    lifeLoop(state, inbox, watching),
  ]);
  await condition(() => allHandlersFinished() && inbox.onTheWay === 0);
  if (inbox.isRenewing) await continueAsNew<typeof computeSystem>(input, state);
  log.info('the system has nothing to do; its workflow ends until the next campaign starts it');
}

/** Watches for the two ways to leave: history grown, or nothing to do for a while. */
async function lifeLoop(state: SystemState, inbox: Inbox, watching: CancellationScope): Promise<void> {
  for (;;) {
    const isBusy = () => hasWork(state) || workflowInfo().continueAsNewSuggested;
    await condition(isBusy, IDLE_BEFORE_END);
    if (!isBusy()) {
      inbox.isIdleLongEnough = true;
      watching.cancel();
      return;
    }
    await condition(() => !hasWork(state) || workflowInfo().continueAsNewSuggested);
    if (workflowInfo().continueAsNewSuggested) {
      inbox.isRenewing = true;
      watching.cancel();
      return;
    }
  }
}

function hasWork(state: SystemState): boolean {
  return (
    Object.keys(state.launches).length > 0 ||
    (state.abandoned ?? []).length > 0 ||
    Object.keys(state.attempts).length > 0 ||
    livePilots(state).length > 0
  );
}

function openDesk(name: string, state: SystemState, inbox: Inbox): SystemDesk {
  return {
    name,
    state,
    inbox,
    effects: effectsOn(name),
    isLoggedIn: () => state.login.kind === 'ready',
    async park(error) {
      if (isCancellation(error)) throw error;
      const failure = error instanceof ActivityFailure ? error.cause : error;
      if (!(failure instanceof ApplicationFailure)) throw error;
      if (failure.type === 'NeedsLogin') {
        if (state.login.kind === 'ready') {
          state.login = { kind: 'needs_login', since: Date.now(), message: failure.message };
          const text = `system ${name} needs a login: run \`holdfast login ${name}\`. ${failure.message}`;
          await notifyCampaigns(state, { topic: 'login', text });
        }
      } else {
        state.breaker.open = true;
        state.breaker.evidence.push(failure.message);
        await notifyCampaigns(state, { topic: 'breaker', text: `system ${name}: ${failure.message}` });
        await condition(() => inbox.isLeaving() || !state.breaker.open);
      }
      inbox.refresh();
    },
  };
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}
