import type { Objective } from '../domain/campaign.ts';
import type { Space } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import { featureMap, featuresOf } from './gp/features.ts';
import { endedWithValue } from './losses.ts';
import { streamAt } from './random-stream.ts';
import { growTree, type Leaf, type TreeFeature } from './regression-tree.ts';
import { codesOf, compileSpace } from './space.ts';

export interface Importance {
  readonly name: string;
  /** Share of the objective's variance that this parameter explains alone; shares of all parameters sum to 1. */
  readonly share: number;
}

export interface ImportanceQuestion {
  readonly space: Space;
  readonly objectives: readonly Objective[];
  readonly trials: readonly TrialRow[];
  readonly seed: number;
  /** Which objective; 0 is the first. */
  readonly objective?: number;
}

const TREES = 64;
const DEPTH = 64;
/** Newest trials that are looked at: bounds the time on large tables. */
const MOST_TRIALS = 2_000;
/** Fewer results say nothing about importance. */
export const LEAST_TRIALS = 4;

/**
 * How much each parameter matters: functional analysis of variance over a random forest (Hutter, Hoos and Leyton-Brown 2014, first order), most important
 * first. Inactive parameters count as their middle, or as a category of their own. Empty with fewer than {@link LEAST_TRIALS} results or when all are equal.
 */
export function importances({ space, objectives, trials, seed, objective = 0 }: ImportanceQuestion): Importance[] {
  const compiled = compileSpace(space);
  const map = featureMap(compiled);
  const ended = endedWithValue(objectives, trials)
    .sort((a, b) => a.trial.number - b.trial.number)
    .slice(-MOST_TRIALS);
  const values = ended.map((e) => e.losses[objective] as number);
  if (ended.length < LEAST_TRIALS || map.size === 0 || values.every((v) => v === values[0])) return [];
  const rows = featuresOf(
    map,
    ended.map((e) => codesOf(compiled, e.trial.params)),
  );
  const features = map.dimensions.map((d, k): TreeFeature => {
    const parameter = compiled.dimensions[d]?.parameter;
    if (k < map.numeric) return { kind: 'numeric', levels: 0 };
    return { kind: 'categorical', levels: (parameter?.type === 'categorical' ? parameter.values.length : 0) + 1 };
  });
  // A category's position is stored from 0; -1 (inactive) takes the last one.
  for (let i = 0; i < rows.length; i++) if (rows[i] === -1) rows[i] = (features[i % map.size] as TreeFeature).levels - 1;
  const isUsed = features.map((f, k) => f.kind === 'categorical' && rows.some((v, i) => i % map.size === k && v === f.levels - 1));
  const shrunk = features.map((f, k) => (f.kind === 'categorical' && !isUsed[k] ? { ...f, levels: f.levels - 1 } : f));
  const shares = new Float64Array(map.size);
  for (let t = 0; t < TREES; t++) {
    const leaves = growTree(shrunk, rows, values, streamAt(seed, 'forest', t), DEPTH);
    const { total, single } = variances(shrunk, leaves);
    if (total > 0)
      single.forEach((v, k) => {
        shares[k] = (shares[k] as number) + v / total;
      });
  }
  const sum = shares.reduce((a, b) => a + b, 0);
  if (sum === 0) return [];
  return map.dimensions
    .map((d, k) => ({ name: compiled.dimensions[d]?.name ?? '', share: (shares[k] as number) / sum }))
    .sort((a, b) => b.share - a.share || (a.name < b.name ? -1 : 1));
}

/** Variance of the tree under uniform features, and of its marginal over each feature alone. */
function variances(features: readonly TreeFeature[], leaves: readonly Leaf[]): { total: number; single: number[] } {
  const sides = leaves.map((leaf) =>
    features.map((f, k) =>
      f.kind === 'numeric' ? (leaf.high[k] as number) - (leaf.low[k] as number) : (leaf.sets[k] as ReadonlySet<number>).size / f.levels,
    ),
  );
  const volumes = sides.map((s) => s.reduce((a, b) => a * b, 1));
  const mean = leaves.reduce((sum, leaf, l) => sum + leaf.value * (volumes[l] as number), 0);
  const total = leaves.reduce((sum, leaf, l) => sum + (leaf.value - mean) ** 2 * (volumes[l] as number), 0);
  const single = features.map((f, k) => {
    // Weight of a leaf in a slice of feature k: its volume without that side.
    const weights = leaves.map((_, l) => ((sides[l] as number[])[k] ? (volumes[l] as number) / ((sides[l] as number[])[k] as number) : 0));
    let variance = 0;
    if (f.kind === 'categorical') {
      for (let c = 0; c < f.levels; c++) {
        let marginal = 0;
        leaves.forEach((leaf, l) => {
          if (leaf.sets[k]?.has(c)) marginal += leaf.value * (weights[l] as number);
        });
        variance += (marginal - mean) ** 2 / f.levels;
      }
      return variance;
    }
    // Sweep over the borders: each leaf's contribution begins at its low end and stops at its high end.
    const events = leaves.flatMap((leaf, l) => {
      const contribution = leaf.value * (weights[l] as number);
      return [
        { at: leaf.low[k] as number, change: contribution },
        { at: leaf.high[k] as number, change: -contribution },
      ];
    });
    events.sort((a, b) => a.at - b.at);
    let marginal = 0;
    for (let e = 0; e + 1 < events.length; e++) {
      marginal += (events[e] as { change: number }).change;
      const width = (events[e + 1] as { at: number }).at - (events[e] as { at: number }).at;
      if (width > 0) variance += (marginal - mean) ** 2 * width;
    }
    return variance;
  });
  return { total, single };
}
