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
