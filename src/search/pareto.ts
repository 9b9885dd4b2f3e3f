/** Several objectives, all as losses (smaller is better). */
export type Losses = readonly number[];

/** Whether `a` is nowhere worse than `b` and somewhere better. */
export function dominates(a: Losses, b: Losses): boolean {
  let isBetter = false;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (x > y) return false;
    if (x < y) isBetter = true;
  }
  return isBetter;
}

/** Positions of the points that no other dominates, in their order; of equal points all are kept. */
export function paretoFront(points: readonly Losses[]): number[] {
  // Sorted by the first objective, a point can be dominated only by one before it.
  const order = points.map((_, i) => i).sort((i, j) => compare(points[i] as Losses, points[j] as Losses));
  const front: number[] = [];
  for (const i of order) if (!front.some((j) => dominates(points[j] as Losses, points[i] as Losses))) front.push(i);
  return front.sort((i, j) => i - j);
}

function compare(a: Losses, b: Losses): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number);
  return 0;
}

/**
 * Ranks by repeated removal of the front: 0 for the front, 1 for the front of the rest, … (Deb 2002's non-dominated sorting). Once `enough` points have a rank
 * the others get Infinity: who needs the best hundred of ten thousand need not sort them all.
 */
export function frontRanks(points: readonly Losses[], enough = points.length): number[] {
  const ranks = points.map(() => Number.POSITIVE_INFINITY);
  let rest = points.map((_, i) => i);
  for (let rank = 0; rest.length > 0 && points.length - rest.length < enough; rank++) {
    const front = new Set(paretoFront(rest.map((i) => points[i] as Losses)).map((k) => rest[k] as number));
    for (const i of front) ranks[i] = rank;
    rest = rest.filter((i) => !front.has(i));
  }
  return ranks;
}

/**
 * Volume that the points dominate below the reference point; points that do not lie below it in every objective count nothing. Exact: a sweep in two
 * dimensions, slices of one dimension less above that (fine up to some 100 points in four dimensions).
 * Example: `hypervolume([[1, 2], [2, 1]], [3, 3])` is 3.
 */
export function hypervolume(points: readonly Losses[], reference: Losses): number {
  const inside = points.filter((p) => p.every((x, i) => x < (reference[i] as number)));
  if (inside.length === 0) return 0;
  const front = paretoFront(inside).map((i) => inside[i] as Losses);
  return volume(front, reference);
}

function volume(front: readonly Losses[], reference: Losses): number {
  const dimensions = reference.length;
  const last = dimensions - 1;
  if (dimensions === 1) return (reference[0] as number) - Math.min(...front.map((p) => p[0] as number));
  if (dimensions === 2) {
    const sorted = [...front].sort(compare);
    let area = 0;
    let ceiling = reference[1] as number;
    for (const [x, y] of sorted as [number, number][]) {
      if (y >= ceiling) continue;
      area += ((reference[0] as number) - x) * (ceiling - y);
      ceiling = y;
    }
    return area;
  }
  const sorted = [...front].sort((a, b) => (a[last] as number) - (b[last] as number));
  let sum = 0;
  for (let i = 0; i < sorted.length; i++) {
    const depth = (i + 1 < sorted.length ? (sorted[i + 1] as Losses)[last] : reference[last]) as number;
    const thickness = depth - ((sorted[i] as Losses)[last] as number);
    if (thickness <= 0) continue;
    const slice = sorted.slice(0, i + 1).map((p) => p.slice(0, last));
    const kept = paretoFront(slice).map((k) => slice[k] as Losses);
    sum += thickness * volume(kept, reference.slice(0, last));
  }
  return sum;
}

/** A reference point a tenth of the front's span beyond the worst of every objective (Ishibuchi 2018 recommends a little beyond the nadir). */
export function referencePoint(points: readonly Losses[]): number[] {
  const dimensions = points[0]?.length ?? 0;
  return Array.from({ length: dimensions }, (_, d) => {
    const column = points.map((p) => p[d] as number);
    const worst = Math.max(...column);
    const span = worst - Math.min(...column);
    return worst + 0.1 * (span > 0 ? span : Math.abs(worst) || 1);
  });
}
