import type { ParameterValue, Point, Space } from '../domain/space.ts';
import { compileConstraint } from './constraints.ts';
import { type Dimension, dimensionOf } from './dimension.ts';

/** Codes of one point, one per parameter of the space in its order; NaN where the parameter is inactive (see {@link Dimension}). */
export type Codes = Float64Array;

interface Parent {
  readonly at: number;
  readonly values: ReadonlySet<ParameterValue>;
}

/** A space made ready for arithmetic. */
export interface CompiledSpace {
  readonly space: Space;
  readonly dimensions: readonly Dimension[];
  /** Per dimension: the parents that must be active and have one of the values. */
  readonly parents: readonly (readonly Parent[])[];
  readonly constraints: readonly { readonly names: readonly string[]; readonly holds: (point: Point) => boolean }[];
  /** Number of different points before constraints; Infinity when a parameter that can be active is continuous. */
  readonly cardinality: number;
}

/**
 * Reads a space once. Example: `compileSpace({ parameters: [{ name: 'lr', type: 'float', min: 1e-5, max: 0.1, log: true }] })`.
 * @throws Error when a condition names a parameter that does not stand before, or a constraint cannot be read.
 */
export function compileSpace(space: Space): CompiledSpace {
  const dimensions = space.parameters.map(dimensionOf);
  const positions = new Map(dimensions.map((d, i) => [d.name, i]));
  const parents = dimensions.map((dimension, i) =>
    Object.entries(dimension.when ?? {}).map(([name, values]): Parent => {
      const at = positions.get(name);
      if (at === undefined || at >= i)
        throw new Error(`search_space.${dimension.name}.when names "${name}", which does not stand before it. Put the parent first.`);
      return { at, values: new Set(values) };
    }),
  );
  const constraints = (space.constraints ?? []).map((text) => compileConstraint(text));
  return { space, dimensions, parents, constraints, cardinality: cardinalityOf(dimensions, parents) };
}

/** Points of the space by branching on parents only: values of a parent that every condition treats alike are counted together. */
function cardinalityOf(dimensions: readonly Dimension[], parents: CompiledSpace['parents']): number {
  const isParent = new Set(parents.flat().map((p) => p.at));
  const chosen: (ParameterValue | undefined)[] = [];
  const count = (i: number): number => {
    const dimension = dimensions[i];
    if (dimension === undefined) return 1;
    const active = (parents[i] ?? []).every((p) => chosen[p.at] !== undefined && p.values.has(chosen[p.at] as ParameterValue));
    chosen[i] = undefined;
    if (!active) return count(i + 1);
    if (!isParent.has(i) || dimension.levels === Number.POSITIVE_INFINITY) {
      chosen[i] = dimension.valueOf(0.5);
      return dimension.levels * count(i + 1);
    }
    const classes = new Map<string, { value: ParameterValue; size: number }>();
    for (let level = 0; level < dimension.levels; level++) {
      const value = dimension.valueOf(dimension.codeOfLevel(level));
      const signature = parents
        .flat()
        .filter((p) => p.at === i)
        .map((p) => (p.values.has(value) ? '1' : '0'))
        .join('');
      const group = classes.get(signature);
      if (group) group.size++;
      else classes.set(signature, { value, size: 1 });
    }
    let sum = 0;
    for (const { value, size } of classes.values()) {
      chosen[i] = value;
      sum += size * count(i + 1);
    }
    chosen[i] = undefined;
    return sum;
  };
  return count(0);
}

/** Whether parameter i exists, given the codes of those before it. */
export function isActive(compiled: CompiledSpace, codes: ArrayLike<number>, i: number): boolean {
  for (const parent of compiled.parents[i] ?? []) {
    const code = codes[parent.at] ?? Number.NaN;
    if (Number.isNaN(code) || !parent.values.has((compiled.dimensions[parent.at] as Dimension).valueOf(code))) return false;
  }
  return true;
}

/** Codes of the point that the coordinates (one in [0, 1) per parameter) stand for, by each parameter's prior. */
export function codesFromUnit(compiled: CompiledSpace, unit: ArrayLike<number>, withSuggestions = false): Codes {
  const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
  for (let i = 0; i < codes.length; i++)
    if (isActive(compiled, codes, i)) codes[i] = (compiled.dimensions[i] as Dimension).codeFromUnit(unit[i] ?? 0.5, withSuggestions);
  return codes;
}

/** The point, active parameters only. */
export function pointOf(compiled: CompiledSpace, codes: ArrayLike<number>): Point {
  const point: Record<string, ParameterValue> = {};
  for (let i = 0; i < compiled.dimensions.length; i++) {
    const code = codes[i] ?? Number.NaN;
    const dimension = compiled.dimensions[i] as Dimension;
    if (!Number.isNaN(code)) point[dimension.name] = dimension.valueOf(code);
  }
  return point;
}

/** Codes of a point; NaN for what is inactive, missing, or no value of its list. */
export function codesOf(compiled: CompiledSpace, point: Point): Codes {
  const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
  for (let i = 0; i < codes.length; i++) {
    const dimension = compiled.dimensions[i] as Dimension;
    const value = point[dimension.name];
    if (value !== undefined && isActive(compiled, codes, i)) codes[i] = dimension.codeOf(value);
  }
  return codes;
}

/** Canonical text of a point: equal for equal points, whatever the order of keys; parameters of other spaces are left out. */
export function keyOf(compiled: CompiledSpace, point: Point): string {
  let key = '';
  for (const { name } of compiled.dimensions) {
    const value = point[name];
    key += value === undefined ? '|' : `|${typeof value === 'string' ? JSON.stringify(value) : value}`;
  }
  return key;
}

/** Whether every constraint holds; one that names an inactive parameter is settled by src/search/constraints.ts. */
export function satisfies(compiled: CompiledSpace, point: Point): boolean {
  for (const constraint of compiled.constraints) if (!constraint.holds(point)) return false;
  return true;
}

/**
 * Every point of a finite space in lexicographic order (the last parameter varies fastest), constraints respected. `levelsOf` may thin out a parameter
 * to some codes (the grid sampler does); without it a continuous parameter is an error.
 */
export function* enumerate(compiled: CompiledSpace, levelsOf?: (dimension: Dimension) => readonly number[]): Generator<Point> {
  const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
  const lists: (readonly number[] | undefined)[] = [];
  // Asked for when needed: a continuous parameter may depend on a value of weight 0, and so be in no point at all.
  const levelsAt = (i: number): readonly number[] => {
    const dimension = compiled.dimensions[i] as Dimension;
    lists[i] ??= levelsOf?.(dimension) ?? allLevels(dimension);
    return lists[i] as readonly number[];
  };
  function* from(i: number): Generator<Point> {
    if (i === codes.length) {
      const point = pointOf(compiled, codes);
      if (satisfies(compiled, point)) yield point;
      return;
    }
    if (isActive(compiled, codes, i)) {
      for (const code of levelsAt(i)) {
        codes[i] = code;
        yield* from(i + 1);
      }
      codes[i] = Number.NaN;
    } else {
      codes[i] = Number.NaN;
      yield* from(i + 1);
    }
  }
  yield* from(0);
}

function allLevels(dimension: Dimension): number[] {
  if (dimension.levels === Number.POSITIVE_INFINITY)
    throw new Error(
      `search_space.${dimension.name} is continuous and cannot be enumerated. Give it a step, or ask the grid sampler for points.`,
    );
  return Array.from({ length: dimension.levels }, (_, level) => dimension.codeOfLevel(level));
}

/** The point of all defaults, or undefined when an active parameter has none or a constraint forbids it. */
export function defaultPoint(compiled: CompiledSpace): Point | undefined {
  const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
  for (let i = 0; i < codes.length; i++) {
    if (!isActive(compiled, codes, i)) continue;
    const { parameter, codeOf } = compiled.dimensions[i] as Dimension;
    const value = parameter.type === 'constant' ? parameter.value : parameter.default;
    if (value === undefined) return undefined;
    codes[i] = codeOf(value);
  }
  const point = pointOf(compiled, codes);
  return satisfies(compiled, point) ? point : undefined;
}
