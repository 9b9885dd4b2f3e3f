import type { RandomStream } from '../random-stream.ts';
import type { Codes, CompiledSpace } from '../space.ts';
import { repairActivity } from './features.ts';

/** A code from the prior for a dimension that has just become active. */
export function randomFill(compiled: CompiledSpace, stream: RandomStream): (dimension: number) => number {
  return (i) => compiled.dimensions[i]?.codeFromUnit(stream.next(), false) ?? 0;
}

/** How far a perturbation goes: standard deviation per dimension of the space in codes, and the chance that a dimension changes at all. */
export interface Reach {
  readonly deviations: Float64Array;
  readonly chance: number;
}

/**
 * A copy of the point with some active dimensions moved: numeric ones by a normal step (reflected at the bounds; an ordered one moves at least one level),
 * categorical ones to another value. At least one dimension changes.
 */
export function perturb(compiled: CompiledSpace, codes: Codes, reach: Reach, stream: RandomStream): Codes {
  const out = codes.slice();
  const active: number[] = [];
  for (let i = 0; i < out.length; i++) if (!Number.isNaN(out[i] as number) && compiled.dimensions[i]?.kind !== 'constant') active.push(i);
  if (active.length === 0) return out;
  const forced = active[stream.integer(active.length)];
  for (const i of active) {
    if (i !== forced && stream.next() >= reach.chance) continue;
    const dimension = compiled.dimensions[i] as CompiledSpace['dimensions'][number];
    const code = out[i] as number;
    if (dimension.kind === 'categorical') {
      const level = dimension.levelOf(code);
      out[i] = dimension.codeOfLevel((level + 1 + stream.integer(dimension.levels - 1)) % dimension.levels);
      continue;
    }
    const moved = reflect(code + stream.normal() * (reach.deviations[i] as number));
    if (dimension.kind === 'continuous') {
      out[i] = moved;
      continue;
    }
    const from = dimension.levelOf(code);
    const to = dimension.levelOf(moved);
    out[i] = dimension.codeOfLevel(to !== from ? to : stepped(from, dimension.levels, stream));
  }
  repairActivity(compiled, out, randomFill(compiled, stream));
  return out;
}

function reflect(x: number): number {
  const y = x < 0 ? -x : x > 1 ? 2 - x : x;
  return Math.min(1, Math.max(0, y));
}

function stepped(level: number, levels: number, stream: RandomStream): number {
  if (level === 0) return 1;
  if (level === levels - 1) return level - 1;
  return level + (stream.next() < 0.5 ? -1 : 1);
}

/** Every point that differs in one discrete parameter: by one level where ordered, by any value where not (at most `most` values each). */
export function neighbours(compiled: CompiledSpace, codes: Codes, stream: RandomStream, most = 12): Codes[] {
  const out: Codes[] = [];
  const fill = randomFill(compiled, stream);
  const take = (i: number, level: number): void => {
    const copy = codes.slice();
    copy[i] = compiled.dimensions[i]?.codeOfLevel(level) ?? 0;
    repairActivity(compiled, copy, fill);
    out.push(copy);
  };
  compiled.dimensions.forEach((dimension, i) => {
    const code = codes[i] as number;
    if (Number.isNaN(code) || dimension.kind === 'constant' || dimension.kind === 'continuous') return;
    const level = dimension.levelOf(code);
    if (dimension.kind === 'ordered') {
      if (level > 0) take(i, level - 1);
      if (level < dimension.levels - 1) take(i, level + 1);
      return;
    }
    const others = Array.from({ length: dimension.levels }, (_, k) => k).filter((k) => k !== level);
    for (let k = 0; k < Math.min(most, others.length); k++) {
      const pick = others.length <= most ? k : k + stream.integer(others.length - k);
      const chosen = others[pick] as number;
      others[pick] = others[k] as number;
      take(i, chosen);
    }
  });
  return out;
}
