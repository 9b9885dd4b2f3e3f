import type { Budget } from '../domain/campaign.ts';
import { duration, instant, plural, short } from './format.ts';

/** Each limit of a budget in words: `80 trials`, `6 h of wall time`; empty where nothing is limited. */
export function budgetWords({ trials, nodeHours, wallSeconds, deadline }: Budget): string[] {
  return [
    ...(trials === undefined ? [] : [plural(trials, 'trial')]),
    ...(nodeHours === undefined ? [] : [`${short(nodeHours)} node-hours`]),
    ...(wallSeconds === undefined ? [] : [`${duration(wallSeconds)} of wall time`]),
    ...(deadline === undefined ? [] : [`until ${instant(Date.parse(deadline))}`]),
  ];
}
