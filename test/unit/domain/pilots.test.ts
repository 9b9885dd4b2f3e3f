import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PilotKnown, pilotName, pilotNumber, planPilots } from '../../../src/domain/pilots.ts';

const aurora = { usesPilots: true, slotsPerPilot: 24, maxPilots: 2, nodesPerPilot: 2, walltimeSeconds: 3600 };
const pilot = (name: string, state: PilotKnown['state'], campaign = 'c'): PilotKnown => ({ pilot: name, campaign, state, slots: 24 });
const plan = (campaigns: Parameters<typeof planPilots>[0]['campaigns'], pilots: PilotKnown[] = [], breakerOpen = false) =>
  planPilots({ description: aurora, campaigns, pilots, breakerOpen });

describe('planPilots', () => {
  it('requests one pilot for a backlog that fits into one', () => {
    expect(plan([{ campaign: 'c', backlog: 10, running: 0 }]).start).toEqual([{ pilot: 'c.p1', campaign: 'c' }]);
  });

  it('requests no more pilots than the queue allows, whatever the backlog', () => {
    expect(plan([{ campaign: 'c', backlog: 1000, running: 0 }]).start).toHaveLength(2);
    expect(plan([{ campaign: 'c', backlog: 1000, running: 24 }], [pilot('c.p1', 'running')]).start).toEqual([
      { pilot: 'c.p2', campaign: 'c' },
    ]);
  });

  it('counts a pilot whose start is unknown as alive', () => {
    expect(plan([{ campaign: 'c', backlog: 10, running: 0 }], [pilot('c.p1', 'unknown')]).start).toEqual([]);
  });

  it('goes on with the next number after a pilot ended, and with the carried counter after it was forgotten', () => {
    expect(plan([{ campaign: 'c', backlog: 1, running: 0 }], [pilot('c.p4', 'ended')]).start).toEqual([{ pilot: 'c.p5', campaign: 'c' }]);
    expect(plan([{ campaign: 'c', backlog: 1, running: 0, nextPilot: 9 }]).start).toEqual([{ pilot: 'c.p9', campaign: 'c' }]);
  });

  it('starts nothing with an open breaker', () => {
    expect(plan([{ campaign: 'c', backlog: 10, running: 0 }], [], true).start).toEqual([]);
  });

  it('stays within the node-hours that are left', () => {
    expect(plan([{ campaign: 'c', backlog: 1000, running: 0, nodeHoursLeft: 3 }]).start).toHaveLength(1);
    expect(plan([{ campaign: 'c', backlog: 1000, running: 0, nodeHoursLeft: 1.9 }]).start).toEqual([]);
    expect(plan([{ campaign: 'c', backlog: 1000, running: 24, nodeHoursLeft: 3 }], [pilot('c.p1', 'running')]).start).toEqual([]);
  });

  it('gives a queued pilot back when the running ones suffice, but not a running one', () => {
    const pilots = [pilot('c.p1', 'running'), pilot('c.p2', 'queued')];
    expect(plan([{ campaign: 'c', backlog: 0, running: 10 }], pilots).stop.map((each) => each.pilot)).toEqual(['c.p2']);
    expect(plan([{ campaign: 'c', backlog: 0, running: 10 }], [pilot('c.p1', 'running'), pilot('c.p2', 'running')]).stop).toEqual([]);
  });

  it('keeps a running pilot through a pause of the sampler: one that stays idle ends by itself', () => {
    expect(plan([{ campaign: 'c', backlog: 0, running: 0 }], [pilot('c.p1', 'running')]).stop).toEqual([]);
  });

  it('stops the pilots of a campaign that is over', () => {
    expect(plan([], [pilot('c.p1', 'running')]).stop).toEqual([{ pilot: 'c.p1', reason: 'its campaign is over' }]);
  });

  it('keeps to what a campaign’s own settings say of its pilots', () => {
    const big = { campaign: 'c', backlog: 1000, running: 0 };
    expect(plan([{ ...big, maxPilots: 1 }]).start).toHaveLength(1);
    expect(plan([{ ...big, backlog: 30, slotsPerPilot: 48 }]).start).toHaveLength(1);
    expect(plan([{ ...big, nodeHoursLeft: 3, nodeHoursPerPilot: 4 }]).start).toEqual([]);
  });

  it('shares the places between campaigns', () => {
    const both = plan([
      { campaign: 'a', backlog: 1000, running: 0 },
      { campaign: 'b', backlog: 1000, running: 0 },
    ]);
    expect(both.start.map((each) => each.campaign).sort()).toEqual(['a', 'b']);
  });

  it('never exceeds the limit, never names a pilot twice, and is stable once its plan is carried out', () => {
    const demand = fc.record({
      campaign: fc.constantFrom('a', 'b', 'c'),
      backlog: fc.nat(200),
      running: fc.nat(100),
      slotsPerTrial: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(demand, { selector: (each) => each.campaign }), fc.integer({ min: 1, max: 6 }), (campaigns, maxPilots) => {
        const description = { ...aurora, maxPilots };
        const first = planPilots({ description, campaigns, pilots: [], breakerOpen: false });
        expect(first.start.length).toBeLessThanOrEqual(maxPilots);
        expect(new Set(first.start.map((each) => each.pilot)).size).toBe(first.start.length);
        const pilots = first.start.map((each) => ({ ...each, state: 'queued' as const, slots: 24 }));
        expect(planPilots({ description, campaigns, pilots, breakerOpen: false })).toEqual({ start: [], stop: [] });
      }),
    );
  });
});

describe('names and durations', () => {
  it('reads back the number it wrote, and no other campaign’s', () => {
    expect(pilotNumber('a.p1', pilotName('a.p1', 7))).toBe(7);
    expect(pilotNumber('a', 'ab.p1')).toBeUndefined();
    expect(pilotNumber('a', 'a.p1.p2')).toBeUndefined();
  });
});
