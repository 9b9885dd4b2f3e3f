import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import { addRow, changeRow, emptyTable, packTable, rowsSince, type TrialTable, unpackTable } from '../../../src/domain/table.ts';
import { TRIAL_STATES, type TrialRow } from '../../../src/domain/trial.ts';

const space: Space = {
  parameters: [
    { name: 'model', type: 'categorical', values: ['a', 'b'] },
    { name: 'lr', type: 'float', min: 1e-5, max: 1, log: true },
    { name: 'depth', type: 'int', min: 1, max: 8, when: { model: ['b'] } },
    { name: 'amp', type: 'categorical', values: [true, false] },
  ],
};

const rowArbitrary = fc.record(
  {
    params: fc.oneof(
      fc.record({ model: fc.constant('a'), lr: fc.double({ min: 1e-5, max: 1, noNaN: true }), amp: fc.boolean() }),
      fc.record({
        model: fc.constant('b'),
        lr: fc.double({ min: 1e-5, max: 1, noNaN: true }),
        depth: fc.integer({ min: 1, max: 8 }),
        amp: fc.boolean(),
      }),
    ),
    origin: fc.constantFrom('random', 'user', 'gp'),
    state: fc.constantFrom(...TRIAL_STATES),
    attempts: fc.nat(9),
    createdAt: fc.integer({ min: 1_700_000_000_000, max: 1_800_000_000_000 }),
    values: fc.array(
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
      { minLength: 1, maxLength: 2 },
    ),
    step: fc.nat(),
    runSeconds: fc.nat(100_000),
    finishedAt: fc.integer({ min: 1_800_000_000_001, max: 1_900_000_000_000 }),
    failure: fc.record({ class: fc.constantFrom('lost', 'hang'), message: fc.string({ maxLength: 100 }) }),
    note: fc.string({ maxLength: 100 }),
    synthetic: fc.constant(true),
  },
  { requiredKeys: ['params', 'origin', 'state', 'attempts', 'createdAt'] },
);

function tableOf(rows: readonly Omit<TrialRow, 'number'>[]): TrialTable {
  const table = emptyTable();
  for (const [index, row] of rows.entries()) addRow(table, { ...row, number: index + 1 } as TrialRow);
  return table;
}

describe('the table', () => {
  it('comes back from its packed form and JSON unchanged', () => {
    fc.assert(
      fc.property(fc.array(rowArbitrary, { maxLength: 20 }), (rows) => {
        const table = tableOf(rows as Omit<TrialRow, 'number'>[]);
        expect(unpackTable(JSON.parse(JSON.stringify(packTable(table, space))), space)).toEqual(table);
      }),
    );
  });

  it('of 10,000 trials with eight parameters stays under the payload limit of 2 MiB', () => {
    const wide: Space = {
      parameters: Array.from({ length: 8 }, (_, i) => ({ name: `parameter_${i}`, type: 'float', min: 0, max: 1 }) as const),
    };
    const table = emptyTable();
    for (let number = 1; number <= 10_000; number += 1) {
      const params = Object.fromEntries(
        wide.parameters.map(({ name }, i) => [name, Number((((number * 7919 + i * 104_729) % 999_983) / 999_983).toPrecision(6))]),
      );
      const createdAt = 1_790_000_000_000 + number * 731;
      addRow(table, {
        number,
        params,
        origin: 'gp',
        state: 'completed',
        values: [Math.sin(number)],
        attempts: 1,
        runSeconds: 63.217,
        createdAt,
        finishedAt: createdAt + 64_000,
      });
    }
    const bytes = JSON.stringify(packTable(table, wide)).length;
    expect(bytes).toBeLessThan(2 * 1024 * 1024);
  });

  it('gives the rows changed since a version in pages that together hold every change once', () => {
    const table = tableOf(
      Array.from({ length: 7 }, (_, i) => ({ params: {}, origin: 'random', state: 'queued' as const, attempts: 0, createdAt: i })),
    );
    const before = table.version;
    changeRow(table, 3, { state: 'completed' });
    changeRow(table, 1, { state: 'failed' });
    expect(rowsSince(table, before, 10)).toMatchObject({ rows: [{ number: 1 }, { number: 3 }], version: table.version, more: false });
    const seen: number[] = [];
    for (let since = 0, more = true; more; ) {
      const page = rowsSince(table, since, 2);
      seen.push(...page.rows.map((row) => row.number));
      since = page.version;
      more = page.more;
    }
    expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('refuses a row that does not follow the last one', () => {
    expect(() => addRow(emptyTable(), { number: 2, params: {}, origin: 'x', state: 'queued', attempts: 0, createdAt: 0 })).toThrow(
      RangeError,
    );
  });
});
