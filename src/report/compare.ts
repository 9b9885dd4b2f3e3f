import type { CampaignSpec, MetricConstraint, Objective } from '../domain/campaign.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';
import { lossesOf, violationOf } from '../search/losses.ts';
import { hypervolume, paretoFront, referencePoint } from '../search/pareto.ts';

/** One side of a comparison. */
export interface Contender {
  readonly campaign: string;
  readonly objectives: readonly Objective[];
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly rows: readonly TrialRow[];
  /** Slots of one trial. */
  readonly slots: number;
  /** Absent where the system counts no nodes. */
  readonly slotsPerNode?: number;
}

/** How far a campaign had come after so many trials or hours. */
export interface Standing {
  /** Ended trials (not cancelled) that it had spent. */
  readonly trials: number;
  /** Hours that they took, in the unit of the comparison. */
  readonly hours: number;
  /** Best value so far, or hypervolume with several objectives; null before the first feasible result. */
  readonly value: number | null;
  /** How much worse than the reference; below 0 only where the user's optimum was none. */
  readonly regret: number | null;
}

export interface Compared {
  readonly campaign: string;
  readonly completed: number;
  readonly failed: number;
  readonly pruned: number;
  /** After everything. */
  readonly end: Standing;
  readonly best: {
    readonly number: number;
    readonly values: readonly number[];
    readonly params: TrialRow['params'];
    readonly synthetic?: true;
  } | null;
  /** Trials that no other of the campaign beats in every objective. */
  readonly front: number;
  readonly atEqualTrials: Standing;
  readonly atEqualHours: Standing;
  /** At 1, 2, 5, 10, 20, … trials, and at what all campaigns have. */
  readonly trajectory: readonly Standing[];
}

export interface Comparison {
  readonly measure: 'best' | 'hypervolume';
  /** `node-hours` when every system counts nodes; of training, idle slots are not counted. */
  readonly hours: 'node-hours' | 'slot-hours';
  /** The value that regret is measured from. */
  readonly reference: number | null;
  readonly equalTrials: number;
  readonly equalHours: number;
  readonly campaigns: readonly Compared[];
}

interface Ended {
  readonly row: TrialRow;
  /** Hours of training up to and with this trial. */
  readonly hours: number;
  /** Absent for trials that failed, were pruned, or break a condition on metrics. */
  readonly losses?: readonly number[];
}

/**
 * Campaigns with the same objectives, side by side: after everything, after as many trials as the shortest has, and after as many hours as the cheapest took.
 * Trials count in the order in which they ended; failed and pruned ones cost their time. `optimum` replaces the best value of all as the reference.
 */
export function compareCampaigns(contenders: readonly Contender[], optimum?: number): Comparison {
  const objectives = contenders[0]?.objectives ?? [];
  const measure = objectives.length > 1 ? 'hypervolume' : 'best';
  const hours = contenders.every((contender) => contender.slotsPerNode !== undefined) ? 'node-hours' : 'slot-hours';
  const ended = contenders.map((contender) => endsOf(contender, hours === 'node-hours' ? (contender.slotsPerNode as number) : 1));
  const everything = ended.flat().flatMap(({ losses }) => (losses === undefined ? [] : [losses]));
  const corner = referencePoint(everything);
  const sign = objectives[0]?.direction === 'maximize' ? -1 : 1;
  const measureOf = (some: readonly Ended[]): number | null => {
    const known = some.flatMap(({ losses }) => (losses === undefined ? [] : [losses]));
    if (known.length === 0) return null;
    // Adding 0 turns -0 into 0.
    return measure === 'hypervolume' ? hypervolume(known, corner) : sign * Math.min(...known.map((losses) => losses[0] as number)) + 0;
  };
  const best = everything.length === 0 ? null : measure === 'hypervolume' ? hypervolume(everything, corner) : measureOf(ended.flat());
  const reference = optimum ?? best;
  const standing = (some: readonly Ended[]): Standing => {
    const value = measureOf(some);
    return {
      trials: some.length,
      hours: some.at(-1)?.hours ?? 0,
      value,
      // Of a hypervolume more is better, whatever the objectives. Adding 0 turns -0 into 0.
      regret: value === null || reference === null ? null : (measure === 'hypervolume' ? -1 : sign) * (value - reference) + 0,
    };
  };
  const equalTrials = Math.min(...ended.map((ends) => ends.length));
  const equalHours = Math.min(...ended.map((ends) => ends.at(-1)?.hours ?? 0));
  return {
    measure,
    hours,
    reference,
    equalTrials,
    equalHours,
    campaigns: contenders.map(({ campaign, rows }, index): Compared => {
      const ends = ended[index] as readonly Ended[];
      const feasible = ends.filter((end) => end.losses !== undefined);
      const front = paretoFront(feasible.map(({ losses }) => losses as readonly number[]));
      const top = [...feasible].sort((a, b) => (a.losses?.[0] ?? 0) - (b.losses?.[0] ?? 0) || a.row.number - b.row.number)[0]?.row;
      const count = (state: TrialRow['state']) => rows.filter((row) => row.state === state).length;
      return {
        campaign,
        completed: count('completed'),
        failed: count('failed'),
        pruned: count('pruned'),
        end: standing(ends),
        best:
          top === undefined
            ? null
            : {
                number: top.number,
                values: top.values ?? [],
                params: top.params,
                ...(top.synthetic === undefined ? {} : { synthetic: top.synthetic }),
              },
        front: front.length,
        atEqualTrials: standing(ends.slice(0, equalTrials)),
        atEqualHours: standing(ends.filter((end) => end.hours <= equalHours * (1 + 1e-9))),
        trajectory: ladder(ends.length, equalTrials).map((trials) => standing(ends.slice(0, trials))),
      };
    }),
  };
}

function endsOf({ rows, objectives, metricConstraints, slots }: Contender, slotsPerNode: number): Ended[] {
  let seconds = 0;
  return rows
    .filter((row) => isFinal(row.state) && row.state !== 'cancelled')
    .sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0) || a.number - b.number)
    .map((row) => {
      seconds += row.runSeconds ?? 0;
      const isCounted = row.state === 'completed' && violationOf(metricConstraints, row) === 0;
      const losses = isCounted ? lossesOf(objectives, row) : undefined;
      return { row, hours: (seconds * slots) / 3600 / slotsPerNode, ...(losses === undefined ? {} : { losses }) };
    });
}

/** 1, 2, 5, 10, 20, 50, … below `most`, and `most` and `common` themselves. */
function ladder(most: number, common: number): number[] {
  const steps = new Set([common, most]);
  for (let power = 1; power <= most; power *= 10) for (const digit of [1, 2, 5]) if (digit * power < most) steps.add(digit * power);
  return [...steps].filter((step) => step >= 1).sort((a, b) => a - b);
}

/** A setting in which campaigns differ: its key in the campaign file and the value of each; null where it is not set. */
export interface Difference {
  readonly key: string;
  readonly values: readonly (string | null)[];
}

/** Settings in which admitted specifications differ, by key of the campaign file. Names and descriptions for people are left out. */
export function differingSettings(specs: readonly CampaignSpec[]): Difference[] {
  const settings = specs.map(settingsOf);
  const keys = [...new Set(settings.flatMap((each) => [...each.keys()]))].sort();
  return keys
    .map((key) => ({ key, values: settings.map((each) => each.get(key) ?? null) }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

const FOR_PEOPLE = new Set(['name', 'description', 'tags', 'version']);
/** Keys of the specification that are called otherwise in the file. */
const FILE_KEYS: Readonly<Record<string, string>> = { objectives: 'objective', spacingSeconds: 'spacing', seed: 'sampler.seed' };
/** Mappings whose keys are the user's own words. */
const OWN_WORDS = new Set(['env', 'when', 'user_endpoint_config']);

function settingsOf(spec: CampaignSpec): Map<string, string> {
  const { space, warmStart, ...rest } = spec;
  const found = new Map<string, string>();
  if (warmStart !== undefined) found.set('warm_start', `${warmStart.length} results`);
  for (const [key, value] of Object.entries(rest)) if (!FOR_PEOPLE.has(key)) flatten(FILE_KEYS[key] ?? snake(key), value, found);
  for (const { name, ...parameter } of space.parameters) flatten(`search_space.${name}`, parameter, found);
  if (space.constraints !== undefined) flatten('constraints', space.constraints, found);
  return found;
}

function flatten(key: string, value: unknown, found: Map<string, string>): void {
  if (value === undefined) return;
  const isList = Array.isArray(value);
  const isNested = typeof value === 'object' && value !== null && (!isList || value.some((each) => typeof each === 'object'));
  if (!isNested) {
    found.set(key, isList ? value.join(', ') : String(value));
    return;
  }
  const last = key.split('.').at(-1) ?? '';
  for (const [name, inner] of Object.entries(value)) {
    // The specification keeps a component's own options and a system's settings apart, the file does not.
    const path =
      (name === 'options' || name === 'settings') && !isList && !OWN_WORDS.has(last)
        ? key
        : isList && value.length === 1
          ? key
          : `${key}.${OWN_WORDS.has(last) ? name : snake(name)}`;
    flatten(path, inner, found);
  }
}

function snake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
