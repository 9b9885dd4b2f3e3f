import type { Condition, Parameter, ParameterValue } from '../domain/space.ts';

/**
 * One parameter as numbers. A *code* is what models work on: continuous and ordered parameters (after the logarithm, where asked) run from 0 to 1,
 * a categorical's code is the position of its value, a constant's is 0, and an inactive parameter's is NaN.
 */
export interface Dimension {
  readonly name: string;
  readonly parameter: Parameter;
  readonly kind: 'continuous' | 'ordered' | 'categorical' | 'constant';
  /** Values that can be proposed (weight above zero); Infinity for a continuous parameter. */
  readonly levels: number;
  readonly valueOf: (code: number) => ParameterValue;
  /** NaN for a value that is not in the space's list; numbers outside the bounds are clamped. */
  readonly codeOf: (value: ParameterValue) => number;
  /** Nearest code that a proposable value has. */
  readonly snap: (code: number) => number;
  readonly codeOfLevel: (level: number) => number;
  /** Level nearest to a code; 0 for continuous. */
  readonly levelOf: (code: number) => number;
  /** Inverse of the prior's distribution function: weights, log scale and, where asked, the user's suggestions half of the time. */
  readonly codeFromUnit: (u: number, withSuggestions: boolean) => number;
  readonly when: Condition | undefined;
}

type Shape = Pick<Dimension, 'kind' | 'levels' | 'valueOf' | 'codeOf' | 'snap' | 'codeOfLevel' | 'levelOf'> & {
  readonly draw: (u: number) => number;
};

const clamp01 = (x: number): number => (x < 0 ? 0 : Math.min(x, 1));
const clamp = (x: number, low: number, high: number): number => (x < low ? low : Math.min(x, high));

/** Six significant digits (twelve where the range is so narrow that six would merge values), inside the bounds. */
function roundFloat(value: number, min: number, max: number): number {
  const isNarrow = max - min < 1e-3 * Math.max(Math.abs(min), Math.abs(max));
  return clamp(Number(value.toPrecision(isNarrow ? 12 : 6)), min, max);
}

function continuous(p: Extract<Parameter, { type: 'float' }>): Shape {
  const { min, max } = p;
  const low = p.log ? Math.log(min) : min;
  const span = (p.log ? Math.log(max) : max) - low;
  const valueAt = (code: number) => roundFloat(p.log ? Math.exp(low + clamp01(code) * span) : low + clamp01(code) * span, min, max);
  const codeOf = (value: ParameterValue) => {
    const x = Number(value);
    return Number.isNaN(x) ? Number.NaN : clamp01(((p.log ? Math.log(Math.max(x, min)) : x) - low) / span);
  };
  return {
    kind: 'continuous',
    levels: Number.POSITIVE_INFINITY,
    valueOf: valueAt,
    codeOf,
    snap: (code) => codeOf(valueAt(code)),
    codeOfLevel: clamp01,
    levelOf: () => 0,
    draw: (u) => codeOf(valueAt(u)),
  };
}

/** int, and float with a step: evenly spaced values, which lie apart by their logarithm where asked. */
function stepped(p: Extract<Parameter, { type: 'int' | 'float' }>, step: number): Shape {
  const levels = Math.floor((p.max - p.min) / step + 1e-9) + 1;
  const top = p.min + (levels - 1) * step;
  const isLog = p.log === true && p.min > 0;
  const low = isLog ? Math.log(p.min) : p.min;
  const span = (isLog ? Math.log(top) : top) - low;
  const tidy = (x: number) => (p.type === 'int' ? Math.round(x) : Number(x.toPrecision(12)));
  const valueOfLevel = (level: number) => tidy(p.min + clamp(level, 0, levels - 1) * step);
  const codeOfNumber = (x: number) => (span === 0 ? 0 : clamp01(((isLog ? Math.log(Math.max(x, p.min)) : x) - low) / span));
  const levelOf = (code: number) => {
    const x = low + clamp01(code) * span;
    return clamp(Math.round(((isLog ? Math.exp(x) : x) - p.min) / step), 0, levels - 1);
  };
  const codeOfLevel = (level: number) => codeOfNumber(p.min + level * step);
  const draw = (u: number) => {
    if (!isLog) return codeOfLevel(clamp(Math.floor(u * levels), 0, levels - 1));
    // Each value owns the stretch of half a step on both sides, so that the ends are not drawn half as often as the rest.
    const a = Math.log(Math.max(p.min - step / 2, p.min / 2));
    const x = Math.exp(a + u * (Math.log(top + step / 2) - a));
    return codeOfLevel(clamp(Math.round((x - p.min) / step), 0, levels - 1));
  };
  return {
    kind: levels === 1 ? 'constant' : 'ordered',
    levels,
    valueOf: (code) => valueOfLevel(levelOf(code)),
    codeOf: (value) => {
      const x = Number(value);
      return Number.isNaN(x) ? Number.NaN : codeOfLevel(clamp(Math.round((x - p.min) / step), 0, levels - 1));
    },
    snap: (code) => codeOfLevel(levelOf(code)),
    codeOfLevel,
    levelOf,
    draw,
  };
}

/** Lists of values: unordered (code = position) or in order (code = position scaled to 0…1). A value of weight 0 is known but never proposed. */
function listed(p: Extract<Parameter, { type: 'categorical' | 'ordinal' }>): Shape {
  const { values } = p;
  const weights = values.map((_, i) => p.weights?.[i] ?? 1);
  const proposable = values.map((_, i) => i).filter((i) => (weights[i] ?? 0) > 0);
  const scale = p.type === 'ordinal' ? Math.max(1, values.length - 1) : 1;
  const total = proposable.reduce((sum, i) => sum + (weights[i] ?? 0), 0);
  const positionOf = (code: number) => clamp(Math.round(code * scale), 0, values.length - 1);
  const levelOf = (code: number) => {
    const at = positionOf(code);
    let best = 0;
    for (let k = 1; k < proposable.length; k++) if (Math.abs((proposable[k] ?? 0) - at) < Math.abs((proposable[best] ?? 0) - at)) best = k;
    return best;
  };
  const codeOfLevel = (level: number) => (proposable[clamp(level, 0, proposable.length - 1)] ?? 0) / scale;
  const draw = (u: number) => {
    let rest = u * total;
    for (const i of proposable) {
      rest -= weights[i] ?? 0;
      if (rest < 0) return i / scale;
    }
    return codeOfLevel(proposable.length - 1);
  };
  return {
    kind: proposable.length <= 1 ? 'constant' : p.type === 'ordinal' ? 'ordered' : 'categorical',
    levels: proposable.length,
    valueOf: (code) => values[positionOf(code)] as ParameterValue,
    codeOf: (value) => {
      const i = values.indexOf(value);
      return i < 0 ? Number.NaN : i / scale;
    },
    snap: (code) => codeOfLevel(levelOf(code)),
    codeOfLevel,
    levelOf,
    draw,
  };
}

function constant(value: ParameterValue): Shape {
  const zero = () => 0;
  return { kind: 'constant', levels: 1, valueOf: () => value, codeOf: zero, snap: zero, codeOfLevel: zero, levelOf: zero, draw: zero };
}

function shapeOf(p: Parameter): Shape {
  switch (p.type) {
    case 'float':
      if (p.step !== undefined) return stepped(p, p.step);
      return p.min === p.max ? constant(p.min) : continuous(p);
    case 'int':
      return stepped(p, p.step ?? 1);
    case 'categorical':
    case 'ordinal':
      return listed(p);
    case 'constant':
      return constant(p.value);
  }
}

/** The numeric face of one parameter. */
export function dimensionOf(parameter: Parameter): Dimension {
  const { draw, ...shape } = shapeOf(parameter);
  const suggested = (parameter.suggestions ?? []).map((value) => shape.codeOf(value)).filter((code) => !Number.isNaN(code));
  const codeFromUnit = (u: number, withSuggestions: boolean): number => {
    if (!withSuggestions || suggested.length === 0) return draw(u);
    // Row L4: a value that the user suggests is taken half of the time; the other half of the unit interval is the prior.
    return u < 0.5 ? (suggested[Math.floor(2 * u * suggested.length)] ?? draw(u)) : draw(2 * u - 1);
  };
  return { name: parameter.name, parameter, ...shape, codeFromUnit, when: parameter.when };
}
