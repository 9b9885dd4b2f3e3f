import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runAskTell } from '../../../src/cli/ask-tell.ts';
import { readSpaceFile } from '../../../src/cli/space-file.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-ask-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const where = path.join(folder, name);
  writeFileSync(where, text);
  return where;
}

const CAMPAIGN = `
name: digits
objective: {metric: accuracy, direction: maximize}
search_space:
  lr: {type: float, min: 1.0e-4, max: 0.1, log: true}
  layers: {type: int, min: 1, max: 4}
constraints: ["layers * lr < 0.3"]
training: {command: [python, train.py], nonsense: 1}
`;

const LIST = JSON.stringify([
  { name: 'eta.x', type: 'float', low: 0.01, high: 1, log: true, when: { param: 'booster', in: ['tree'] } },
  { name: 'booster', type: 'categorical', choices: ['tree', 'linear'] },
  { name: 'width', type: 'ordinal', choices: [16, 32] },
]);

/** Runs the command on lines; answers parsed. */
async function talk(options: Parameters<typeof runAskTell>[0], lines: readonly unknown[]) {
  const output = new PassThrough();
  const input = Readable.from(lines.map((l) => `${typeof l === 'string' ? l : JSON.stringify(l)}\n`));
  const io = { env: {}, input, output, errors: new PassThrough(), interrupted: new AbortController().signal };
  const exit = await runAskTell(options, io as unknown as Parameters<typeof runAskTell>[1]);
  const text = (output.read() as Buffer | null)?.toString() ?? '';
  return {
    exit,
    answers: text
      .split('\n')
      .filter(Boolean)
      .map((l) => JSON.parse(l)),
  };
}

test('lines go in and come out in order, and the end of the input is the end', async () => {
  const space = file('list.json', LIST);
  const { exit, answers } = await talk({ space, seed: 4 }, [{ ask: 2 }, { tell: { id: 1, value: 1 } }, 'oops', { ask: 1 }]);
  expect(exit).toBe('ok');
  expect(answers.map((a) => a.id ?? 'error')).toEqual([1, 2, 'error', 3]);
  expect(answers.slice(0, 2)).toEqual((await talk({ space, seed: 4 }, [{ ask: 2 }])).answers);
});

test('a campaign file gives space, constraints and direction, and what it says of machines is not looked at', async () => {
  const { space, objectives } = await readSpaceFile(file('campaign.yaml', CAMPAIGN));
  expect(space.parameters.map((p) => p.name)).toEqual(['lr', 'layers']);
  expect(space.constraints).toEqual(['layers * lr < 0.3']);
  expect(objectives?.[0]).toMatchObject({ metric: 'accuracy', direction: 'maximize' });
});

test('conditions on metrics are read from a campaign file, and beside a space, and broken ones are not the best', async () => {
  const lines = [
    { ask: 2 },
    { tell: { id: 1, value: 2, metrics: { gb: 9 } } },
    { tell: { id: 2, value: 1, metrics: { gb: 8 } } },
    { best: true },
  ];
  for (const [name, text] of [
    ['conditions.yaml', `${CAMPAIGN}metric_constraints: ["gb <= 8"]\n`],
    ['conditions.json', JSON.stringify({ space: JSON.parse(LIST), direction: 'maximize', metric_constraints: ['gb <= 8'] })],
  ] as const) {
    const { answers } = await talk({ space: file(name, text) }, lines);
    expect(answers[2]).toMatchObject({ best: { id: 2, value: 1 } });
  }
  const wrong = file('wrong.yaml', `${CAMPAIGN}metric_constraints: ["gb < 8"]\n`);
  await expect(readSpaceFile(wrong)).rejects.toThrow(/metric_constraints.*must be a metric, <= or >=, and a number/);
});

test('a mapping of parameters and a list, alone or under "space", are spaces too, parents put first', async () => {
  const mapping = await readSpaceFile(file('mapping.yaml', 'x: {type: float, min: 0, max: 1}\n'));
  expect(mapping.space.parameters).toEqual([{ name: 'x', type: 'float', min: 0, max: 1 }]);
  const task = await readSpaceFile(file('task.json', JSON.stringify({ space: JSON.parse(LIST), direction: 'maximize' })));
  expect(task.space.parameters.map((p) => p.name)).toEqual(['booster', 'eta.x', 'width']);
  expect(task.objectives?.[0]?.direction).toBe('maximize');
});

test.each([
  ['[{name: x, type: float, low: 2, high: 1}]', /min 2 is above max 1/],
  ['[{name: x, type: float, low: 0, high: 1, log: true}]', /logarithmic scale/],
  ['[{name: x, type: float, low: 0, high: 1, hihg: 2}]', /hihg/],
  ['[{name: x, type: int, low: 0, high: 1}, {name: x, type: int, low: 0, high: 1}]', /twice/],
  ['[{name: x, type: triangle}]', /triangle/],
  ['[{name: x, type: int, low: 0, high: 1, when: {param: y, in: [1]}}]', /y.*no parameter/],
  ['search_space: {x: {type: float, min: 2, max: 1}}', /search_space\.x/],
  ['just words', /no search space/],
  ['x: [', /no YAML/],
])('%s is refused with its reason', async (text, reason) => {
  await expect(readSpaceFile(file('bad.yaml', text))).rejects.toThrow(reason);
});

const PROTOTYPE = `
search_space:
  model_type: {type: categorical, values: [resnet18, resnet34], weights: [0.7, 0.3]}
  learning_rate: {type: log_uniform, min: 1.0e-5, max: 1.0e-1, initial_suggestions: [0.0001, 0.01]}
  batch_size: {type: categorical, values: [32, 64], weights: [0.6, 0.4]}
  num_epochs: {type: int_uniform, min: 5, max: 100, adaptive: true}
  dropout: {type: uniform, min: 0.0, max: 0.6}
`;

test('every distribution of the prototype’s block is read, its switch without effect left out', async () => {
  const { space } = await readSpaceFile(file('prototype.yaml', PROTOTYPE));
  expect(space.parameters).toEqual([
    { name: 'model_type', type: 'categorical', values: ['resnet18', 'resnet34'], weights: [0.7, 0.3] },
    { name: 'learning_rate', type: 'float', min: 1e-5, max: 0.1, log: true, suggestions: [0.0001, 0.01] },
    { name: 'batch_size', type: 'categorical', values: [32, 64], weights: [0.6, 0.4] },
    { name: 'num_epochs', type: 'int', min: 5, max: 100 },
    { name: 'dropout', type: 'float', min: 0, max: 0.6 },
  ]);
});

test('words of other tools are read: types, bounds, lists, conditions; a range of one value is a constant', async () => {
  const { space, objectives } = await readSpaceFile(
    file(
      'words.json',
      JSON.stringify({
        direction: 'maximize',
        parameters: [
          { name: 'opt', type: 'choice', options: ['sgd', 'adam'], weights: [1, 3], default: 'adam', description: 'which' },
          { name: 'beta', type: 'double', lower: 0.8, upper: 0.99, log: null, when: { param: 'opt', equals: 'adam' } },
          { name: 'amp', type: 'bool', when: null },
          { name: 'seed', type: 'int', low: 7, high: 7 },
        ],
      }),
    ),
  );
  expect(objectives?.[0]?.direction).toBe('maximize');
  expect(space.parameters).toEqual([
    { name: 'opt', type: 'categorical', values: ['sgd', 'adam'], weights: [1, 3], default: 'adam' },
    { name: 'beta', type: 'float', min: 0.8, max: 0.99, when: { opt: ['adam'] } },
    { name: 'amp', type: 'categorical', values: [false, true] },
    { name: 'seed', type: 'constant', value: 7 },
  ]);
});

test('what cannot be opened is told as a line of JSON as well', async () => {
  const output = new PassThrough();
  const io = { env: {}, input: Readable.from([]), output, errors: new PassThrough(), interrupted: new AbortController().signal };
  const run = runAskTell({ space: file('one.json', LIST), sampler: 'hope' }, io as unknown as Parameters<typeof runAskTell>[1]);
  await expect(run).rejects.toThrow(/not known/);
  expect(JSON.parse(output.read()?.toString()).error).toMatch(/not known/);
});

test('a file that is not there, an unknown sampler and options that are no JSON are refused', async () => {
  await expect(readSpaceFile(path.join(folder, 'none.yaml'))).rejects.toThrow(/is not there \(looked in/);
  const space = file('s.json', LIST);
  await expect(talk({ space, sampler: 'hope' }, [])).rejects.toThrow(/not known/);
  await expect(talk({ space, options: '{' }, [])).rejects.toThrow(/not a JSON object/);
});
