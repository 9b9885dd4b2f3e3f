import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePythonJson, stringifyPythonJson } from '../../src/systems/globus/python-json.ts';
import { deserializeResult, packPayload } from '../../src/systems/globus/serialize.ts';
import { GlobusSdkChild, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

/** JSON values as a training might hold them, and worse: astral text, lone surrogates, NaN, infinities, integers of any length. */
const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
  fc.double(),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('🚀', '𝒳\ud83d', '\udc00', '\u0000', '\u007f', '\u2028', '"\\'),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 8 }), tie('tree'), { maxKeys: 4 }),
  ),
}));

/** A bigint within ±2^53 comes back as a number, and JavaScript's 5 is 5.0 to nobody: the same number either way. */
function normal(value: unknown): unknown {
  return parsePythonJson(stringifyPythonJson(value));
}

describe.skipIf(!HAS_GLOBUS_PYTHON)('the real SDK', () => {
  let sdk: GlobusSdkChild;
  beforeAll(async () => {
    sdk = new GlobusSdkChild();
    await sdk.ready;
  });
  afterAll(() => sdk?.end());

  it('gives back each of 10,000 random JSON values unchanged', async () => {
    const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 2 ** 31);
    console.log(`seed ${seed}`);
    const values = fc.sample(tree, { numRuns: 10_000, seed });
    for (let from = 0; from < values.length; from += 2_500) {
      const batch = values.slice(from, from + 2_500);
      const texts = await sdk.roundTrip(batch.map((value) => packPayload([value], { 'é🚀': value })));
      texts.forEach((text, index) => {
        const expected = normal(batch[index]);
        expect(deserializeResult(text), `seed ${seed}, value ${from + index}`).toEqual([[expected], { 'é🚀': expected }]);
      });
    }
  });
});
