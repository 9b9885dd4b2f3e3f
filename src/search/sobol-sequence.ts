import { mixWords, streamAt } from './random-stream.ts';
import { SOBOL_DIRECTIONS } from './sobol-directions.ts';

const BITS = 32;
/** Dimensions that have direction numbers; beyond them {@link sobolUnit} takes plain random coordinates. */
export const SOBOL_DIMENSIONS = SOBOL_DIRECTIONS.length + 1;

const directionsOf = new Map<number, Uint32Array>();

/** The 32 direction integers of a dimension (Bratley and Fox 1988, recurrence of Joe and Kuo 2003), most significant bit first. */
function directions(dimension: number): Uint32Array {
  const known = directionsOf.get(dimension);
  if (known) return known;
  const v = new Uint32Array(BITS);
  if (dimension === 0) for (let i = 0; i < BITS; i++) v[i] = 2 ** (BITS - 1 - i);
  else {
    const [polynomial = 1, ...initial] = SOBOL_DIRECTIONS[dimension - 1] ?? [];
    const degree = initial.length;
    for (let i = 0; i < BITS; i++) {
      if (i < degree) v[i] = ((initial[i] ?? 0) << (BITS - 1 - i)) >>> 0;
      else {
        const back = v[i - degree] ?? 0;
        let x = back ^ (back >>> degree);
        for (let k = 1; k < degree; k++) if ((polynomial >>> (degree - k)) & 1) x ^= v[i - k] ?? 0;
        v[i] = x >>> 0;
      }
    }
  }
  directionsOf.set(dimension, v);
  return v;
}

/** Point number `index` of the unscrambled sequence in the order of SciPy (Gray code), as 32-bit integers; divide by 2^32. */
export function sobolInteger(index: number, dimension: number): number {
  const v = directions(dimension);
  let gray = (index ^ (index >>> 1)) >>> 0;
  let x = 0;
  for (let i = 0; gray !== 0; i++, gray >>>= 1) if (gray & 1) x ^= v[i] ?? 0;
  return x >>> 0;
}

/**
 * Owen's nested uniform scrambling: each bit is flipped by a random bit that depends on all bits above it (and on the seed), so that every
 * elementary interval keeps its share of the points.
 */
function scramble(x: number, seed: number): number {
  let out = 0;
  for (let bit = 0; bit < BITS; bit++) {
    const above = bit === 0 ? 0 : x >>> (BITS - bit);
    const flip = mixWords(seed, bit, above) & 1;
    out = (out << 1) | (((x >>> (BITS - 1 - bit)) & 1) ^ flip);
  }
  return out >>> 0;
}

/** Coordinates in [0, 1) of point `index` of the scrambled sequence; the same for the same (seed, index), whatever was asked before. */
export function sobolUnit(seed: number, index: number, dimensions: number): Float64Array {
  const unit = new Float64Array(dimensions);
  const rest = dimensions > SOBOL_DIMENSIONS ? streamAt(seed, 'beyond-sobol', index) : undefined;
  for (let d = 0; d < dimensions; d++) {
    if (d >= SOBOL_DIMENSIONS) unit[d] = rest?.next() ?? 0;
    else unit[d] = (scramble(sobolInteger(index, d), mixWords(seed, 0x50b01, d)) + 0.5) / 4294967296;
  }
  return unit;
}
