import { describe, expect, it } from 'vitest';
import { readReply } from '../../../src/llm/reply-json.ts';
import { readPoint } from '../../../src/llm/reply-points.ts';
import { compileSpace } from '../../../src/search/space.ts';
import { processorMilliseconds } from '../../support/processor-time.ts';
import { SPACE } from './campaign.ts';

const NAMES = SPACE.parameters.map((parameter) => parameter.name);
const compiled = compileSpace(SPACE);
const GOOD = '{"lr": 0.01, "layers": 2, "batch_size": 64, "model": "vgg16"}';
const POINT = { lr: 0.01, layers: 2, batch_size: 64, model: 'vgg16' };

describe('a reply', () => {
  it.each([
    ['plain, in our form', `{"points": [{"params": ${GOOD}, "reasoning": "why"}], "note": "n"}`, 1],
    ['a list', `[{"params": ${GOOD}}, {"params": ${GOOD}}]`, 2],
    ['a flat point', GOOD, 1],
    ['flat points under another name', `{"suggestions": [${GOOD}]}`, 1],
    ['fenced', `\`\`\`json\n{"points": [{"params": ${GOOD}}]}\n\`\`\``, 1],
    ['fenced without a language', `\`\`\`\n${GOOD}\n\`\`\``, 1],
    ['a fence that is never closed', `\`\`\`json\n${GOOD}`, 1],
    ['inline in prose', `Sure! I would try ${GOOD} because of the trend.`, 1],
    ['prose with braces before it', `The set {a, b} is small. My answer: {"points": [${GOOD}]}`, 1],
    ['thinking before it', `<think>maybe {"lr": 5}? no</think>{"points": [${GOOD}, ${GOOD}]}`, 2],
    ['an example first, the answer later', `For example {"lr": 0.5}. Answer: {"points": [${GOOD}, ${GOOD}]}`, 2],
    ['trailing commas', `{"points": [{"params": {"lr": 0.01, "layers": 2,},},],}`, 1],
    ['comments of JavaScript', `{"lr": 0.01, // small\n "layers": 2 /* few */}`, 1],
    ['comments of Python', `{"lr": 0.01, # small\n "layers": 2}`, 1],
    ['braces and slashes within strings', `{"points": [{"params": ${GOOD}, "reasoning": "uses {x} and // and # signs"}]}`, 1],
    ['single quotes', `{'points': [{'params': {'lr': 0.01, 'model': 'vgg16'}}]}`, 1],
    ['keys without quotes', `{points: [{params: {lr: 0.01, layers: 2}}]}`, 1],
    ['Python’s constants', `{"points": [{"params": {"lr": 0.01, "layers": None, "x": True}}]}`, 1],
    ['NaN', `{"points": [{"params": {"lr": NaN, "layers": 2}}]}`, 1],
    ['Infinity', `{"points": [{"params": {"lr": Infinity, "layers": 2}}]}`, 1],
    ['cut short in the second point', `{"points": [{"params": ${GOOD}}, {"params": {"lr": 0.`, 1],
    ['cut short in a name of the second point', `{"points": [{"params": ${GOOD}}, {"params": {"lr": 0.05, "lay`, 1],
    ['cut short in the third flat point', `{"points": [${GOOD}, ${GOOD}, {"lr": 0.0`, 2],
    ['cut short in the second line', `${GOOD}\n{"lr": 0.0`, 1],
    ['cut short in a point by number', `{"points": {"1": ${GOOD}, "2": {"lr": 0.0`, 1],
    ['cut short in a list within a point', `{"points": [${GOOD}, {"lr": [0.01, 0.0`, 1],
    ['cut short in a fence', `\`\`\`json\n{"points": [{"params": ${GOOD}}, {"params": {"lr": 0.`, 1],
    ['cut short between two points', `{"points": [{"params": ${GOOD}},`, 1],
    ['cut short in the note', `{"points": [{"params": ${GOOD}}], "note": "try d`, 1],
    ['cut short in single quotes with a brace', `{'points': [{'params': {'lr': 0.01}, 'reasoning': 'as {x'}, {'params': {'lr': 0.0`, 1],
    ['cut short in the only point', `{"points": [{"params": {"lr": 0.0`, undefined],
    ['cut short in the reasoning', `{"points": [{"params": ${GOOD}, "reasoning": "because the`, 1],
    ['two objects, one a line', `${GOOD}\n${GOOD}`, 2],
    ['other spellings of the names', `{"Learning": 1, "LR": 0.01, "Batch-Size": 64}`, 1],
    ['a deep wrapper', `{"points": [{"hyperparameters": ${GOOD}, "rationale": "r"}]}`, 1],
    ['lists within a list', `{"points": [[${GOOD}], [${GOOD}]]}`, 2],
    ['one point where a list should be', `{"points": {"params": ${GOOD}, "reasoning": "r"}}`, 1],
    ['points by number', `{"points": {"1": ${GOOD}, "2": ${GOOD}}}`, 2],
    ['under a wrapper', `{"result": {"points": [${GOOD}]}}`, 1],
    ['as the call of a tool that is none', `<tool_call>{"name": "propose", "arguments": {"points": [${GOOD}]}}</tool_call>`, 1],
    ['as the text of such a call', JSON.stringify({ name: 'propose', arguments: JSON.stringify({ points: [{ lr: 0.01 }] }) }), 1],
    ['with colours of a terminal in the reasoning', `{"points": [{"params": ${GOOD}, "reasoning": "\u001b[31mred\u0000"}]}`, 1],
    ['after a byte order mark', `\ufeff${GOOD}`, 1],
    ['in a fence within a fence', `\`\`\`\`md\n\`\`\`json\n${GOOD}\n\`\`\`\n\`\`\`\``, 1],
    ['wrapped too deep', `${'{"result": '.repeat(9)}${GOOD}${'}'.repeat(9)}`, undefined],
    ['empty', '', undefined],
    ['prose only', 'I cannot do that.', undefined],
    ['JSON of something else', '{"temperature": 20}', undefined],
    ['a number', '42', undefined],
    ['an empty list', '{"points": []}', undefined],
    ['points that are no objects', '{"points": [1, "a", null]}', undefined],
    ['an error of the service as text', '{"error": {"message": "overloaded"}}', undefined],
    ['a thousand braces', '{'.repeat(1000), undefined],
  ])('%s', (_, text, points) => {
    expect(readReply(text, NAMES)?.points.length).toBe(points);
  });

  it('keeps reasoning and note, under whatever name', () => {
    const reply = readReply(`{"points": [{"params": ${GOOD}, "rationale": "flat so far"}], "note": "try depth"}`, NAMES);
    expect(reply).toEqual({ points: [{ params: POINT, reasoning: 'flat so far' }], note: 'try depth', wasMended: false });
  });

  it('says whether it had to be mended', () => {
    expect(readReply(GOOD, NAMES)?.wasMended).toBe(false);
    expect(readReply(`Here: ${GOOD}`, NAMES)?.wasMended).toBe(true);
    expect(readReply(GOOD.replace('}', ',}'), NAMES)?.wasMended).toBe(true);
  });

  it('of 100,000 characters, or of nothing but opening brackets, is read without growing slow', () => {
    const spent = processorMilliseconds(() => {
      readReply(`{"points": [${Array.from({ length: 1500 }, () => `{"params": ${GOOD}}`).join(',')}`, NAMES);
      readReply('[{"a":'.repeat(20_000), NAMES);
    });
    expect(spent).toBeLessThan(20_000);
  });

  it('strewn with quotes, which take the square of their number to mend, is given up at once', () => {
    const spent = processorMilliseconds(() => {
      for (const strewn of ['"lr', "'b", '"a,', '“a', '{"lr": 1, '])
        expect(readReply(`{"points":[${strewn.repeat(60_000)}`, ['lr'])).toBeUndefined();
    });
    expect(spent).toBeLessThan(3000);
  });
});

describe('a proposed point (row L14)', () => {
  const read = (params: Record<string, unknown>) => {
    const reading = readPoint(compiled, { params: { ...POINT, ...params } });
    return reading.kind === 'refused' ? reading.why : [reading.params, reading.repairs];
  };
  const whole = { ...POINT, classes: 100 };

  it.each([
    ['as it should be', {}, whole, []],
    ['a number as text', { lr: '0.02' }, { ...whole, lr: 0.02 }, ['lr "0.02" → 0.02']],
    ['a number in scientific notation as text', { lr: '1e-3' }, { ...whole, lr: 0.001 }, ['lr "1e-3" → 0.001']],
    ['too large', { lr: 5 }, { ...whole, lr: 0.1 }, ['lr 5 → 0.1']],
    ['too small', { lr: -1 }, { ...whole, lr: 1e-5 }, ['lr -1 → 0.00001']],
    ['NaN as text: the default, never the maximum', { lr: 'NaN' }, { ...whole, lr: 0.001 }, ['lr "NaN" → 0.001']],
    ['null', { lr: null }, { ...whole, lr: 0.001 }, ['lr null → 0.001']],
    ['missing', { lr: undefined }, { ...whole, lr: 0.001 }, ['lr missing → 0.001']],
    ['missing without a default: the middle', { layers: undefined }, { ...whole, layers: 5 }, ['layers missing → 5']],
    ['not whole', { layers: 2.6 }, { ...whole, layers: 3 }, ['layers 2.6 → 3']],
    ['whole as float', { layers: 2.0 }, whole, []],
    ['an ordinal between two values', { batch_size: 100 }, { ...whole, batch_size: 128 }, ['batch_size 100 → 128']],
    ['an ordinal as text', { batch_size: '128' }, { ...whole, batch_size: 128 }, ['batch_size "128" → 128']],
    ['a category in other letters', { model: 'ResNet-18' }, { ...whole, model: 'resnet18' }, ['model "ResNet-18" → resnet18']],
    [
      'a category that is not there: the first',
      { model: 'transformer' },
      { ...whole, model: 'resnet18' },
      ['model "transformer" → resnet18'],
    ],
    ['an ordinal beyond all numbers', { batch_size: 1e300 }, { ...whole, batch_size: 256, layers: 2 }, ['batch_size 1e+300 → 256']],
    ['infinite', { lr: Number.POSITIVE_INFINITY }, { ...whole, lr: 0.1 }, ['lr Infinity → 0.1']],
    ['a list', { layers: [1, 2] }, { ...whole, layers: 5 }, ['layers [1,2] → 5']],
    ['a conditional parameter whose condition fails: left out', { hidden: 128 }, whole, []],
    ['a conditional parameter whose condition holds', { model: 'custom', hidden: 128 }, { ...whole, model: 'custom', hidden: 128 }, []],
    ['an unknown key', { optimizer: 'adam' }, whole, []],
    ['a constant that is changed', { classes: 10 }, whole, []],
    ['something that would change every object', { ['__proto__']: { lr: 1 } }, whole, []],
  ])('%s', (_, params, expected, repairs) => {
    const [point, told] = read(params) as [Record<string, unknown>, string[]];
    expect(point.lr).toBeCloseTo(expected.lr, 12);
    expect({ ...point, lr: expected.lr }).toEqual(expected);
    expect(told.map((repair) => repair.replace('→ 0.00001', '→ 0.00001').replace('→ 1e-5', '→ 0.00001'))).toEqual(repairs);
  });

  it('that breaks a constraint is refused with the constraint', () => {
    expect(read({ layers: 8, batch_size: 256 })).toBe('breaks the constraint layers * batch_size <= 1024');
  });

  it('says yes and no in its own words', () => {
    const flags = compileSpace({ parameters: [{ name: 'nesterov', type: 'categorical', values: [true, false] }] });
    const said = [0, '0', 'no', 'off', 'False', 1, 'yes', 'ON'].map((nesterov) => readPoint(flags, { params: { nesterov } }));
    expect(said.map((reading) => reading.kind === 'point' && reading.params.nesterov)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
  });
});
