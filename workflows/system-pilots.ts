import { condition } from '@temporalio/workflow';
import { planPilots } from '../src/domain/pilots.ts';
import type { PilotStart } from '../src/domain/system.ts';
import { demandsOf, notePilotStart, pilotShape } from '../src/domain/system-events.ts';
import type { SystemDesk } from './system.ts';
import { notifyCampaigns } from './system-calls.ts';

/** Starts and stops pilots one at a time, as the plan says. */
export async function pilotLoop(desk: SystemDesk): Promise<void> {
  const { name, state, inbox, effects } = desk;
  for (;;) {
    await condition(() => inbox.isLeaving() || (desk.isLoggedIn() && !isPlanEmpty(desk)));
    if (inbox.isLeaving()) return;
    const plan = currentPlan(desk);
    for (const { pilot, reason } of plan.stop) {
      const known = state.pilots[pilot];
      if (known) state.pilots[pilot] = { ...known, comment: `being stopped: ${reason}` };
      inbox.stopping.add(pilot);
    }
    try {
      if (plan.stop.length > 0) {
        const orders = plan.stop.map(({ pilot, reason }) => ({ kind: 'stopPilot' as const, pilot, reason }));
        await effects.sendOrders.executeWithOptions({ summary: `stop ${plan.stop.map(({ pilot }) => pilot).join(', ')}` }, [
          { system: name, orders },
        ]);
      }
      for (const { pilot, campaign } of plan.start.slice(0, 1)) {
        const launch = state.launches[campaign];
        if (launch === undefined) continue;
        const slots = launch.capacity?.slotsPerPilot ?? state.description?.slotsPerPilot ?? 1;
        notePilotStart(state, pilot, campaign, slots);
        const start = await effects.startPilot.executeWithOptions({ summary: `start ${pilot}` }, [
          { system: name, request: { pilot, campaign } },
        ]);
        await noteStart(desk, pilot, start);
        inbox.lookAgain();
      }
    } catch (error) {
      for (const { pilot } of plan.start.slice(0, 1)) delete state.pilots[pilot];
      await desk.park(error);
    }
    inbox.refresh();
  }
}

async function noteStart({ name, state, inbox }: SystemDesk, pilot: string, start: PilotStart): Promise<void> {
  const known = state.pilots[pilot];
  if (known === undefined) return;
  switch (start.kind) {
    case 'started':
      state.pilots[pilot] = { ...known, state: known.state === 'requested' ? 'queued' : known.state, nativeId: start.nativeId };
      return;
    case 'unknown':
      state.pilots[pilot] = { ...known, state: 'unknown', comment: start.message };
      return;
    case 'wait': {
      delete state.pilots[pilot];
      const notice = `pilot: ${start.message}`;
      state.notices = [...state.notices.filter((line) => line !== notice), notice].slice(-10);
      await condition(() => inbox.isLeaving(), Math.max(1, start.retrySeconds) * 1000);
      return;
    }
    case 'refused':
      state.pilots[pilot] = { ...known, state: 'ended', end: { kind: 'never_ran', message: start.failure.message } };
      state.breaker.open = true;
      state.breaker.evidence.push(`${pilot}: ${start.failure.message}`);
      await notifyCampaigns(state, { topic: 'breaker', text: `system ${name}: no pilot can be started: ${start.failure.message}` });
  }
}

function currentPlan({ state, inbox }: SystemDesk) {
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

function isPlanEmpty(desk: SystemDesk): boolean {
  const plan = currentPlan(desk);
  return plan.start.length === 0 && plan.stop.length === 0;
}
