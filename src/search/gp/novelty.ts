import type { Codes, CompiledSpace } from '../space.ts';

/** Improvements that count, in standard deviations of the losses: less is hardly worth a training. */
export const LEAST_IMPROVEMENT = 0.02;
/** Results without such an improvement after which a search looks elsewhere. With 10 it gained less on bench/search. */
const PATIENCE = 6;

/**
 * Whether the last results (in the order of trials, smaller is better) have brought nothing that counts. The first `designed` trials were not asked for by a model:
 * that they brought nothing says nothing.
 */
export function isStuck(losses: readonly number[], designed: number): boolean {
  if (losses.length < designed + PATIENCE) return false;
  const before = losses.slice(0, -PATIENCE).reduce((a, b) => Math.min(a, b));
  return losses.slice(-PATIENCE).every((loss) => loss > before - LEAST_IMPROVEMENT);
}

/** Share of the distance between neighbours that a point on new ground keeps to every older one. */
const SHARE = 0.2;
/** Parameters of up to so many ordered levels are lists that a user chose: one level away is another value, however close its code. */
const FEW_LEVELS = 20;

/**
 * Whether a point lies so near to one of `taken` that its training would all but repeat that one. Near means the same categories and less than a fifth of the
 * spacing that as many evenly strewn points would have, n^(-1/D) of the range, over the D numeric parameters that are active.
 */
export function nearTo(compiled: CompiledSpace, taken: readonly Codes[]): (codes: Codes) => boolean {
  const isFine = compiled.dimensions.map((d) => d.kind === 'continuous' || (d.kind === 'ordered' && d.levels > FEW_LEVELS));
  const limits = isFine.map((_, d) => (SHARE * Math.max(1, taken.length) ** (-1 / (d + 1))) ** 2);
  return (codes) => {
    const fine = isFine.reduce((sum, is, i) => sum + (is && !Number.isNaN(codes[i] as number) ? 1 : 0), 0);
    return fine > 0 && taken.some((other) => isWithin(codes, other, isFine, limits[fine - 1] as number));
  };
}

function isWithin(a: Codes, b: Codes, isFine: readonly boolean[], limit: number): boolean {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (Number.isNaN(x) && Number.isNaN(y)) continue;
    if (isFine[i]) sum += (x - y) * (x - y);
    else if (x !== y) return false;
    // Not a number where one is active and the other is not.
    if (!(sum < limit)) return false;
  }
  return true;
}
