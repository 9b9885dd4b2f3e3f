import type { RandomStream } from './random-stream.ts';

/** A feature of the rows: numeric from 0 to 1, or a category 0, 1, … (levels of them). */
export interface TreeFeature {
  readonly kind: 'numeric' | 'categorical';
  readonly levels: number;
}

/** A leaf's box: per feature an interval, or the set of categories as bits. */
export interface Leaf {
  readonly value: number;
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly sets: readonly (ReadonlySet<number> | undefined)[];
}

interface Box {
  readonly low: number[];
  readonly high: number[];
  readonly sets: (Set<number> | undefined)[];
}

/**
 * Leaves of a regression tree (CART: the split that lowers the squared error most) on a bootstrap sample of the rows. Numeric features split between
 * values, categorical ones into one category and the rest. `rows` is row-major, one entry per feature.
 */
export function growTree(
  features: readonly TreeFeature[],
  rows: Float64Array,
  values: ArrayLike<number>,
  stream: RandomStream,
  maxDepth: number,
): Leaf[] {
  const n = values.length;
  const sample = Array.from({ length: n }, () => stream.integer(n));
  const box: Box = {
    low: features.map(() => 0),
    high: features.map(() => 1),
    sets: features.map((f) => (f.kind === 'categorical' ? new Set(Array.from({ length: f.levels }, (_, c) => c)) : undefined)),
  };
  const leaves: Leaf[] = [];
  grow(features, rows, values, sample, box, maxDepth, leaves);
  return leaves;
}

interface Split {
  readonly gain: number;
  readonly feature: number;
  /** Threshold, or the category that goes left alone. */
  readonly at: number;
}

function grow(
  features: readonly TreeFeature[],
  rows: Float64Array,
  values: ArrayLike<number>,
  members: readonly number[],
  box: Box,
  depth: number,
  leaves: Leaf[],
): void {
  const mean = members.reduce((sum, i) => sum + (values[i] as number), 0) / members.length;
  const split = depth > 0 && members.length > 1 ? bestSplit(features, rows, values, members) : undefined;
  if (!split) {
    leaves.push({ value: mean, ...box });
    return;
  }
  const { feature, at } = split;
  const width = features.length;
  const isNumeric = (features[feature] as TreeFeature).kind === 'numeric';
  const goesLeft = (i: number) => (isNumeric ? (rows[i * width + feature] as number) <= at : rows[i * width + feature] === at);
  const left = copy(box);
  const right = copy(box);
  if (isNumeric) {
    left.high[feature] = at;
    right.low[feature] = at;
  } else {
    left.sets[feature] = new Set([at]);
    right.sets[feature]?.delete(at);
  }
  grow(features, rows, values, members.filter(goesLeft), left, depth - 1, leaves);
  grow(
    features,
    rows,
    values,
    members.filter((i) => !goesLeft(i)),
    right,
    depth - 1,
    leaves,
  );
}

const copy = (box: Box): Box => ({ low: [...box.low], high: [...box.high], sets: box.sets.map((s) => s && new Set(s)) });

function bestSplit(
  features: readonly TreeFeature[],
  rows: Float64Array,
  values: ArrayLike<number>,
  members: readonly number[],
): Split | undefined {
  const width = features.length;
  const total = members.reduce((sum, i) => sum + (values[i] as number), 0);
  const base = (total * total) / members.length;
  let best: Split | undefined;
  const offer = (gain: number, feature: number, at: number) => {
    if (gain > 1e-12 && gain > (best?.gain ?? 0)) best = { gain, feature, at };
  };
  features.forEach((feature, f) => {
    if (feature.kind === 'categorical') {
      const sums = new Float64Array(feature.levels);
      const counts = new Float64Array(feature.levels);
      for (const i of members) {
        const c = rows[i * width + f] as number;
        sums[c] = (sums[c] as number) + (values[i] as number);
        counts[c] = (counts[c] as number) + 1;
      }
      for (let c = 0; c < feature.levels; c++) {
        const count = counts[c] as number;
        if (count === 0 || count === members.length) continue;
        const rest = total - (sums[c] as number);
        offer((sums[c] as number) ** 2 / count + rest ** 2 / (members.length - count) - base, f, c);
      }
      return;
    }
    const sorted = [...members].sort((a, b) => (rows[a * width + f] as number) - (rows[b * width + f] as number));
    let sum = 0;
    for (let k = 0; k + 1 < sorted.length; k++) {
      sum += values[sorted[k] as number] as number;
      const here = rows[(sorted[k] as number) * width + f] as number;
      const next = rows[(sorted[k + 1] as number) * width + f] as number;
      if (next <= here) continue;
      offer(sum ** 2 / (k + 1) + (total - sum) ** 2 / (sorted.length - k - 1) - base, f, 0.5 * (here + next));
    }
  });
  return best;
}
