import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { bestPoints } from '../../../src/adopt/best-points.ts';
import { chooseEntries, fitToSpace } from '../../../src/adopt/fit-to-space.ts';
import { readCsv, readJsonRecords } from '../../../src/adopt/read-tables.ts';
import { outOf } from '../../../src/cli/adopt.ts';
import type { Objective } from '../../../src/domain/campaign.ts';
import type { Space } from '../../../src/domain/space.ts';
import { toOptunaJournal } from '../../../src/report/optuna.ts';
import { writeReport } from '../../../src/report/write.ts';
import { admitCampaign } from '../../../src/spec/admit.ts';
import type { WarmStartEntry } from '../../../src/spec/warm-start.ts';
import { cli, cliJson } from '../../support/cli.ts';
import { campaignOf, SPEC } from '../report/campaign.ts';

const PYTHON = [process.env.HOLDFAST_TEST_PYTHON, '.cache/python-test/bin/python'].find((file) => file !== undefined && existsSync(file));

let folder: string;
const at = (name: string) => path.join(folder, name);
const earlier = campaignOf(60);
const completed = earlier.rows.filter((row) => row.state === 'completed');

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-adopt-'));
  // The space of test/unit/report/campaign.ts as a user writes it.
  writeFileSync(
    at('next.yaml'),
    `objective: {metric: val_accuracy, direction: maximize}
search_space:
  learning_rate: {type: float, min: 1e-5, max: 0.1, log: true}
  batch_size: {type: ordinal, values: [32, 64, 128, 256]}
  hidden: {type: int, min: 16, max: 256, log: true}
  alpha: {type: float, min: 1e-6, max: 1e-2, log: true}
  activation: {type: categorical, values: [relu, tanh, logistic]}
  dropout: {type: float, min: 0, max: 0.6, when: {activation: relu}}
  solver: {type: constant, value: adam}
training: {command: 'true'}
budget: {trials: 10}
`,
  );
  await writeReport(at('digits-1'), earlier);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const read = (name: string) =>
  readFileSync(at(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as WarmStartEntry);

interface Told {
  readonly adopted: number;
  readonly fitting: number;
  readonly trials: number;
  readonly skipped: readonly { readonly reason: string; readonly count: number }[];
}

describe('holdfast adopt', () => {
  it('takes every completed result of a results folder, once, and the campaign file admits what it wrote', async () => {
    const told = await cliJson<Told>(
      'adopt',
      at('digits-1'),
      at('digits-1/trials.csv'),
      at('digits-1/trials.jsonl'),
      '--into',
      at('next.yaml'),
      '-o',
      at('warm.jsonl'),
    );
    expect(told).toMatchObject({ adopted: completed.length, trials: 180 });
    expect(told.skipped).toEqual([
      { reason: 'the same result stands there twice', count: 2 * completed.length },
      { reason: 'did not run to its end', count: 180 - 3 * completed.length },
    ]);
    expect(read('warm.jsonl')[0]).toEqual({
      params: completed[0]?.params,
      values: { val_accuracy: completed[0]?.values?.[0] },
      from: 'digits-1/trial-0001',
    });
    const spec = await admitCampaign({ ...parse(readFileSync(at('next.yaml'), 'utf8')), warm_start: at('warm.jsonl') }, { env: {} });
    expect(spec.warmStart?.map(({ values }) => values[0])).toEqual(completed.map(({ values }) => values?.[0]));
  });

  it('leaves out what is not in the new space and says why; renames and fixes what the source calls or holds otherwise', async () => {
    const narrow = readFileSync(at('next.yaml'), 'utf8')
      .replace('max: 0.1, log', 'max: 0.01, log')
      .replace('val_accuracy', 'score')
      .replace('hidden:', 'width:');
    writeFileSync(at('narrow.yaml'), narrow.replace('solver:', 'epochs: {type: int, min: 1, max: 100}\n  solver:'));
    const words = ['adopt', at('digits-1'), '--into', at('narrow.yaml'), '-o', at('narrow.jsonl')];
    const refused = await cli(...words, '--rename', 'val_accuracy=score', '--rename', 'hidden=width');
    expect(refused.exit).toBe(1);
    expect(refused.err).toContain('has no epochs (say what it was: --fixed epochs=VALUE)');
    const told = await cliJson<Told>(...words, '--rename', 'val_accuracy=score', '--rename', 'hidden=width', '--fixed', 'epochs=20');
    const inside = completed.filter((row) => (row.params.learning_rate as number) <= 0.01);
    expect(told.adopted).toBe(inside.length);
    expect(told.skipped).toContainEqual({ reason: 'learning_rate is outside the search space', count: completed.length - inside.length });
    expect(read('narrow.jsonl')[0]).toMatchObject({
      params: { epochs: 20, width: inside[0]?.params.hidden },
      values: { score: inside[0]?.values?.[0] },
    });
  });

  it('gives the best points to be tried again instead, and at most --limit results', async () => {
    await cliJson('adopt', at('digits-1'), '--into', at('next.yaml'), '--points', '3', '-o', at('points.yaml'));
    const { enqueue } = parse(readFileSync(at('points.yaml'), 'utf8'));
    const best = [...completed].sort((a, b) => (b.values?.[0] ?? 0) - (a.values?.[0] ?? 0)).slice(0, 3);
    expect(enqueue).toEqual(best.map(({ params }) => params));
    const { adopted, fitting } = await cliJson<Told>('adopt', at('digits-1'), '--into', at('next.yaml'), '-n', '10', '-o', at('ten.jsonl'));
    expect([adopted, fitting]).toEqual([10, completed.length]);
    for (const out of ['/proc/none/some.jsonl', '/proc/some.jsonl']) {
      const refused = await cli('adopt', at('digits-1'), '--into', at('next.yaml'), '-o', out);
      expect(refused).toMatchObject({
        exit: 2,
        err: `--out ${out} cannot be written: nothing can be made there. Name another place. [HF-OUT]\n`,
      });
    }
    // Points must not replace the results that a campaign file may name.
    expect([outOf({}), outOf({ points: 3 }), outOf({ out: 'x', points: 3 })]).toEqual(['warm-start.jsonl', 'points.yaml', 'x']);
    const terminal = await cli('adopt', at('digits-1'), '--into', at('next.yaml'), '-n', '2', '-o', '-');
    expect(terminal.out.trimEnd().split('\n')).toHaveLength(2);
    expect(terminal.err).toContain('2 results of 60 trials');
  });

  it('exits 2 on a wrong campaign file, a wrong option or another direction, 1 on what holds no results', async () => {
    writeFileSync(at('bad.yaml'), readFileSync(at('next.yaml'), 'utf8').replace('min: 1e-5', 'min: 1'));
    writeFileSync(at('loss.yaml'), readFileSync(at('next.yaml'), 'utf8').replace('maximize', 'minimize'));
    writeFileSync(at('text.jsonl'), '{"x": 1}\nhello\n');
    const into = ['--into', at('next.yaml'), '-o', at('none.jsonl')];
    expect(await cli('adopt', at('digits-1'), '--into', at('bad.yaml'))).toMatchObject({
      exit: 2,
      err: expect.stringContaining('min 1 is above max 0.1'),
    });
    expect(await cli('adopt', at('digits-1'), '--into', at('loss.yaml'))).toMatchObject({
      exit: 2,
      err: expect.stringContaining('maximize its objective'),
    });
    expect(await cli('adopt', at('digits-1'), ...into, '--rename', 'x')).toMatchObject({ exit: 2 });
    expect(await cli('adopt', at('digits-1'), ...into, '-n', '5000')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('more than the 1000'),
    });
    expect(await cli('adopt', 'postgresql://host/db', ...into)).toMatchObject({
      exit: 2,
      err: expect.stringContaining('-f json > study.json'),
    });
    expect(await cli('adopt', at('text.jsonl'), ...into)).toMatchObject({
      exit: 1,
      err: expect.stringContaining('text.jsonl:2 is no JSON'),
    });
    expect(existsSync(at('none.jsonl'))).toBe(false);
  });
});

describe('tables of others', () => {
  const target = { space: SPEC.space, objectives: SPEC.objectives, rename: new Map(), fixed: new Map() };
  const point = { learning_rate: 0.01, batch_size: 64, hidden: 32, alpha: 1e-4, activation: 'tanh' };

  it.each([
    ['plain columns', 'learning_rate,batch_size,hidden,alpha,activation,val_accuracy\r\n0.01,64,32,1e-4,tanh,0.9\r\n'],
    [
      'Optuna’s trials_dataframe',
      'number,value,params_learning_rate,params_batch_size,params_hidden,params_alpha,params_activation,state\n0,0.9,0.01,64,32,0.0001,tanh,COMPLETE\n1,0.1,0.02,64,32,0.0001,tanh,PRUNED\n',
    ],
    [
      'Ray Tune’s',
      'trial_id,config/learning_rate,config/batch_size,config/hidden,config/alpha,config/activation,val_accuracy,status\nx,0.01,64,32.0,0.0001,tanh,0.9,TERMINATED\n',
    ],
    [
      'quoted cells with commas and line breaks',
      '"note","learning_rate","batch_size","hidden","alpha","activation","val_accuracy"\n"a, ""b""\nc","0.01","64","32","1e-4","tanh","0.9"\n',
    ],
  ])('are read with %s', (_, csv) => {
    const { entries } = fitToSpace(readCsv(csv, 't.csv').trials, target);
    expect(entries).toMatchObject([{ params: { ...point, solver: 'adam' }, values: { val_accuracy: 0.9 } }]);
  });

  it('say the line they come from, and what is missing', () => {
    const { trials } = readCsv('learning_rate,val_accuracy\n0.01,0.9\n\n0.02,\n', 't.csv');
    expect(trials.map(({ from }) => from)).toEqual(['t.csv:2', 't.csv:4']);
    expect(fitToSpace(trials, target).skipped).toEqual([
      { reason: 'has no batch_size (say what it was: --fixed batch_size=VALUE)', count: 2 },
    ]);
  });

  it('JSON Lines have params and a value, values by metric, or flat records', () => {
    const lines = [
      JSON.stringify({ params: point, value: 0.9 }),
      JSON.stringify({ params: { ...point, hidden: 33 }, values: { val_accuracy: 0.8, other: 1 }, state: 'completed' }),
      JSON.stringify({ ...point, hidden: 34, val_accuracy: 0.7 }),
      JSON.stringify({ params: { ...point, hidden: 35 }, values: null, state: 'failed' }),
      JSON.stringify({ params: { ...point, hidden: 36 }, value: null }),
    ].join('\n');
    const { entries, skipped } = fitToSpace(readJsonRecords(lines, 'x.jsonl').trials, target);
    expect(entries.map(({ params, values }) => [params.hidden, values.val_accuracy])).toEqual([
      [32, 0.9],
      [33, 0.8],
      [34, 0.7],
    ]);
    expect(skipped).toEqual([{ reason: 'did not run to its end', count: 2 }]);
  });

  it('a constant of another value is another experiment', () => {
    const { trials } = readJsonRecords(JSON.stringify({ params: { ...point, solver: 'sgd' }, value: 0.9 }), 'x.jsonl');
    expect(fitToSpace(trials, target).skipped).toEqual([{ reason: 'solver is outside the search space', count: 1 }]);
  });

  it.each([
    ['tabs', 'learning_rate\tbatch_size\thidden\talpha\tactivation\tval_accuracy\n0.01\t64\t32\t1e-4\ttanh\t0.9\n'],
    ['semicolons and decimal commas', 'learning_rate;batch_size;hidden;alpha;activation;val_accuracy\n0,01;64;32;1e-4;tanh;0,9\n'],
    [
      'spaces around the cells',
      ' learning_rate , batch_size, hidden, alpha, activation, val_accuracy\n 0.01, 64, 32, 1e-4, "tanh" , 0.9\n',
    ],
    [
      'whole numbers as pandas writes them beside empty cells',
      'learning_rate,batch_size,hidden,alpha,activation,val_accuracy\n0.01,64.0,32.0,1e-4,tanh,0.9\n',
    ],
  ])('CSV with %s', (_, csv) => {
    const { entries } = fitToSpace(readCsv(csv, 't.csv').trials, target);
    expect(entries).toMatchObject([{ params: { ...point, solver: 'adam' }, values: { val_accuracy: 0.9 } }]);
  });

  it('keep texts that look like numbers or truths, where the space has texts', () => {
    const space: Space = {
      parameters: [
        { name: 'version', type: 'categorical', values: ['3.1', '3.10'] },
        { name: 'word', type: 'categorical', values: ['True', 'False'] },
        { name: 'flag', type: 'categorical', values: [true, false] },
      ],
    };
    const csv = 'version,word,flag,val_accuracy\n3.10,True,True,0.9\n3.1,false,FALSE,0.8\n3.100,True,True,0.7\n';
    const { entries, skipped } = fitToSpace(readCsv(csv, 't.csv').trials, { ...target, space });
    expect(entries.map(({ params }) => params)).toEqual([
      { version: '3.10', word: 'True', flag: true },
      { version: '3.1', word: 'False', flag: false },
    ]);
    expect(skipped).toEqual([{ reason: 'version is outside the search space', count: 1 }]);
  });

  it('Python’s None is the text that stands for it in the space, else what --fixed says', () => {
    const spaceOf = (values: readonly (string | boolean)[]): Space => ({ parameters: [{ name: 'clip', type: 'categorical', values }] });
    const { trials } = readJsonRecords('{"params":{"clip":null},"value":0.9}\n{"params":{},"value":0.8}\n', 't.jsonl');
    const fitted = (values: readonly (string | boolean)[], fixed: ReadonlyMap<string, string> = new Map()) =>
      fitToSpace(trials, { ...target, space: spaceOf(values), fixed });
    expect(fitted(['None', 'norm']).entries.map(({ params }) => params)).toEqual([{ clip: 'None' }]);
    expect(fitted(['none', 'norm'], new Map([['clip', 'norm']])).entries.map(({ params }) => params)).toEqual([
      { clip: 'norm' },
      { clip: 'norm' },
    ]);
    expect(fitted([true, false]).skipped).toEqual([
      { reason: 'clip is null there (say what it was: --fixed clip=VALUE)', count: 1 },
      { reason: 'has no clip (say what it was: --fixed clip=VALUE)', count: 1 },
    ]);
  });

  it('values on a step are written as we write them, so that no sampler tries their point again; others are left out', () => {
    const space: Space = { parameters: [{ name: 'drop', type: 'float', min: 0, max: 0.5, step: 0.1 }] };
    const csv = `drop,val_accuracy\n${0.1 + 0.2},0.9\n0.35,0.8\n`;
    const { entries, skipped } = fitToSpace(readCsv(csv, 't.csv').trials, { ...target, space });
    expect(entries.map(({ params }) => params.drop)).toEqual([0.3]);
    expect(skipped).toEqual([{ reason: 'drop is outside the search space', count: 1 }]);
  });

  it.each([
    ['two columns of one name', 'lr,lr,val_accuracy\n1,2,3\n', 't.csv has two columns "lr"'],
    ['a comma that nobody quoted', 'lr,val_accuracy\n1,2\n1,2,3\n', 't.csv:3 has 3 cells, but the head names 2'],
    ['a head only', 'lr,val_accuracy\n', 't.csv has a head, but no line below it'],
  ])('CSV with %s is refused instead of read wrongly', (_, csv, words) => {
    expect(() => readCsv(csv, 't.csv')).toThrow(words);
  });

  it('JSON as Python writes it, as a list, with metrics beside the parameters, with Ray Tune’s word', () => {
    const lines = [
      JSON.stringify({ params: point, val_accuracy: 0.9 }),
      JSON.stringify({ params: { ...point, hidden: 33 }, metrics: { val_accuracy: 0.8 } }),
      JSON.stringify({ config: { ...point, hidden: 34 }, val_accuracy: 0.7 }),
      JSON.stringify({ params: { ...point, hidden: 35 }, values: { 0: 0.6 }, state: 'COMPLETE' }),
      JSON.stringify({ params: { ...point, hidden: 36 }, value: 'NaN' }).replace('"NaN"', 'NaN'),
    ];
    for (const text of [lines.join('\n'), `[${lines.join(', ')}]`]) {
      const { entries, skipped } = fitToSpace(readJsonRecords(text, 'x.json').trials, target);
      expect(entries.map(({ params, values }) => [params.hidden, values.val_accuracy])).toEqual([
        [32, 0.9],
        [33, 0.8],
        [34, 0.7],
        [35, 0.6],
      ]);
      expect(skipped).toEqual([{ reason: 'did not run to its end', count: 1 }]);
    }
  });

  it('the best points keep the conditions on metrics, come once each, and are those of the front', () => {
    const entry = (x: number, a: number, b: number, mem: number): WarmStartEntry => ({
      params: { x },
      values: { a, b },
      metrics: { mem },
      from: 'x',
    });
    const entries = [entry(1, 0.99, 9, 50), entry(2, 0.9, 3, 5), entry(2, 0.89, 3, 5), entry(3, 0.8, 5, 5), entry(4, 0.5, 1, 5)];
    const metricConstraints = [{ metric: 'mem', op: '<=', bound: 10 }] as const;
    const a = { metric: 'a', direction: 'maximize', reduce: 'result' } as const;
    const b = { metric: 'b', direction: 'minimize', reduce: 'result' } as const;
    const xs = (objectives: readonly Objective[], count: number) =>
      bestPoints(entries, { objectives, metricConstraints }, count).map(({ params }) => params.x);
    expect(xs([a], 9)).toEqual([2, 3, 4, 1]);
    expect(xs([a, b], 2)).toEqual([2, 4]);
  });

  it('of more than --limit the best half stays, and a spread of the rest', () => {
    const entries = Array.from({ length: 100 }, (_, i): WarmStartEntry => ({ params: { x: i }, values: { val_accuracy: (i * 37) % 100 } }));
    const chosen = chooseEntries(entries, SPEC.objectives, 20).map(({ values }) => values.val_accuracy as number);
    expect(chosen.filter((value) => value >= 90)).toHaveLength(10);
    const rest = chosen.filter((value) => value < 90).sort((a, b) => a - b);
    expect(rest).toEqual([4, 13, 22, 31, 40, 49, 58, 67, 76, 85]);
  });
});

/** Two studies in each storage; the first has every kind of parameter and every state. */
const MAKE = `
import sys, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
optuna.logging.set_verbosity(optuna.logging.ERROR)
import warnings; warnings.simplefilter("ignore")
def objective(trial):
    trial.suggest_float("learning_rate", 1e-5, 0.1, log=True)
    trial.suggest_categorical("batch_size", [32, 64, 128, 256])
    trial.suggest_int("hidden", 16, 256, log=True)
    trial.suggest_float("alpha", 1e-6, 1e-2, log=True)
    if trial.suggest_categorical("activation", ["relu", "tanh", "logistic"]) == "relu":
        trial.suggest_float("dropout", 0, 0.6)
    if trial.number == 3: raise optuna.TrialPruned()
    if trial.number == 5: raise ValueError("no")
    return 0.5 + trial.number / 100
for storage in ("sqlite:///" + sys.argv[1], JournalStorage(JournalFileBackend(sys.argv[2]))):
    study = optuna.create_study(storage=storage, study_name="mine", direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_metric_names(["val_accuracy"])
    study.optimize(objective, n_trials=12, catch=(ValueError,))
    study.ask()
    other = optuna.create_study(storage=storage, study_name="other", direction="minimize")
    other.add_trial(optuna.trial.create_trial(params={}, distributions={}, value=1.0))
`;

const MAKE_TWO = `
import optuna, sys
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
optuna.logging.set_verbosity(optuna.logging.ERROR)
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.set_user_attr("peak_memory_gb", 30.5 + trial.number)
    trial.set_user_attr("host", "n1")
    trial.set_user_attr("amp", True)
    return (float("inf") if trial.number == 1 else x, 1 - x)
for storage in ("sqlite:///" + sys.argv[1], JournalStorage(JournalFileBackend(sys.argv[2]))):
    study = optuna.create_study(storage=storage, study_name="two", directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_metric_names(["loss", "val_accuracy"])
    study.optimize(objective, n_trials=3)
`;

describe.runIf(PYTHON)('studies of Optuna', () => {
  it('are read from SQLite and from a journal alike: finished trials, categories as they are', async () => {
    execFileSync(PYTHON as string, ['-c', MAKE, at('study.db'), at('journal.log')]);
    const told: WarmStartEntry[][] = [];
    for (const [source, out] of [
      [at('study.db'), 'a.jsonl'],
      [`sqlite:///${at('study.db')}`, 'b.jsonl'],
      [at('journal.log'), 'c.jsonl'],
    ] as const) {
      const words = ['adopt', source, '--into', at('next.yaml'), '-o', at(out)];
      expect(await cli(...words)).toMatchObject({
        exit: 1,
        err: expect.stringContaining('holds 2 studies. Name one: --study (mine, other)'),
      });
      expect(await cli(...words, '--study', 'other')).toMatchObject({ exit: 2, err: expect.stringContaining('minimize its objective') });
      expect(await cliJson<Told>(...words, '--study', 'mine')).toMatchObject({
        adopted: 10,
        trials: 13,
        skipped: [{ reason: 'did not run to its end', count: 3 }],
      });
      told.push(read(out));
    }
    expect(told[1]).toEqual(told[0]);
    // The same seed in both storages: the same points.
    expect(told[2]).toEqual(told[0]);
    expect(told[0]?.map(({ values }) => Number(values.val_accuracy?.toFixed(9)))).toEqual([
      0.5, 0.51, 0.52, 0.54, 0.56, 0.57, 0.58, 0.59, 0.6, 0.61,
    ]);
    expect(told[0]?.every(({ params }) => [32, 64, 128, 256].includes(params.batch_size as number) && params.solver === 'adam')).toBe(true);
    expect(told[0]?.some(({ params }) => params.activation === 'relu' && typeof params.dropout === 'number')).toBe(true);
  });

  it('with an infinite value, with objectives in another order, and as `optuna trials -f json` exports them, are the same results', async () => {
    execFileSync(PYTHON as string, ['-c', MAKE_TWO, at('two.db'), at('two.log')]);
    const optuna = path.join(path.dirname(PYTHON as string), 'optuna');
    const json = execFileSync(optuna, ['trials', '--storage', `sqlite:///${at('two.db')}`, '--study-name', 'two', '-f', 'json'], {
      stdio: 'pipe',
    });
    writeFileSync(at('two.json'), json);
    writeFileSync(
      at('x.yaml'),
      readFileSync(at('next.yaml'), 'utf8').replace(
        /search_space:[\s\S]*?training:/,
        'metric_constraints: ["peak_memory_gb <= 40"]\nsearch_space:\n  x: {type: float, min: 0, max: 1}\ntraining:',
      ),
    );
    const told: unknown[] = [];
    for (const name of ['two.db', 'two.log', 'two.json']) {
      await cliJson('adopt', at(name), '--into', at('x.yaml'), '-o', at('x.jsonl'));
      told.push(read('x.jsonl').map(({ params, values, metrics }) => ({ params, values, metrics })));
    }
    expect(told[0]).toHaveLength(3);
    // What was noted with a trial and the campaign has a condition on.
    expect((told[0] as WarmStartEntry[]).map(({ metrics }) => metrics)).toEqual(
      [30.5, 31.5, 32.5].map((peak_memory_gb) => ({ peak_memory_gb })),
    );
    expect(told[1]).toEqual(told[0]);
    expect(told[2]).toEqual(told[0]);
    writeFileSync(
      at('two.csv'),
      'number,values_loss,values_val_accuracy,params_x,user_attrs_peak_memory_gb,state\n0,0.3,0.7,0.3,30.5,COMPLETE\n',
    );
    await cliJson('adopt', at('two.csv'), '--into', at('x.yaml'), '-o', at('x.jsonl'));
    expect(read('x.jsonl')).toMatchObject([{ params: { x: 0.3 }, metrics: { peak_memory_gb: 30.5 } }]);
    // Of the same name and the other direction.
    writeFileSync(
      at('y.yaml'),
      readFileSync(at('x.yaml'), 'utf8').replace('metric: val_accuracy, direction: maximize', 'metric: loss, direction: maximize'),
    );
    expect(await cli('adopt', at('two.db'), '--into', at('y.yaml'))).toMatchObject({
      exit: 2,
      err: expect.stringContaining('minimize its objective'),
    });
  });

  it('our own export is adopted as the campaign itself', async () => {
    writeFileSync(at('own.log'), toOptunaJournal(earlier));
    await cliJson('adopt', at('own.log'), '--into', at('next.yaml'), '-o', at('own.jsonl'));
    await cliJson('adopt', at('digits-1'), '--into', at('next.yaml'), '-o', at('folder.jsonl'));
    const bare = (name: string) => read(name).map(({ params, values }) => ({ params, values }));
    expect(bare('own.jsonl')).toEqual(bare('folder.jsonl'));
  });
});
