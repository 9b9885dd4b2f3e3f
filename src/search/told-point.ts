import type { Point } from '../domain/space.ts';
import type { Dimension } from './dimension.ts';
import { type CompiledSpace, codesOf, isActive, pointOf } from './space.ts';

/**
 * A point that somebody tells a result of, as a point of the space: active parameters only, constants understood, floats to the digits that we keep. Nothing
 * is bent: a moved point would be a result that nobody measured.
 * @throws Error naming the parameter that is missing or has no value of the space.
 */
export function toldPoint(space: CompiledSpace, params: Readonly<Record<string, unknown>>): Point {
  const codes = codesOf(space, params as Point);
  space.dimensions.forEach((dimension, i) => {
    if (!isActive(space, codes, i)) return;
    const value = params[dimension.name];
    if (dimension.parameter.type === 'constant' && value === undefined) codes[i] = 0;
    else if (value === undefined) throw new Error(`tell.params.${dimension.name} is missing.`);
    else if (!stands(dimension, codes[i] as number, value))
      throw new Error(`tell.params.${dimension.name} is ${JSON.stringify(value)}, no value of the space.`);
  });
  return pointOf(space, codes);
}

/** Whether the code stands for this very value: numbers outside the bounds and between two steps have the code of the nearest one. */
function stands(dimension: Dimension, code: number, value: unknown): boolean {
  const { parameter } = dimension;
  if (Number.isNaN(code)) return false;
  if (parameter.type !== 'float' && parameter.type !== 'int') return value === dimension.valueOf(code);
  if (typeof value !== 'number' || value < parameter.min || value > parameter.max) return false;
  const isContinuous = parameter.type === 'float' && parameter.step === undefined;
  return isContinuous || Math.abs(Number(dimension.valueOf(code)) - value) <= 1e-9 * Math.max(1, Math.abs(value));
}
