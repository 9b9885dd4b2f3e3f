import { type Codes, type CompiledSpace, isActive } from '../space.ts';

/**
 * What the kernel sees of a point: numeric entries first (code in 0…1), then categorical ones (position of the value, compared for equality). An inactive
 * numeric parameter stands at the middle, an inactive categorical one is a value of its own (-1); what tells active from inactive is the parent's entry.
 */
export interface FeatureMap {
  /** Dimensions of the space behind the numeric entries, then those behind the categorical ones. Constants have none. */
  readonly dimensions: readonly number[];
  readonly numeric: number;
  /** Entries that the kernel compares, each with a length scale of its own. */
  readonly size: number;
  /** Entries of a row: with reports of unfinished trainings one more, the last: the share of the gains that was still ahead. */
  readonly stride: number;
}

/**
 * With `hasFidelity`, codes may have two entries more than the space has parameters: how far a training had come, 0…1, and the share of its gains that was still
 * ahead, 1…0. Codes without them mean its end.
 */
export function featureMap(compiled: CompiledSpace, hasFidelity = false): FeatureMap {
  const free = compiled.dimensions.map((d, i) => ({ kind: d.kind, i })).filter((d) => d.kind !== 'constant');
  const numeric = free.filter((d) => d.kind !== 'categorical').map((d) => d.i);
  const categorical = free.filter((d) => d.kind === 'categorical').map((d) => d.i);
  if (hasFidelity) numeric.push(compiled.dimensions.length);
  const size = numeric.length + categorical.length;
  return { dimensions: [...numeric, ...categorical], numeric: numeric.length, size, stride: hasFidelity ? size + 1 : size };
}

/** Whether rows may stand for reports of unfinished trainings. */
export const hasReports = (map: FeatureMap): boolean => map.stride > map.size;

/** Entry that says how far a training had come, where {@link hasReports}. */
export const depthOf = (map: FeatureMap): number => map.numeric - 1;

const AT_THE_END = 1;
const NOTHING_AHEAD = 0;

/** Writes the features of one point to `out` from `offset`. */
export function writeFeatures(map: FeatureMap, codes: Codes, out: Float64Array, offset: number): void {
  for (let k = 0; k < map.size; k++) {
    const code = codes[map.dimensions[k] as number] ?? AT_THE_END;
    out[offset + k] = Number.isNaN(code) ? (k < map.numeric ? 0.5 : -1) : code;
  }
  if (hasReports(map)) out[offset + map.size] = codes[(map.dimensions[depthOf(map)] as number) + 1] ?? NOTHING_AHEAD;
}

export function featuresOf(map: FeatureMap, points: readonly Codes[]): Float64Array {
  const out = new Float64Array(points.length * map.stride);
  points.forEach((codes, i) => {
    writeFeatures(map, codes, out, i * map.stride);
  });
  return out;
}

/** Codes with inactive entries NaN and newly active ones (those that are NaN though their condition holds) filled by `fill`. */
export function repairActivity(compiled: CompiledSpace, codes: Codes, fill: (dimension: number) => number): void {
  for (let i = 0; i < codes.length; i++) {
    if (!isActive(compiled, codes, i)) codes[i] = Number.NaN;
    else if (Number.isNaN(codes[i] as number)) codes[i] = fill(i);
  }
}
