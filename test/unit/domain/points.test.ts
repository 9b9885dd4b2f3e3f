import { describe, expect, it } from 'vitest';
import { pointKey, pointProblems } from '../../../src/domain/points.ts';
import type { Space } from '../../../src/domain/space.ts';

const space: Space = {
  parameters: [
    { name: 'model', type: 'categorical', values: ['mlp', 'cnn'] },
    { name: 'lr', type: 'float', min: 1e-4, max: 0.1, log: true },
    { name: 'layers', type: 'int', min: 1, max: 4, when: { model: ['cnn'] } },
  ],
};

describe('pointProblems', () => {
  it.each([
    [{ model: 'mlp', lr: 0.01 }, []],
    [{ model: 'cnn', lr: 0.01, layers: 2 }, []],
    [{ model: 'mlp', lr: 0.01, layers: 2 }, ['layers exists only when model is cnn.']],
    [{ model: 'cnn', lr: 0.01 }, ['layers is missing.']],
    [{ model: 'rnn', lr: 0.01 }, ['model "rnn" is none of mlp, cnn.']],
    [{ model: 'mlp', lr: 2 }, ['lr 2 is outside 0.0001…0.1.']],
    [{ model: 'cnn', lr: 0.01, layers: 2.5 }, ['layers must be a whole number, not 2.5.']],
    [{ model: 'mlp', lr: 0.01, momentum: 1 }, ['momentum is no parameter of the search space (there are: model, lr, layers).']],
  ])('%j', (point, problems) => {
    expect(pointProblems(space, point)).toEqual(problems);
  });
});

describe('pointKey', () => {
  it('is the same for the same point in another order, and another for 1 and "1"', () => {
    expect(pointKey({ a: 1, b: 2 })).toBe(pointKey({ b: 2, a: 1 }));
    expect(pointKey({ a: 1 })).not.toBe(pointKey({ a: '1' }));
  });
});
