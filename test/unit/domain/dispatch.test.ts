import { describe, expect, it } from 'vitest';
import { dispatchOrder } from '../../../src/domain/dispatch.ts';

const load = (campaign: string, change: object = {}) => ({
  campaign,
  weight: 1,
  slotsPerTrial: 1,
  inFlight: 0,
  queued: 10,
  room: 100,
  ...change,
});

describe('dispatchOrder', () => {
  it('shares free slots evenly between campaigns', () => {
    const order = dispatchOrder([load('a'), load('b')], 6);
    expect(order.filter((campaign) => campaign === 'a')).toHaveLength(3);
    expect(order).toHaveLength(6);
  });

  it('lets a campaign that holds many slots wait until the others have caught up', () => {
    expect(dispatchOrder([load('a', { inFlight: 4 }), load('b')], 4)).toEqual(['b', 'b', 'b', 'b']);
  });

  it('follows weights', () => {
    const order = dispatchOrder([load('a', { weight: 3 }), load('b')], 8);
    expect(order.filter((campaign) => campaign === 'a')).toHaveLength(6);
  });

  it('never gives more than is free, queued, or allowed to a campaign', () => {
    expect(dispatchOrder([load('a', { queued: 1 }), load('b', { room: 2 })], 10)).toHaveLength(3);
    expect(dispatchOrder([load('a', { slotsPerTrial: 4 })], 7)).toEqual(['a']);
    expect(dispatchOrder([load('a')], 0)).toEqual([]);
  });

  it('does not let a trial that needs many slots block campaigns with smaller ones', () => {
    expect(dispatchOrder([load('a', { slotsPerTrial: 8 }), load('b')], 2)).toEqual(['b', 'b']);
  });
});
