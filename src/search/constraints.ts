import jsep from 'jsep';
import type { ParameterValue, Point } from '../domain/space.ts';

/** A constraint made ready: the parameters it names, and whether a point keeps it. */
export interface CompiledConstraint {
  readonly text: string;
  /** Parameters it names, each once, in order of appearance. */
  readonly names: readonly string[];
  /** True when the point keeps the constraint, and when a parameter it names is inactive (has no key in the point). */
  readonly holds: (point: Point) => boolean;
}

type Type = 'number' | 'text' | 'boolean' | 'any';
type Value = ParameterValue | readonly ParameterValue[];

interface Part {
  readonly type: Type;
  readonly evaluate: (point: Point) => Value;
}

// `jsep` is one parser for the whole process; nobody else uses it.
jsep.addBinaryOp('or', 1);
jsep.addBinaryOp('and', 2);
jsep.addBinaryOp('in', 7);
jsep.addUnaryOp('not');
jsep.addLiteral('True', true);
jsep.addLiteral('False', false);

const FUNCTIONS: Readonly<Record<string, { readonly arity: readonly [number, number]; readonly apply: (...values: number[]) => number }>> =
  {
    abs: { arity: [1, 1], apply: Math.abs },
    ceil: { arity: [1, 1], apply: Math.ceil },
    exp: { arity: [1, 1], apply: Math.exp },
    floor: { arity: [1, 1], apply: Math.floor },
    log: { arity: [1, 1], apply: Math.log },
    log10: { arity: [1, 1], apply: Math.log10 },
    log2: { arity: [1, 1], apply: Math.log2 },
    max: { arity: [1, 99], apply: Math.max },
    min: { arity: [1, 99], apply: Math.min },
    pow: { arity: [2, 2], apply: (base, exponent) => base ** exponent },
    round: { arity: [1, 1], apply: Math.round },
    sqrt: { arity: [1, 1], apply: Math.sqrt },
  };

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '**': (a, b) => a ** b,
};

const ORDER: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

const EQUALITY: Readonly<Record<string, boolean>> = { '==': true, '===': true, '!=': false, '!==': false };
const AND = new Set(['&&', 'and']);
const OR = new Set(['||', 'or']);

/**
 * Reads a constraint: numbers, texts in quotes, true and false, parameter names, + - * / % **, comparisons, `and or not` (also && || !), `x in [1, 2]`,
 * `cond ? a : b`, and abs ceil exp floor log log10 log2 max min pow round sqrt.
 *
 * Example: `compileConstraint('batch_size * hidden_size <= 262144').holds({ batch_size: 64, hidden_size: 256 })` is true.
 * @throws Error saying what cannot be read and, where known, at which character.
 */
export function compileConstraint(text: string): CompiledConstraint {
  const names: string[] = [];
  const part = read(text, names);
  return {
    text,
    names,
    holds: (point) => {
      for (const name of names) if (point[name] === undefined) return true;
      return part.evaluate(point) === true;
    },
  };
}

function read(text: string, names: string[]): Part {
  try {
    const part = compile(parse(text), names);
    if (part.type === 'boolean' || part.type === 'any') return part;
    throw new Error(`is a ${part.type}, but must be true or false for a point, like "a <= b"`);
  } catch (error) {
    throw new Error(`constraint "${text}" ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parse(text: string): jsep.Expression {
  try {
    return jsep(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const index = /^(.*) at character (\d+)$/.exec(message);
    const what = index?.[1] ?? message;
    throw new Error(`cannot be read: ${what[0]?.toLowerCase()}${what.slice(1)}${index ? ` at character ${Number(index[2]) + 1}` : ''}`);
  }
}

function compile(node: jsep.Expression, names: string[]): Part {
  switch (node.type) {
    case 'Literal':
      return literal((node as jsep.Literal).value);
    case 'Identifier':
      return identifier((node as jsep.Identifier).name, names);
    case 'UnaryExpression':
      return unary(node as jsep.UnaryExpression, names);
    case 'BinaryExpression':
      return binary(node as jsep.BinaryExpression, names);
    case 'ConditionalExpression':
      return conditional(node as jsep.ConditionalExpression, names);
    case 'CallExpression':
      return call(node as jsep.CallExpression, names);
    case 'Compound':
      throw new Error('is empty or holds more than one expression');
    default:
      throw new Error(`holds something that is not allowed here (${node.type})`);
  }
}

function literal(value: unknown): Part {
  if (typeof value === 'number') return { type: 'number', evaluate: () => value };
  if (typeof value === 'string') return { type: 'text', evaluate: () => value };
  if (typeof value === 'boolean') return { type: 'boolean', evaluate: () => value };
  throw new Error(`holds ${String(value)}, which is no number, text, true or false`);
}

function identifier(name: string, names: string[]): Part {
  if (!names.includes(name)) names.push(name);
  return { type: 'any', evaluate: (point) => point[name] as ParameterValue };
}

function expectType(part: Part, type: Type, what: string): void {
  if (part.type !== 'any' && part.type !== type) throw new Error(`${what} a ${part.type}`);
}

function unary(node: jsep.UnaryExpression, names: string[]): Part {
  const of = compile(node.argument, names);
  switch (node.operator) {
    case '-':
    case '+': {
      expectType(of, 'number', `puts "${node.operator}" before`);
      const sign = node.operator === '-' ? -1 : 1;
      return { type: 'number', evaluate: (point) => sign * numeric(of.evaluate(point)) };
    }
    case '!':
    case 'not':
      expectType(of, 'boolean', `puts "${node.operator}" before`);
      return { type: 'boolean', evaluate: (point) => of.evaluate(point) !== true };
    default:
      throw new Error(`uses the operator "${node.operator}", which is not allowed here`);
  }
}

function binary(node: jsep.BinaryExpression, names: string[]): Part {
  const { operator } = node;
  if (operator === 'in') return membership(node, names);
  const left = compile(node.left, names);
  const right = compile(node.right, names);
  const arithmetic = ARITHMETIC[operator];
  if (arithmetic) {
    for (const side of [left, right]) expectType(side, 'number', `uses "${operator}" on`);
    return { type: 'number', evaluate: (point) => arithmetic(numeric(left.evaluate(point)), numeric(right.evaluate(point))) };
  }
  const order = ORDER[operator];
  if (order) {
    for (const side of [left, right]) expectType(side, 'number', `uses "${operator}" on`);
    return { type: 'boolean', evaluate: (point) => order(numeric(left.evaluate(point)), numeric(right.evaluate(point))) };
  }
  const equality = EQUALITY[operator];
  if (equality !== undefined) {
    return { type: 'boolean', evaluate: (point) => (left.evaluate(point) === right.evaluate(point)) === equality };
  }
  if (AND.has(operator) || OR.has(operator)) {
    for (const side of [left, right]) expectType(side, 'boolean', `uses "${operator}" on`);
    const isAnd = AND.has(operator);
    return {
      type: 'boolean',
      evaluate: (point) => {
        const first = left.evaluate(point) === true;
        return first === isAnd ? right.evaluate(point) === true : first;
      },
    };
  }
  throw new Error(`uses the operator "${operator}", which is not allowed here`);
}

function membership(node: jsep.BinaryExpression, names: string[]): Part {
  const left = compile(node.left, names);
  if (node.right.type !== 'ArrayExpression') throw new Error('needs a list after "in", like [1, 2]');
  const items = (node.right as jsep.ArrayExpression).elements.map((element) => compile(element as jsep.Expression, names));
  return { type: 'boolean', evaluate: (point) => items.some((item) => item.evaluate(point) === left.evaluate(point)) };
}

function conditional(node: jsep.ConditionalExpression, names: string[]): Part {
  const test = compile(node.test, names);
  expectType(test, 'boolean', 'asks before "?"');
  const yes = compile(node.consequent, names);
  const no = compile(node.alternate, names);
  return {
    type: yes.type === no.type ? yes.type : 'any',
    evaluate: (point) => (test.evaluate(point) === true ? yes : no).evaluate(point),
  };
}

function call(node: jsep.CallExpression, names: string[]): Part {
  const name = node.callee.type === 'Identifier' ? (node.callee as jsep.Identifier).name : '';
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (!known)
    throw new Error(`calls ${name === '' ? 'something that is no function' : `"${name}"`}; known are ${Object.keys(FUNCTIONS).join(', ')}`);
  const parts = node.arguments.map((argument) => compile(argument, names));
  for (const part of parts) expectType(part, 'number', `gives ${name}()`);
  const [least, most] = known.arity;
  if (parts.length < least || parts.length > most)
    throw new Error(`gives ${name}() ${parts.length} values instead of ${least === most ? least : `${least} or more`}`);
  return { type: 'number', evaluate: (point) => known.apply(...parts.map((part) => numeric(part.evaluate(point)))) };
}

/** Comparisons with NaN are false, so a text where a number is due never keeps a constraint. */
function numeric(value: Value): number {
  return typeof value === 'number' ? value : Number.NaN;
}
