import type { ParameterValue, Point } from '../domain/space.ts';
import type { Dimension } from '../search/dimension.ts';
import { streamAt } from '../search/random-stream.ts';
import { type CompiledSpace, codesOf, isActive, pointOf } from '../search/space.ts';

const NOISE_ABOVE = 0.6;
const CHANCE_PER_FACTOR = 0.3;
const SPREAD_PER_FACTOR = 0.1;
const CATEGORY_CHANCE = 0.2;

/**
 * Row L6: while the factor is above 0.6 each parameter is varied with probability 0.3·factor: numbers by a normal step of 0.1·factor of their (logarithmic)
 * range, categories exchanged in a fifth of these cases. Stays in the space; a parameter that comes to exist by a new category gets its prior's value.
 */
export function withNoise(compiled: CompiledSpace, point: Point, factor: number, seed: number, index: number): Point {
  if (factor <= NOISE_ABOVE) return point;
  const stream = streamAt(seed, 'llm noise', index);
  const codes = codesOf(compiled, point);
  for (let i = 0; i < compiled.dimensions.length; i++) {
    const dimension = compiled.dimensions[i] as Dimension;
    // Drawn for every parameter, so that one's fate does not depend on another's.
    const [chance, step, category, other] = [stream.next(), stream.normal(), stream.next(), stream.next()];
    if (!isActive(compiled, codes, i)) {
      codes[i] = Number.NaN;
      continue;
    }
    const code = codes[i] ?? Number.NaN;
    if (Number.isNaN(code)) codes[i] = dimension.codeFromUnit(other, false);
    else if (dimension.kind === 'constant' || chance >= CHANCE_PER_FACTOR * factor) continue;
    else if (dimension.kind === 'categorical') codes[i] = category < CATEGORY_CHANCE ? dimension.codeFromUnit(other, false) : code;
    else codes[i] = dimension.snap(Math.min(1, Math.max(0, code + step * SPREAD_PER_FACTOR * factor)));
  }
  return pointOf(compiled, codes);
}

/** Names of parameters in which two points differ. */
export function changedParameters(before: Point, after: Point): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => (before[name] as ParameterValue | undefined) !== after[name]);
}
