import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import { type AskTell, answer, openAskTell } from '../../../src/search/ask-tell.ts';
import { SPACES } from './spaces.ts';

const space = SPACES.numeric as Space;

/** Sends lines one after another; gives back every answer parsed. */
function talk(session: AskTell, lines: readonly unknown[]) {
  let current = session;
  const answers = lines.map((line) => {
    const result = answer(current, typeof line === 'string' ? line : JSON.stringify(line));
    current = result.session;
    return result.lines.map((l) => JSON.parse(l));
  });
  return { session: current, answers };
}

test('an ask is answered by one line a point, a tell by nothing', () => {
  const { answers, session } = talk(openAskTell(space, { seed: 3 }), [
    { ask: 2 },
    { tell: { id: 1, value: 0.5 } },
    { tell: { id: 2, state: 'failed' } },
    { ask: 1 },
  ]);
  expect(answers[0]?.map((a) => a.id)).toEqual([1, 2]);
  expect(Object.keys(answers[0]?.[0]?.params)).toEqual(['lr', 'momentum', 'units', 'layers', 'dropout']);
  expect(answers.slice(1, 3)).toEqual([[], []]);
  expect(answers[3]?.[0]?.id).toBe(3);
  expect(session.trials.map((t) => [t.state, t.values])).toEqual([
    ['completed', [0.5]],
    ['failed', undefined],
    ['running', undefined],
  ]);
});

test('the same lines give the same answers, and a search gets better', () => {
  const run = () => {
    let session = openAskTell(space, { seed: 1 });
    const values: number[] = [];
    for (let i = 0; i < 40; i++) {
      const asked = answer(session, '{"ask":1}');
      const { id, params } = JSON.parse(asked.lines[0] as string);
      const value = (Math.log10(params.lr) + 3) ** 2 + (params.momentum - 0.5) ** 2;
      values.push(value);
      session = answer(asked.session, JSON.stringify({ tell: { id, value } })).session;
    }
    return values;
  };
  const values = run();
  expect(run()).toEqual(values);
  expect(Math.min(...values)).toBeLessThan(0.02);
});

test.each([
  ['no JSON', 'not JSON'],
  ['{"tell": {"id": 1, "value": nan}}', 'not JSON'],
  ['[1]', 'not a JSON object'],
  [{ ask: 0 }, 'ask is 0'],
  [{ ask: 'many' }, 'whole number'],
  [{ hello: 1 }, 'has the keys hello'],
  [{ tell: { id: 9, value: 1 } }, 'tell.id 9 was not asked for'],
  [{ tell: { value: 1 } }, 'neither id nor params'],
  [{ tell: { id: 1 } }, 'neither value nor state'],
  [{ tell: { id: 1, value: 'high' } }, 'must be a number'],
  [{ tell: { id: 1, value: [1, 2] } }, 'must be a number'],
  [{ tell: { id: 1.5, value: 1 } }, 'was not asked for'],
  [{ tell: { id: 1, value: 1, step: 'last' } }, 'step is no number'],
  [{ tell: { id: 1, state: 'lost' } }, 'must be one of'],
  [{ tell: { id: 1, state: 'completed' } }, 'has no value'],
  [{ tell: { params: { lr: 0.1 }, value: 1 } }, 'tell.params.momentum'],
])('%j is answered by an error and changes nothing', (line, words) => {
  const asked = talk(openAskTell(space), [{ ask: 1 }]).session;
  const { session, answers } = talk(asked, [line]);
  expect(answers[0]?.[0]?.error).toContain(words);
  expect(session.trials).toEqual(asked.trials);
});

test.each([
  '{"tell": {"id": 1, "value": NaN}}',
  '{"tell": {"id": 1, "value": -Infinity}}',
  '{"tell": {"id": "1", "value": null}}',
  '{"tell": {"id": 1, "value": "nan", "state": "completed"}}',
  '{"tell": {"id": 1, "value": 1e999, "step": 3}}',
  '{"tell": {"id": 1, "state": "FAIL"}}',
])('%s is a failed trial, answered by nothing', (line) => {
  const { session, answers } = talk(openAskTell(space), [{ ask: 1 }, line]);
  expect(answers[1]).toEqual([]);
  expect(session.trials[0]).toMatchObject({ state: 'failed', finishedAt: 1 });
  expect(session.trials[0]).not.toHaveProperty('values');
});

test('NaN inside a text stays a text, and of several objectives one that is not finite fails the trial', () => {
  const named: Space = { parameters: [{ name: 'x', type: 'categorical', values: ['NaN', 'a "b"'] }] };
  const { session } = talk(openAskTell(named), ['{"tell": {"params": {"x": "NaN"}, "value": NaN}}']);
  expect(session.trials[0]).toMatchObject({ params: { x: 'NaN' }, state: 'failed' });
  const objectives = ['a', 'b'].map((metric) => ({ metric, direction: 'minimize', reduce: 'result' }) as const);
  const pair = talk(openAskTell(space, { objectives }), [
    { ask: 2 },
    { tell: { id: 1, value: [1, null] } },
    { tell: { id: 2, value: null } },
  ]);
  expect(pair.session.trials.map((t) => t.state)).toEqual(['failed', 'failed']);
});

test('a trial that is told to have failed under another word does not count as completed', () => {
  const { answers, session } = talk(openAskTell(space), [{ ask: 1 }, { tell: { id: 1, value: 0, status: 'failed' } }]);
  expect(answers[1]).toEqual([{ error: 'tell.status is not read here. Write it as tell.state.' }]);
  expect(session.trials[0]?.state).toBe('running');
});

test('a report on the way leaves the trial running, and its end counts', () => {
  const { session, answers } = talk(openAskTell(space), [
    { ask: 1 },
    { tell: { id: 1, value: 3, step: 2, state: 'running' } },
    { tell: { id: 1, value: 4, step: 1, state: 'running' } },
    { best: true },
    { tell: { id: 1, state: 'completed' } },
  ]);
  expect(answers[3]).toEqual([{ best: null }]);
  expect(session.trials[0]).toMatchObject({
    state: 'completed',
    values: [4],
    curve: [
      [1, 4],
      [2, 3],
    ],
  });
});

test.each([8, 64])('%i workers at once, some of whose trials fail or give NaN, never get a point twice', (workers) => {
  let session = openAskTell(SPACES.conditional as Space, { seed: 5 });
  const points = new Set<string>();
  const running: { id: number; params: Record<string, unknown> }[] = [];
  const send = (line: string) => {
    const said = answer(session, line);
    session = said.session;
    return said.lines.map((l) => JSON.parse(l));
  };
  running.push(...send(JSON.stringify({ ask: workers })));
  for (let told = 0; told < 90; told++) {
    // Not in the order of asking, as on a machine.
    const id = running.splice((told * 7) % running.length, 1)[0]?.id;
    expect(send(told % 5 === 0 ? `{"tell":{"id":${id},"value":NaN}}` : `{"tell":{"id":${id},"value":${(told * 13) % 17}}}`)).toEqual([]);
    running.push(...send('{"ask":1}'));
  }
  for (const { params } of session.trials) points.add(JSON.stringify(Object.entries(params).sort()));
  expect(points.size).toBe(workers + 90);
});

test('a byte order mark before the first line is no part of it', () => {
  const { answers } = talk(openAskTell(space), ['\ufeff{"ask": 1}\r']);
  expect(answers[0]?.[0]?.id).toBe(1);
});

test('a finite space ends with a line that says so', () => {
  const { answers } = talk(openAskTell(SPACES.tiny as Space), [{ ask: 30 }, { ask: 1 }]);
  expect(answers[0]?.length).toBe(21);
  expect(answers[0]?.[20]).toEqual({ exhausted: true });
  expect(answers[1]).toEqual([{ exhausted: true }]);
});

test('own points, steps, corrections, several objectives and the best so far', () => {
  const own = { lr: 0.001, momentum: 0.9, units: 64, layers: 2, dropout: 0.1 };
  const { session, answers } = talk(openAskTell(space), [
    { best: true },
    { tell: { params: own, value: 3 } },
    { ask: 1 },
    { tell: { id: 2, value: 5, step: 1 } },
    { tell: { id: 2, value: 2, step: 2 } },
    { best: true },
  ]);
  expect(answers[0]).toEqual([{ best: null }]);
  expect(session.trials[0]).toMatchObject({ params: own, origin: 'user', state: 'completed', values: [3] });
  expect(session.trials[1]).toMatchObject({
    values: [2],
    step: 2,
    curve: [
      [1, 5],
      [2, 2],
    ],
  });
  expect(answers[5]?.[0]).toMatchObject({ best: { id: 2, value: 2 } });
  const two = [
    { metric: 'a', direction: 'maximize', reduce: 'result' },
    { metric: 'b', direction: 'minimize', reduce: 'result' },
  ] as const;
  const pair = talk(openAskTell(space, { objectives: two }), [
    { ask: 1 },
    { tell: { id: 1, value: 1 } },
    { tell: { id: 1, value: [1, 2] } },
  ]);
  expect(pair.answers[1]?.[0]?.error).toContain('list of 2');
  expect(pair.session.trials[0]?.values).toEqual([1, 2]);
  const named = talk(pair.session, [{ tell: { id: 1, value: { b: 4, a: 3, c: 5 } } }, { tell: { id: 1, value: { a: 3 } } }]);
  expect(named.session.trials[0]?.values).toEqual([3, 4]);
  expect(named.answers[1]?.[0]?.error).toContain('list of 2');
});

test('no line, however odd, breaks a session: every answer is JSON, and the next ask is answered', () => {
  const odd = fc.oneof(
    fc.string(),
    fc.json(),
    fc.record({ tell: fc.jsonValue() }).map((line) => JSON.stringify(line)),
    fc.record({ ask: fc.jsonValue() }).map((line) => JSON.stringify(line)),
    fc
      .record({
        id: fc.oneof(fc.integer({ min: -1, max: 4 }), fc.jsonValue()),
        value: fc.jsonValue(),
        state: fc.jsonValue(),
        step: fc.jsonValue(),
      })
      .map((tell) => JSON.stringify({ tell })),
  );
  fc.assert(
    fc.property(fc.array(odd, { maxLength: 12 }), (lines) => {
      let session = openAskTell(space, { sampler: 'random', seed: 2 });
      for (const line of ['{"ask": 3}', ...lines.filter((line) => !/[\r\n]/.test(line) && !/"ask":\d{4}/.test(line))]) {
        const said = answer(session, line);
        session = said.session;
        for (const each of said.lines) expect(JSON.parse(each)).toBeTypeOf('object');
      }
      const next = answer(session, '{"ask": 1}').lines.map((line) => JSON.parse(line));
      expect(next).toHaveLength(1);
      expect(Object.keys(next[0].params)).toHaveLength(5);
      for (const { values } of session.trials) expect((values ?? []).every(Number.isFinite)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('an unknown sampler is refused when the session opens', () => {
  expect(() => openAskTell(space, { sampler: 'hope' })).toThrow(/not known/);
  expect(() => openAskTell(space, { sampler: 'gp', options: { hope: 1 } })).toThrow(/hope is not an option/);
});

const OWN: Space = {
  parameters: [
    { name: 'lr', type: 'float', min: 1e-5, max: 0.1, log: true },
    { name: 'layers', type: 'int', min: 1, max: 8 },
    { name: 'drop', type: 'float', min: 0, max: 0.5, step: 0.1 },
    { name: 'bs', type: 'ordinal', values: [16, 32] },
    { name: 'data', type: 'constant', value: 'cifar' },
  ],
};

test.each([
  ['above its range', { lr: 5 }, 'tell.params.lr is 5, no value of the space'],
  ['below its range', { layers: 0 }, 'tell.params.layers is 0'],
  ['null', { lr: null }, 'tell.params.lr is null'],
  ['true', { layers: true }, 'tell.params.layers is true'],
  ['no whole number', { layers: 3.4 }, 'tell.params.layers is 3.4'],
  ['between two steps', { drop: 0.25 }, 'tell.params.drop is 0.25'],
  ['a text', { bs: '16' }, 'tell.params.bs is "16"'],
  ['another constant', { data: 'mnist' }, 'tell.params.data is "mnist"'],
  ['missing', { lr: undefined }, 'tell.params.lr is missing'],
])('a point of one’s own whose value is %s is an error, not another point', (_, change, words) => {
  const params = { lr: 0.0123456789, layers: 3, drop: 0.3, bs: 16, ...change };
  const { answers, session } = talk(openAskTell(OWN), [{ tell: { params, value: 1 } }]);
  expect(answers[0]?.[0]?.error).toContain(words);
  expect(session.trials).toEqual([]);
});

test('a point of one’s own that is one of the space is taken, constants being understood', () => {
  const params = { lr: 0.01, layers: 3, drop: 0.30000000000000004, bs: 16 };
  const { answers } = talk(openAskTell(OWN), [{ tell: { params, value: 1 } }, { best: true }]);
  expect(answers).toEqual([[], [{ best: { id: 1, params: { ...params, drop: 0.3, data: 'cifar' }, value: 1 } }]]);
});

test('a line with two wishes is an error, since one of them would be lost', () => {
  const { answers, session } = talk(openAskTell(space), [{ ask: 1 }, { ask: 1, tell: { id: 1, value: 1 } }]);
  expect(answers[1]).toEqual([{ error: 'The message has ask and tell, of which only one can be answered. Send two lines.' }]);
  expect(session.trials).toHaveLength(1);
});

test('best of several objectives tells the front', () => {
  const objectives = [
    { metric: 'a', direction: 'minimize', reduce: 'result' },
    { metric: 'b', direction: 'maximize', reduce: 'result' },
  ] as const;
  const values = [
    [1, 1],
    [2, 3],
    [3, 2],
    [0.5, 0.1],
    [4, 9],
  ];
  const tells = values.map((value, at) => ({ tell: { id: at + 1, value, ...(at === 4 ? { state: 'pruned' } : {}) } }));
  const { answers } = talk(openAskTell(space, { objectives }), [{ best: true }, { ask: 5 }, ...tells, { best: true }]);
  expect(answers[0]).toEqual([{ best: null, front: [] }]);
  const [last] = answers.at(-1) as { best: { id: number; values: number[] }; front: { id: number }[] }[];
  expect(last?.best).toMatchObject({ id: 4, values: [0.5, 0.1] });
  expect(last?.front.map(({ id }) => id)).toEqual([1, 2, 4]);
});

const MEMORY = [{ metric: 'peak_memory_gb', op: '<=', bound: 40 }] as const;

test('a trial that breaks a condition on metrics, or does not tell the metric, is never the best', () => {
  const { answers, session } = talk(openAskTell(space, { metricConstraints: MEMORY }), [
    { ask: 5 },
    { tell: { id: 1, value: 0.1, metrics: { peak_memory_gb: 64 } } },
    { tell: { id: 2, value: 0.2 } },
    '{"tell": {"id": 3, "value": 0.3, "metrics": {"peak_memory_gb": NaN, "seconds": 5}}}',
    { best: true },
    { tell: { id: 4, value: 9, step: 1, state: 'running', metrics: { peak_memory_gb: 39 } } },
    { tell: { id: 4, value: 0.5 } },
    { tell: { params: { lr: 0.001, momentum: 0.9, units: 64, layers: 2, dropout: 0.1 }, value: 0.6, metrics: { peak_memory_gb: 1 } } },
    { best: true },
    { tell: { id: 5, value: 1, metrics: { peak_memory_gb: 'much' } } },
    { tell: { id: 5, value: 1, metrics: [3] } },
  ]);
  expect(answers[4]).toEqual([{ best: null }]);
  expect(answers[8]?.[0]).toMatchObject({ best: { id: 4, value: 0.5 } });
  expect(answers[9]).toEqual([{ error: 'tell.metrics.peak_memory_gb is "much", but must be a number.' }]);
  expect(answers[10]?.[0]?.error).toContain('tell.metrics must be an object');
  expect(session.trials.map(({ constraintValues }) => constraintValues)).toEqual([[64], [Number.NaN], [Number.NaN], [39], undefined, [1]]);
});

test('a condition on the objective itself is read from its value', () => {
  const objectives = ['a', 'b'].map((metric) => ({ metric, direction: 'minimize', reduce: 'result' }) as const);
  const metricConstraints = [{ metric: 'b', op: '>=', bound: 2 }] as const;
  const { answers } = talk(openAskTell(space, { objectives, metricConstraints }), [
    { ask: 3 },
    { tell: { id: 1, value: [0, 1] } },
    { tell: { id: 2, value: [3, 2] } },
    { tell: { id: 3, value: [2, 3] } },
    { best: true },
  ]);
  expect(answers[4]?.[0]).toMatchObject({ best: { id: 3 }, front: [{ id: 2 }, { id: 3 }] });
});

test.each([
  ['auto', 0.2],
  ['tpe', 0.7],
  ['nsga2', 0.8],
] as const)('%s keeps to where conditions on metrics hold', (sampler, share) => {
  // The best loss lies where the condition is broken, and the best that keeps it on its very edge: without it most points would break it.
  const brokenBy = (metricConstraints: typeof MEMORY | undefined) => {
    let session = openAskTell(space, { seed: 2, sampler, ...(metricConstraints ? { metricConstraints } : {}) });
    const broken: boolean[] = [];
    for (let i = 0; i < 60; i++) {
      const asked = answer(session, '{"ask":1}');
      const { id, params } = JSON.parse(asked.lines[0] as string);
      const metrics = { peak_memory_gb: 100 * params.momentum };
      broken.push(metrics.peak_memory_gb > 40);
      session = answer(asked.session, JSON.stringify({ tell: { id, value: 1 - params.momentum + params.dropout, metrics } })).session;
    }
    return broken.slice(30).filter(Boolean).length;
  };
  expect(brokenBy(MEMORY)).toBeLessThan(share * brokenBy(undefined));
});
