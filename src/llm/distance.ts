import type { Point } from '../domain/space.ts';
import { type Codes, type CompiledSpace, codesOf } from '../search/space.ts';

/** Points that lie this close in every parameter (in units of its range) are taken for the same. */
export const SAME_POINT = 0.01;

/**
 * Largest difference of two points over all parameters, from 0 to 1: numbers after their logarithm, in units of the range; 1 for another category or for a
 * parameter that only one of them has.
 */
export function pointDistance(compiled: CompiledSpace, a: Codes, b: Codes): number {
  let most = 0;
  compiled.dimensions.forEach((dimension, i) => {
    const x = a[i] ?? Number.NaN;
    const y = b[i] ?? Number.NaN;
    if (Number.isNaN(x) && Number.isNaN(y)) return;
    const differs = Number.isNaN(x) || Number.isNaN(y) || (dimension.kind === 'categorical' && x !== y);
    most = Math.max(most, differs ? 1 : dimension.kind === 'categorical' ? 0 : Math.abs(x - y));
  });
  return most;
}

/** Index of the first point that is as good as the same; undefined when none is. */
export function samePoint(compiled: CompiledSpace, point: Point, others: readonly Codes[]): number | undefined {
  const codes = codesOf(compiled, point);
  const found = others.findIndex((other) => pointDistance(compiled, codes, other) < SAME_POINT);
  return found === -1 ? undefined : found;
}
