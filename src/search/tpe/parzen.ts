import { normalCdf, normalQuantile } from '../gp/normal.ts';
import type { RandomStream } from '../random-stream.ts';
import type { Codes, CompiledSpace } from '../space.ts';

/**
 * A Parzen estimator over a group of dimensions that are active together (Bergstra 2011; several dimensions in one kernel: Falkner 2018, Watanabe
 * 2023): one component per observation, a normal truncated to 0…1 for numeric codes, "the same value, or one from the prior" for categorical ones; and
 * one component of the prior itself.
 */
export interface Parzen {
  readonly group: readonly number[];
  readonly components: number;
  /** Per dimension of the group: centres, bandwidths and log densities at the centres, or levels and what each is given. */
  readonly columns: readonly Column[];
}

type Column =
  | { readonly kind: 'numeric'; readonly centres: Float64Array; readonly widths: Float64Array; readonly logPeaks: Float64Array }
  | { readonly kind: 'categorical'; readonly levels: Int32Array; readonly prior: Float64Array; readonly same: number };

const LOG_SQRT_2PI = 0.5 * Math.log(2 * Math.PI);
/** Share of a categorical component that is spread over the prior. */
const CATEGORY_SPREAD = 0.2;

/** The Parzen estimator over some dimensions of the space: one component per observed point, and one for the prior. */
export function parzenOf(compiled: CompiledSpace, group: readonly number[], observed: readonly Codes[]): Parzen {
  const count = observed.length;
  const columns = group.map((dimension): Column => {
    const d = compiled.dimensions[dimension] as CompiledSpace['dimensions'][number];
    if (d.kind === 'categorical') {
      const parameter = d.parameter as Extract<typeof d.parameter, { type: 'categorical' }>;
      const weights = parameter.values.map((_, i) => parameter.weights?.[i] ?? 1);
      const total = weights.reduce((a, b) => a + b, 0);
      const levels = Int32Array.from({ length: count + 1 }, (_, i) => (i < count ? ((observed[i] as Codes)[dimension] as number) : -1));
      // More observations make each of them narrower, as bandwidths do.
      const spread = Math.min(1, (CATEGORY_SPREAD * weights.length) / (count + 1) + 0.02);
      return { kind: 'categorical', levels, prior: Float64Array.from(weights, (w) => w / total), same: 1 - spread };
    }
    const centres = Float64Array.from({ length: count + 1 }, (_, i) => (i < count ? ((observed[i] as Codes)[dimension] as number) : 0.5));
    const widths = group.length === 1 ? neighbourWidths(centres, count) : sharedWidths(count, group.length);
    if (d.kind === 'ordered') for (let i = 0; i < count; i++) widths[i] = Math.max(widths[i] as number, 0.5 / d.levels);
    widths[count] = 1;
    const logPeaks = widths.map((w, i) => -Math.log(w * mass(centres[i] as number, w)) - LOG_SQRT_2PI);
    return { kind: 'numeric', centres, widths, logPeaks };
  });
  return { group, components: count + 1, columns };
}

/** Probability that the untruncated component gives to 0…1. */
function mass(centre: number, width: number): number {
  return 1 - tail(centre / width) - tail((1 - centre) / width);
}

/** Deviations beyond which a tail (2e-9) changes no density; most of 1,000 components have one there, and a tail is what costs. */
const FAR = 6;

function tail(deviations: number): number {
  return deviations > FAR ? 0 : normalCdf(-deviations);
}

/** One dimension: the larger distance to a neighbour, between 1/min(100, n+1) and 1 (Bergstra 2011). */
function neighbourWidths(centres: Float64Array, count: number): Float64Array {
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => (centres[a] as number) - (centres[b] as number));
  const least = 1 / Math.min(100, count + 1);
  const widths = new Float64Array(count + 1);
  order.forEach((i, at) => {
    const here = centres[i] as number;
    const left = at > 0 ? (centres[order[at - 1] as number] as number) : 0;
    const right = at < count - 1 ? (centres[order[at + 1] as number] as number) : 1;
    widths[i] = Math.min(1, Math.max(least, here - left, right - here));
  });
  return widths;
}

/** Several dimensions: Scott's rule with a fifth of the range as deviation. */
function sharedWidths(count: number, dimensions: number): Float64Array {
  return new Float64Array(count + 1).fill(Math.max(0.01, 0.2 * Math.max(1, count) ** (-1 / (dimensions + 4))));
}

/** Draws one point of the group into `codes`. */
export function drawParzen(compiled: CompiledSpace, parzen: Parzen, stream: RandomStream, codes: Codes): void {
  const c = stream.integer(parzen.components);
  parzen.columns.forEach((column, k) => {
    const dimension = parzen.group[k] as number;
    const d = compiled.dimensions[dimension] as CompiledSpace['dimensions'][number];
    const isPrior = c === parzen.components - 1;
    if (column.kind === 'categorical') {
      codes[dimension] = isPrior || stream.next() >= column.same ? d.codeFromUnit(stream.next(), false) : (column.levels[c] as number);
      return;
    }
    if (isPrior) {
      codes[dimension] = d.codeFromUnit(stream.next(), false);
      return;
    }
    const centre = column.centres[c] as number;
    const width = column.widths[c] as number;
    const low = normalCdf(-centre / width);
    const high = normalCdf((1 - centre) / width);
    const x = centre + width * normalQuantile(low + stream.next() * (high - low));
    codes[dimension] = d.snap(Math.min(1, Math.max(0, x)));
  });
}

/** Log density of the group's part of a point. */
export function logDensity(parzen: Parzen, codes: Codes): number {
  const { components, columns, group } = parzen;
  const logs = new Float64Array(components);
  for (let k = 0; k < columns.length; k++) {
    const column = columns[k] as Column;
    const code = codes[group[k] as number] as number;
    if (column.kind === 'categorical') {
      const prior = column.prior[code] as number;
      const differs = Math.log((1 - column.same) * prior + 1e-12);
      const equal = Math.log(column.same + (1 - column.same) * prior);
      for (let c = 0; c < components - 1; c++) logs[c] = (logs[c] as number) + (column.levels[c] === code ? equal : differs);
      logs[components - 1] = (logs[components - 1] as number) + Math.log(prior + 1e-12);
      continue;
    }
    const { centres, widths, logPeaks } = column;
    for (let c = 0; c < components; c++) {
      const z = (code - (centres[c] as number)) / (widths[c] as number);
      logs[c] = (logs[c] as number) - 0.5 * z * z + (logPeaks[c] as number);
    }
  }
  let most = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < components; c++) if ((logs[c] as number) > most) most = logs[c] as number;
  let sum = 0;
  for (let c = 0; c < components; c++) {
    const gap = (logs[c] as number) - most;
    if (gap > -30) sum += Math.exp(gap);
  }
  return most + Math.log(sum / components);
}
