import { formatDuration } from '../../spec/durations.ts';
import type { PbsProfile, PbsQueue } from '../../spec/profile.ts';
import type { LiveQueue } from './queues.ts';

/** One line in which the profile and the site differ. */
export interface QueueDifference {
  readonly queue: string;
  readonly what: string;
  readonly profile: string;
  readonly site: string;
}

interface Fact {
  readonly what: string;
  readonly profile: (queue: PbsQueue) => number | undefined;
  readonly site: (queue: LiveQueue) => number | undefined;
  readonly show: (value: number) => string;
}

/** Compared only where both sides say something: a routing queue's limits, for one, often stand at the queues behind it. */
const FACTS: readonly Fact[] = [
  { what: 'most nodes', profile: (queue) => queue.nodes.max, site: (queue) => queue.maxNodes, show: String },
  { what: 'fewest nodes', profile: (queue) => queue.nodes.min, site: (queue) => queue.minNodes, show: String },
  { what: 'longest walltime', profile: (queue) => queue.walltime.max, site: (queue) => queue.maxWalltimeSeconds, show: formatDuration },
  { what: 'shortest walltime', profile: (queue) => queue.walltime.min, site: (queue) => queue.minWalltimeSeconds, show: formatDuration },
  { what: 'jobs queued per user', profile: (queue) => queue.perUser?.queued, site: (queue) => queue.maxQueuedPerUser, show: String },
  { what: 'jobs running per user', profile: (queue) => queue.perUser?.running, site: (queue) => queue.maxRunningPerUser, show: String },
];

/**
 * What changed at a site since the profile's day: queues that came or went, other limits, queues that are closed or stopped now. Queues behind
 * a routing queue are compared with the profile's `routes`.
 */
export function compareQueues(profile: PbsProfile, live: readonly LiveQueue[]): QueueDifference[] {
  const sites = new Map(live.map((queue) => [queue.name, queue]));
  const routes = profile.queues.flatMap((queue) => queue.routes ?? []);
  const known = [...profile.queues, ...routes.map((route) => ({ ...route, unit: 'node' as const, preemptable: false, byRequest: false }))];
  const differences = known.flatMap((queue): QueueDifference[] => {
    const site = sites.get(queue.name);
    if (!site) return [{ queue: queue.name, what: 'queue', profile: 'there', site: 'not there' }];
    return [...closures(site), ...FACTS.flatMap((fact) => difference(queue, site, fact))];
  });
  const names = new Set(known.map((queue) => queue.name));
  const others = live.filter((queue) => !names.has(queue.name) && !queue.fromRouteOnly && queue.isEnabled);
  return [...differences, ...others.map((queue) => ({ queue: queue.name, what: 'queue', profile: 'not there', site: 'there' }))];
}

function closures(site: LiveQueue): QueueDifference[] {
  return [
    ...(site.isEnabled ? [] : [{ queue: site.name, what: 'state', profile: 'open', site: 'takes no jobs now' }]),
    ...(site.isStarted ? [] : [{ queue: site.name, what: 'state', profile: 'open', site: 'starts no jobs now' }]),
  ];
}

function difference(queue: PbsQueue, site: LiveQueue, fact: Fact): QueueDifference[] {
  const ours = fact.profile(queue);
  const theirs = fact.site(site);
  if (ours === undefined || theirs === undefined || ours === theirs) return [];
  return [{ queue: queue.name, what: fact.what, profile: fact.show(ours), site: fact.show(theirs) }];
}
