import { describe, expect, it } from 'vitest';
import { newSystemState, offersDue, type SystemState } from '../../../src/domain/system-state.ts';
import type { PreparedLaunch } from '../../../src/systems/driver.ts';

/** A Globus Compute system of 12 workers, and campaigns with so many queued and so many offered attempts. */
function system(
  campaigns: Readonly<Record<string, { queued: number; offered?: number; capacity?: PreparedLaunch['capacity'] }>>,
): SystemState {
  const state = newSystemState('globus-compute');
  const shape = { slotsPerPilot: 12, maxPilots: 1, prefetch: 2, lookIntervalSeconds: 15, nodesPerPilot: 1 };
  state.description = { kind: 'globus_compute', usesPilots: false, ...shape };
  for (const [campaign, { queued, offered = 0, capacity }] of Object.entries(campaigns)) {
    const launch = { campaign, launch: campaign, localDirectory: '/l', slotsPerTrial: 1, reportSteps: [], weight: 1 };
    state.launches[campaign] = { ...launch, ...(capacity === undefined ? {} : { capacity }) };
    for (let number = 1; number <= queued + offered; number += 1) {
      const attempt = { campaign, number, attempt: 1, params: {}, state: number <= offered ? ('offered' as const) : ('queued' as const) };
      state.attempts[`${campaign}:${number}`] = attempt;
    }
  }
  return state;
}

function counts(state: SystemState): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { campaign } of offersDue(state)) found[campaign] = (found[campaign] ?? 0) + 1;
  return found;
}

describe('the attempts that a Globus Compute system offers', () => {
  it('fill each endpoint, whatever waits at another one', () => {
    const a = { queued: 50, offered: 14, capacity: { pool: 'endpoint-1' } };
    expect(counts(system({ a, b: { queued: 50, capacity: { pool: 'endpoint-2' } } }))).toEqual({ b: 14 });
  });

  it('are shared by the campaigns of one endpoint', () => {
    const capacity = { pool: 'endpoint-1' };
    expect(counts(system({ a: { queued: 50, capacity }, b: { queued: 50, capacity } }))).toEqual({ a: 7, b: 7 });
    expect(counts(system({ a: { queued: 50, offered: 10, capacity }, b: { queued: 50, capacity } }))).toEqual({ b: 4 });
  });

  it('are as many as the endpoint’s own file has workers, more or fewer than the profile says', () => {
    expect(counts(system({ a: { queued: 50, capacity: { pool: 'endpoint-1', slotsPerPilot: 24, prefetch: 3 } } }))).toEqual({ a: 27 });
    expect(counts(system({ a: { queued: 50, capacity: { pool: 'endpoint-1', slotsPerPilot: 4, prefetch: 1 } } }))).toEqual({ a: 5 });
  });

  it('are shared by all where no pool is named, as in histories of earlier versions', () => {
    const capacity = { slotsPerPilot: 24, prefetch: 3 };
    expect(counts(system({ a: { queued: 50, offered: 10, capacity }, b: { queued: 50 } }))).toEqual({ b: 4 });
  });
});
