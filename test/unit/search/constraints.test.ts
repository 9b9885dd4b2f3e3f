import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileConstraint } from '../../../src/search/constraints.ts';

const point = { batch: 64, hidden: 256, lr: 0.01, act: 'relu', bias: true, ratio: -0.5 };

describe('a constraint', () => {
  it.each([
    ['batch * hidden <= 16384', true],
    ['batch * hidden < 16384', false],
    ['batch + 2 * hidden == 576', true],
    ['hidden / batch - 4 == 0 && lr > 0', true],
    ['hidden % batch == 0', true],
    ['2 ** 6 == batch', true],
    ['-ratio == 0.5', true],
    ['not bias', false],
    ['!bias or act == "relu"', true],
    ["act in ['relu', 'gelu']", true],
    ['act in []', false],
    ['batch in [32, 64] and not (hidden > 512)', true],
    ["act == 'relu' ? hidden <= 256 : hidden <= 128", true],
    ['bias ? batch > 100 : batch < 100', false],
    ['bias', true],
    ['True', true],
    ['false', false],
    ['abs(ratio) <= 0.5', true],
    ['max(batch, hidden, 3) == 256 and min(batch, hidden) == 64', true],
    ['log2(batch) == 6 and sqrt(batch) == 8 and log10(lr) == -2', true],
    ['floor(ratio) == -1 and ceil(ratio) == 0 and round(2.4) == 2', true],
    ['pow(2, 3) == 8 and exp(0) == 1 and log(1) == 0', true],
    ['1e-2 == lr', true],
    ['1 < 2 and 3 < 2 or 5 > 4', true],
    ['act < 3', false],
    ['act > 3', false],
  ])('%s is %s', (text, expected) => {
    expect(compileConstraint(text).holds(point)).toBe(expected);
  });

  it('names its parameters once, in order', () => {
    expect(compileConstraint('hidden * batch < 10 or batch > 3 and act == "x"').names).toEqual(['hidden', 'batch', 'act']);
  });

  it('does not apply where a parameter it names is inactive', () => {
    expect(compileConstraint('batch * depth < 0').holds(point)).toBe(true);
  });

  it.each([
    ['', 'constraint "" is empty or holds more than one expression'],
    ['batch hidden', 'is empty or holds more than one expression'],
    ['batch <= 1; hidden <= 2', 'is empty or holds more than one expression'],
    ['batch <=', 'cannot be read: expected expression after <= at character 9'],
    ['(batch <= 3', 'cannot be read: unclosed ( at character 12'],
    ['batch = 3', 'cannot be read: unexpected "=" at character 7'],
    ['batch + hidden', 'is a number, but must be true or false'],
    ["'relu'", 'is a text, but must be true or false'],
    ["'relu' < 3", 'uses "<" on a text'],
    ['batch + true > 1', 'uses "+" on a boolean'],
    ['not 3', 'puts "not" before a number'],
    ['3 and batch', 'uses "and" on a number'],
    ['sin(batch) > 1', 'calls "sin"'],
    ['pow(2) > 1', 'gives pow() 1 values instead of 2'],
    ['abs() > 1', 'gives abs() 0 values instead of 1'],
    ['max() > 1', 'gives max() 0 values instead of 1 or more'],
    ["abs('x') > 1", 'gives abs() a text'],
    ['batch in hidden', 'needs a list after "in"'],
    ['batch.length > 1', 'not allowed here (MemberExpression)'],
    ['this', 'not allowed here (ThisExpression)'],
    ['batch & 3', 'uses the operator "&"'],
    ['~batch', 'uses the operator "~"'],
    ['constructor("x")()', 'calls'],
  ])('"%s" is refused: %s', (text, told) => {
    expect(() => compileConstraint(text)).toThrow(told);
  });

  it('agrees with JavaScript on random arithmetic', () => {
    const leaf = fc.oneof(fc.integer({ min: 0, max: 50 }).map(String), fc.constantFrom('batch', 'hidden', 'lr'));
    const expression = fc.letrec<{ sum: string }>((tie) => ({
      sum: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.tuple(tie('sum'), fc.constantFrom('+', '-', '*', '/', '%'), tie('sum')).map(([a, op, b]) => `(${a} ${op} ${b})`),
      ),
    })).sum;
    const evaluate = (text: string) =>
      new Function('batch', 'hidden', 'lr', `return ${text}`)(point.batch, point.hidden, point.lr) as boolean;
    fc.assert(
      fc.property(expression, expression, fc.constantFrom('<', '<=', '>', '>='), (a, b, op) => {
        const text = `${a} ${op} ${b}`;
        expect(compileConstraint(text).holds(point)).toBe(evaluate(text));
      }),
    );
  });
});
