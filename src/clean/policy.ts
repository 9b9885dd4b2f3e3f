import type { Objective } from '../domain/campaign.ts';
import { age, measured } from '../view/format.ts';
import type { FoundLaunch } from './store.ts';

/** What Temporal says of a launch folder's campaign; `unknown`: it has no such workflow (any more). */
export type CampaignFate =
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly endedAt: number; readonly best?: number }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'foreign'; readonly namespace: string };

export interface CleanRules {
  readonly olderThanSeconds: number;
  /** Of each objective so many of the best campaigns stay. */
  readonly keepBest: number;
}

export interface CleanVerdict {
  readonly launch: FoundLaunch;
  readonly isRemoved: boolean;
  /** Why it stays, or why it goes, for people. */
  readonly reason: string;
  readonly endedAt?: number;
  readonly best?: number;
}

/** A beat younger than this is an agent at work, whatever anybody else says (a pilot beats every few seconds). */
const BEAT_SECONDS = 3600;

const ENDED = ['completed', 'stopped', 'cancelled', 'failed'];

interface Facts extends FoundLaunch {
  readonly fate: CampaignFate;
  readonly end?: number;
  readonly value?: number;
}

/** Rules by which a launch folder stays, the first that holds; what none holds goes. */
const REASONS: readonly (readonly [
  stays: (facts: Facts, rules: CleanRules, now: number) => boolean,
  words: (facts: Facts, now: number) => string,
])[] = [
  [({ fate }) => fate.kind === 'running', () => 'the campaign is running'],
  [({ beatAgeSeconds }) => beatAgeSeconds !== null && beatAgeSeconds < BEAT_SECONDS, () => 'an agent is at work in it'],
  [({ hasRepository }) => hasRepository, () => 'a git repository lies in it'],
  [({ isInUse }) => isInUse, () => 'it holds the working folder or the home folder'],
  [
    ({ fate }) => fate.kind === 'foreign',
    ({ fate }) => `its campaign belongs to namespace ${fate.kind === 'foreign' ? fate.namespace : ''} (--namespace)`,
  ],
  [({ end }) => end === undefined, () => 'nothing says that its campaign has ended: Temporal has forgotten it and it has no final report'],
  [
    ({ end = 0 }, { olderThanSeconds }, now) => now - end < olderThanSeconds * 1000,
    ({ end = 0 }, now) => `ended only ${age((now - end) / 1000)} ago`,
  ],
];

/** Which launch folders go. Pure: the same facts give the same list. Ranks are counted over ended campaigns with the same objective. */
export function judgeLaunches(
  launches: readonly FoundLaunch[],
  fateOf: (launch: FoundLaunch) => CampaignFate,
  rules: CleanRules,
  now: number,
): CleanVerdict[] {
  const facts = launches.map((launch) => factsOf(launch, fateOf(launch)));
  const best = theBest(facts, rules.keepBest);
  return facts.map((fact, index) => {
    const told = {
      ...(fact.end === undefined ? {} : { endedAt: fact.end }),
      ...(fact.value === undefined ? {} : { best: fact.value }),
    };
    const launch = launches[index] as FoundLaunch;
    const rule = REASONS.find(([stays]) => stays(fact, rules, now));
    if (rule !== undefined) return { launch, isRemoved: false, reason: rule[1](fact, now), ...told };
    const rank = best.get(fact.folder);
    if (rank !== undefined)
      return {
        launch,
        isRemoved: false,
        reason: `number ${rank} of the best by ${goalOf(fact)} (${measured(fact.value ?? Number.NaN)})`,
        ...told,
      };
    return { launch, isRemoved: true, reason: `ended ${age((now - (fact.end ?? now)) / 1000)} ago`, ...told };
  });
}

function factsOf(launch: FoundLaunch, fate: CampaignFate): Facts {
  const { summary, closedAt } = launch;
  const isReported = summary?.status !== undefined && ENDED.includes(summary.status) && summary.campaign === launch.campaign;
  const reportedEnd = isReported && summary.ended_at !== undefined ? Date.parse(summary.ended_at) : undefined;
  const closedEnd = closedAt === null ? undefined : closedAt * 1000;
  const end = fate.kind === 'ended' ? fate.endedAt : fate.kind === 'unknown' ? (reportedEnd ?? closedEnd) : undefined;
  const metric = launch.objectives[0]?.metric;
  const value = (metric === undefined ? undefined : summary?.best?.values[metric]) ?? (fate.kind === 'ended' ? fate.best : undefined);
  return { ...launch, fate, ...(end === undefined ? {} : { end }), ...(value === undefined ? {} : { value }) };
}

/** Rank from 1 of the best campaigns of each objective, by folder. */
function theBest(facts: readonly Facts[], keep: number): Map<string, number> {
  const ranks = new Map<string, number>();
  const ranked = facts.filter((fact): fact is Facts & { value: number } => fact.value !== undefined && fact.end !== undefined);
  for (const goal of new Set(ranked.map(goalOf))) {
    const sign = goal.startsWith('maximize') ? -1 : 1;
    const group = ranked.filter((fact) => goalOf(fact) === goal).sort((a, b) => sign * (a.value - b.value) || (b.end ?? 0) - (a.end ?? 0));
    group.slice(0, keep).forEach((fact, index) => void ranks.set(fact.folder, index + 1));
  }
  return ranks;
}

function goalOf({ objectives }: { readonly objectives: readonly Pick<Objective, 'metric' | 'direction'>[] }): string {
  const [first] = objectives;
  return first === undefined ? '' : `${first.direction} ${first.metric}`;
}
