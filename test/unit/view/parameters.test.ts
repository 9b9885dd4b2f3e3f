import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tellingOrder, trialSummary } from '../../../src/view/parameters.ts';

describe('a trial in one line', () => {
  it('names the learning rate before what stands first in the file', () => {
    expect(trialSummary({ momentum: 0.9, batch_size: 64, learning_rate: 0.0162 })).toBe('learning_rate=0.0162 batch_size=64 momentum=0.9');
  });

  it('shrinks long names to initials before it leaves anything out', () => {
    const params = { learning_rate: 0.000123456, batch_size: 64, hidden_size: 1024, dropout_rate: 0.25, weight_decay: 1e-6 };
    expect(trialSummary(params)).toBe('lr=1.235e-4 bs=64 wd=1e-6 hs=1024 dr=0.25');
  });

  it('keeps full names when initials would be ambiguous', () => {
    const params = { layer_size: 1, learning_speed: 2, a_very_long_name_of_something_else: 3, another_long_name: 4 };
    const line = trialSummary(params);
    expect(line).toContain('layer_size=1');
    expect(line).toMatch(/ …$/);
  });

  it('is never longer than asked, whatever the point', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 40 }), fc.oneof(fc.double(), fc.string({ maxLength: 60 }), fc.boolean()), {
          maxKeys: 12,
        }),
        fc.integer({ min: 10, max: 80 }),
        (params, most) => trialSummary(params, most).length <= most,
      ),
    );
  });

  it('takes the order of a measured importance and leaves out what it does not name', () => {
    expect(trialSummary({ lr: 1, seed: 7, width: 2 }, 60, ['width', 'lr'])).toBe('width=2 lr=1');
  });

  it('constants of the space are not worth a reader’s time', () => {
    const order = tellingOrder({
      parameters: [
        { type: 'constant', name: 'optimizer', value: 'adam' },
        { type: 'int', name: 'depth', min: 1, max: 4 },
        { type: 'float', name: 'learning_rate', min: 1e-5, max: 0.1, log: true },
      ],
    });
    expect(order).toEqual(['learning_rate', 'depth']);
  });
});
