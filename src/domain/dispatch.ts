/** Which queued attempt goes to the system next: fair over campaigns, first come first served within one. */

export interface CampaignLoad {
  readonly campaign: string;
  readonly weight: number;
  readonly slotsPerTrial: number;
  /** Attempts offered or running. */
  readonly inFlight: number;
  readonly queued: number;
  /** Slots this campaign may still take (its own pilots' slots and prefetch). */
  readonly room: number;
}

/**
 * Campaigns in the order in which they get the next free slots: the one with the least slots in use per weight first, ties by name.
 * `free` is in slots; an attempt that needs more than is free blocks only its own campaign.
 */
export function dispatchOrder(loads: readonly CampaignLoad[], free: number): string[] {
  const order: string[] = [];
  const state: { -readonly [K in keyof CampaignLoad]: CampaignLoad[K] }[] = loads.map((load) => ({ ...load }));
  let left = free;
  for (;;) {
    const next = state
      .filter((load) => load.queued > 0 && load.slotsPerTrial <= left && load.slotsPerTrial <= load.room)
      .sort((a, b) => share(a) - share(b) || (a.campaign < b.campaign ? -1 : 1))[0];
    if (next === undefined) return order;
    order.push(next.campaign);
    left -= next.slotsPerTrial;
    next.queued -= 1;
    next.room -= next.slotsPerTrial;
    next.inFlight += 1;
  }
}

function share(load: CampaignLoad): number {
  return (load.inFlight * load.slotsPerTrial) / Math.max(load.weight, 1e-9);
}
