import { condition } from '@temporalio/workflow';
import { trialName } from '../src/domain/ids.ts';
import type { SystemOrder } from '../src/domain/system.ts';
import { type KnownAttempt, offersDue, type StopOrder } from '../src/domain/system-state.ts';
import { plural } from '../src/view/format.ts';
import type { SystemDesk } from './system.ts';
import { withdraw } from './system-calls.ts';

/** Offers and stops of one exchange: keeps the activity's input far below the payload limit. */
const ORDERS_AT_ONCE = 200;

/** Sends what is due: stops first, then offers. */
export async function dispatchLoop({ name, state, inbox, effects, isLoggedIn, park }: SystemDesk): Promise<void> {
  for (;;) {
    await condition(() => inbox.isLeaving() || (isLoggedIn() && (state.stops.length > 0 || offersDue(state).length > 0)));
    if (inbox.isLeaving()) return;
    const stops = state.stops.splice(0, ORDERS_AT_ONCE);
    const offers = offersDue(state).slice(0, ORDERS_AT_ONCE - stops.length);
    for (const offer of offers) offer.state = 'sending';
    const orders = [...stops.map(stopOrder), ...offers.map(offerOrder)];
    try {
      const { answers } = await effects.sendOrders.executeWithOptions({ summary: ordersSummary(offers.length, stops.length) }, [
        { system: name, orders },
      ]);
      // An offer that never started: its trial must hear of it.
      for (const [index, stop] of stops.entries())
        if (['withdrawn', 'unknown'].includes(answers[index] ?? 'unknown')) void inbox.post(withdraw(state, stop));
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

function ordersSummary(offers: number, stops: number): string {
  const parts = [offers > 0 ? plural(offers, 'offer') : '', stops > 0 ? plural(stops, 'stop') : ''];
  return `send ${parts.filter((part) => part !== '').join(', ')}`;
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
