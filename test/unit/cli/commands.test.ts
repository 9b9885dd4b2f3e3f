import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ServiceError } from '@temporalio/client';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { trialArgument } from '../../../src/cli/campaigns.ts';
import { budgetOf, pointOf, withConstants } from '../../../src/cli/change-commands.ts';
import { CliError, EXIT_CODES } from '../../../src/cli/exit-codes.ts';
import { PRESETS } from '../../../src/cli/init-presets.ts';
import { program } from '../../../src/cli/program.ts';
import { overridden } from '../../../src/cli/start-commands.ts';
import { bestRows, exampleLines, failureGroups, frontLine } from '../../../src/cli/table-commands.ts';
import { told } from '../../../src/cli/told-errors.ts';
import { admitText } from '../../../src/spec/admit.ts';
import { DriverError } from '../../../src/systems/driver.ts';
import { cli, cliJson, startCli } from '../../support/cli.ts';
import { completed, failed } from '../view/rows.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const io = { env: {}, input: process.stdin, output: process.stdout, errors: process.stderr, interrupted: new AbortController().signal };
const leaves = (command: Command): Command[] => (command.commands.length === 0 ? [command] : command.commands.flatMap(leaves));

describe('the command line', () => {
  const all = program(io, () => undefined);
  const named = new Map(leaves(all).map((command) => [command.name(), command]));

  it('has every command that the README lists, and the README lists every command', async () => {
    const readme = await readFile('README.md', 'utf8');
    const table = readme.slice(readme.indexOf('## Commands'), readme.indexOf('## Exit status'));
    const told = new Set(
      [...table.matchAll(/^\| (.*?) \|/gm)].flatMap((row) => [...(row[1] ?? '').matchAll(/`([a-z-]+)/g)].map((match) => match[1])),
    );
    expect([...new Set(all.commands.map((command) => command.name()))].filter((name) => !told.has(name))).toEqual([]);
    expect([...told].filter((name) => !all.commands.some((command) => command.name() === name))).toEqual([]);
  });

  it('takes --json everywhere but where a program of others speaks', () => {
    const without = [...named.values()]
      .filter((command) => !command.options.some((option) => option.long === '--json'))
      .map((command) => command.name());
    // Of `endpoint`: they pass on what globus-compute-endpoint prints.
    expect(without.sort()).toEqual(
      ['init', 'logs', 'render', 'restart', 'start', 'stop', 'validate'].filter((name) => without.includes(name)),
    );
  });

  it('shows the exit table of the code in its help and in the README', async () => {
    const { out } = await cli('--help');
    const readme = await readFile('README.md', 'utf8');
    for (const { status, meaning } of Object.values(EXIT_CODES)) {
      expect(out).toContain(`  ${status}  ${meaning}`);
      expect(readme).toContain(`| ${status} | ${meaning} |`);
    }
  });

  it('tells errors of each kind with their exit', () => {
    const exits = [
      [new CliError('budgetSpent', 'X', 'x'), 4],
      [new DriverError('needs_login', 'X', 'x'), 3],
      [new DriverError('transport', 'X', 'x'), 5],
      [new DriverError('refused', 'X', 'x'), 1],
      [new TypeError('x'), 1],
    ] as const;
    for (const [error, status] of exits) expect(EXIT_CODES[told(error).exit].status).toBe(status);
    expect(told(new TypeError('x')).isUnexpected).toBe(true);
    const silent = (details: string) =>
      told(new ServiceError('Failed to query Workflow', { cause: { code: 4, details } as unknown as Error }));
    expect(silent('query timed out before a worker could process it')).toMatchObject({ exit: 'unreachable', code: 'HF-NO-WORKER' });
    expect(silent('context deadline exceeded')).toMatchObject({ exit: 'unreachable', code: 'HF-TEMPORAL-UNREACHABLE' });
  });
});

describe('wrong usage', () => {
  it('is told with its code and with the help that lists what there is', async () => {
    expect((await cli('stauts')).err).toBe(
      "unknown command 'stauts'\n(Did you mean status?) [HF-USAGE]\n(holdfast --help lists the commands)\n",
    );
    expect((await cli('set', 'concurency', 'x', '8')).err).toContain('(holdfast set --help lists the commands)');
    expect((await cli('endpoint', 'logs')).err).toContain('[HF-USAGE]\n(holdfast endpoint logs --help lists its options)');
    expect((await cli('ask-tell')).err).toContain("option '--space <file>' not specified [HF-USAGE]");
  });

  it('an option is no value of the one before: `export --csv --json` writes no file of the name --json', async () => {
    const run = await cli('export', 'digits-1', '--csv', '--json');
    expect(run.exit).toBe(2);
    expect(JSON.parse(run.out)).toMatchObject({ error: { code: 'HF-USAGE', message: expect.stringContaining('its value is missing') } });
    expect((await cli('trials', '--limit', '--state')).err).toContain('its value is missing');
    // A file may well be called like an option of another command.
    expect((await cli('validate', '--', '--csv')).err).toContain('--csv is not there');
  });

  it('a port that no computer has is refused before anything starts', async () => {
    for (const words of [
      ['--port', '99999'],
      ['--ui-port', '0'],
    ])
      expect(await cli('dev', ...words)).toMatchObject({ exit: 2, err: expect.stringContaining('is no port: 1 to 65535. [HF-USAGE]') });
  });

  it('of a file that is not there it says where was looked, in the words of who typed it', async () => {
    for (const words of [
      ['validate', 'nowhere/none.yaml'],
      ['plan', 'nowhere/none.yaml'],
      ['ask-tell', '--space', 'nowhere/none.yaml'],
    ]) {
      const { err, exit } = await cli(...words);
      expect(exit).toBe(2);
      expect(err).toContain(`nowhere/none.yaml is not there (looked in ${process.cwd()})`);
      expect(err).not.toMatch(/ENOENT|worker/);
    }
  });
});

describe('what the command line says over the file', () => {
  it('stands where the file has its own value, also in the guide’s block', () => {
    expect(overridden({ budget: { trials: 9, wall_time: '1h' }, concurrency: 4 }, { trials: 2, concurrency: 1 })).toEqual({
      budget: { trials: 2, wall_time: '1h' },
      concurrency: 1,
    });
    expect(overridden({ globus_compute: { enabled: true, parallel_jobs: { max_concurrent: 12 } } }, { concurrency: 3 })).toEqual({
      globus_compute: { enabled: true, parallel_jobs: { max_concurrent: 3 } },
      concurrency: 3,
    });
    expect(overridden({ name: 'x' }, {})).toEqual({ name: 'x' });
  });
});

describe('what people type', () => {
  it.each([
    [['digits-1', '7'], { campaign: 'digits-1', number: 7 }],
    [['digits-1/trial-0007'], { campaign: 'digits-1', number: 7 }],
    [['a/b/12'], { campaign: 'a/b', number: 12 }],
    [['7'], { number: 7 }],
    [['x', 'trial-12345'], { campaign: 'x', number: 12345 }],
  ])('%j names a trial', (words, meant) => {
    expect(trialArgument(words[0] as string, words[1])).toEqual(meant);
  });

  it.each(['digits-1', 'x/0', 'x/-3', 'x/trial-', ''])('"%s" names none', (word) => {
    expect(() => trialArgument(word)).toThrow(/names no trial/);
  });

  it('what was typed in place of a trial stands in the example', () => {
    expect(() => trialArgument('digits-2')).toThrow('as in `digits-2 7` or `digits-2/trial-0007`');
    expect(() => trialArgument('digits-2', 'last')).toThrow('"last" names no trial. Write its number, as in `digits-2 7`');
  });

  it.each(['a b', '', '-x', 'a;b', "it's"])('--id "%s", which a shell would take apart, is refused before anything starts', async (id) => {
    const { exit, err } = await cli('run', 'config/campaigns/digits.yaml', `--id=${id}`);
    expect([exit, err]).toEqual([
      2,
      expect.stringMatching(/^--id .* is no id\. Use letters, digits, "\.", "_" and "-", like digits-1\. \[HF-USAGE\]/),
    ]);
  });

  it('a point is read as YAML scalars, and constants need not be typed', () => {
    expect(pointOf(['lr=1e-3', 'model=resnet18', 'amp=true', 'name=a=b'])).toEqual({
      lr: 0.001,
      model: 'resnet18',
      amp: true,
      name: 'a=b',
    });
    expect(() => pointOf(['lr'])).toThrow(/no name=value pair/);
    expect(() => pointOf(['lr=[1]'])).toThrow(/a number, a text/);
    expect(() => pointOf([])).toThrow(/No point was given/);
    const constant = { type: 'constant', name: 'solver', value: 'adam' } as const;
    expect(withConstants({ lr: 1 }, [constant, { ...constant, name: 'other', when: { a: [1] } }])).toEqual({ solver: 'adam', lr: 1 });
    expect(withConstants({ solver: 'sgd' }, [constant])).toEqual({ solver: 'sgd' });
  });

  it('a budget is read with its units; what is no limit is refused', () => {
    expect(budgetOf({ trials: '80', wall: '90m', nodeHours: '1.5', until: '2030-01-01T00:00:00Z' })).toEqual({
      trials: 80,
      wallSeconds: 5400,
      nodeHours: 1.5,
      deadline: '2030-01-01T00:00:00.000Z',
    });
    for (const bad of [{ trials: '0' }, { trials: '1.5' }, { wall: 'soon' }, { nodeHours: '-1' }, { until: 'tomorrow' }, {}])
      expect(() => budgetOf(bad)).toThrow(CliError);
  });
});

describe('holdfast errors', () => {
  it('groups failures by class, the worst first, with at most three examples', () => {
    const rows = [
      completed(1, 0.5),
      ...Array.from({ length: 5 }, (_, index) => failed(index + 2)),
      failed(7, { failure: { class: 'environment_error', message: 'No module named torch', stage: 'imports' } }),
    ];
    expect(failureGroups(rows)).toMatchObject([
      { class: 'environment_error', severity: 'critical', count: 1, stages: ['imports'] },
      { class: 'not_finite', count: 5, examples: [{ number: 2 }, { number: 3 }, { number: 4 }] },
    ]);
    expect(failureGroups([completed(1, 0.5)])).toEqual([]);
    expect(exampleLines([...(failureGroups(rows)[1]?.examples ?? []), { number: 9, message: 'loss is inf.' }])).toEqual([
      '  trials 2, 3, 4: val_loss is NaN at epoch 3.',
      '  trial 9: loss is inf.',
    ]);
  });
});

describe('holdfast best', () => {
  it('lists the front of several objectives, and nothing that breaks a constraint', () => {
    const score = { metric: 'score', direction: 'maximize', reduce: 'result' } as const;
    const seconds = { metric: 'seconds', direction: 'minimize', reduce: 'result' } as const;
    const rows = [completed(1, 0, { values: [0.9, 100] }), completed(2, 0, { values: [0.5, 10] }), completed(3, 0, { values: [0.4, 20] })];
    expect(bestRows(rows, { objectives: [score, seconds] }, 5).map((row) => row.number)).toEqual([1, 2]);
    // The corner lies a tenth of the span beyond the worst: score 0.35, 109 seconds.
    expect(frontLine(rows, { objectives: [score, seconds] })).toEqual([
      'front of 2 trials, hypervolume 18.45 up to score 0.3500, seconds 109.0',
    ]);
    expect(frontLine(rows, { objectives: [score, seconds] }, 1)[0]).toContain('front of 2 trials (1 shown; -n 2 shows all), hypervolume');
    expect(frontLine(rows, { objectives: [score] })).toEqual([]);
    expect(bestRows(rows, { objectives: [score] }, 2).map((row) => row.number)).toEqual([1, 2]);
    const heavy = [completed(1, 0.9, { constraintValues: [50] }), completed(2, 0.5, { constraintValues: [30] })];
    const metricConstraints = [{ metric: 'gb', op: '<=', bound: 40 }] as const;
    expect(bestRows(heavy, { objectives: [score], metricConstraints }, 2).map((row) => row.number)).toEqual([2]);
  });
});

describe('holdfast init', () => {
  it('writes a file that validate accepts, for every preset, and keeps one that is there', async () => {
    for (const preset of Object.keys(PRESETS)) {
      const file = path.join(folder, `${preset}.yaml`);
      expect((await cli('init', file, '--preset', preset)).exit).toBe(0);
      const text = await readFile(file, 'utf8');
      expect(admitText(text, file, { env: {} }).name).toBe(preset);
      // What the guide of the search advises is what a first file has.
      expect(admitText(text, file, { env: {} }).sampler.type).toBe('auto');
      const again = await cli('init', file, '--preset', preset);
      expect(again).toMatchObject({ exit: 1 });
      expect(again.err).toContain('is there already and was kept');
    }
    expect(await cli('init', path.join(folder, 'x.yaml'), '--preset', 'qick')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('Did you mean "quick"?'),
    });
  });

  it('into a place where nothing can be written says why and exits with 2, with --force too', async () => {
    const file = path.join(folder, 'a-file.yaml');
    await writeFile(file, 'kept\n');
    const places = {
      [path.join(folder, 'no-folder', 'x.yaml')]: 'The folder of PLACE does not exist. Make it first. [HF-INIT]',
      [path.join(file, 'x.yaml')]: 'PLACE cannot be written: a file stands where a folder would have to be. Name another place. [HF-INIT]',
      [folder]: 'PLACE cannot be written: that is a folder, no file. Name another place. [HF-INIT]',
      [path.join(folder, 'x'.repeat(300))]: 'PLACE cannot be written: the name is too long. Name another place. [HF-INIT]',
      ...(process.platform === 'linux'
        ? { '/proc/x.yaml': 'PLACE cannot be written: nothing can be made there. Name another place. [HF-INIT]' }
        : {}),
    };
    for (const [place, words] of Object.entries(places))
      for (const force of [[], ['--force']])
        expect(await cli('init', place, ...force)).toMatchObject({ exit: 2, err: `${words.replace('PLACE', place)}\n` });
    expect(await readFile(file, 'utf8')).toBe('kept\n');
  });

  it('names the code that ships with Holdfast so that it is found from another folder', async () => {
    const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder);
    try {
      const file = path.join(folder, 'elsewhere.yaml');
      expect((await cli('init', file, '--preset', 'digits')).exit).toBe(0);
      expect((await cli('validate', file)).out).not.toContain('WARN');
    } finally {
      cwd.mockRestore();
    }
  });

  it('takes the system of a preset, and refuses an option that would have no effect', async () => {
    const file = path.join(folder, 'aurora.yaml');
    const answers = ['--system', 'aurora', '--account', 'Project', '--queue', 'debug'];
    expect((await cli('init', file, '--preset', 'quick', ...answers)).exit).toBe(0);
    expect(admitText(await readFile(file, 'utf8'), file, { env: {} }).system).toMatchObject({ name: 'aurora', kind: 'pbs' });
    const refused = await cli('init', path.join(folder, 'other.yaml'), '--preset', 'own', '--endpoint-id', 'x');
    expect(refused).toMatchObject({ exit: 2 });
    expect(refused.err).toContain('--endpoint-id is for the presets quick, standard, thorough only.');
    const thorough = path.join(folder, 'thorough-aurora.yaml');
    expect((await cli('init', thorough, '--preset', 'thorough', ...answers)).exit).toBe(0);
    expect(await readFile(thorough, 'utf8')).toContain('name: aurora');
  });
});

describe('holdfast validate', () => {
  it('needs no server, prints all problems at once and exits 2', async () => {
    const file = path.join(folder, 'bad.yaml');
    await writeFile(file, 'version: 1\nname: x\nobjective: {metric: a, direction: up}\nsearch_space: {}\ntraining: {command: ""}\n');
    const { exit, err } = await startCli(['validate', file]).end();
    expect(exit).toBe(2);
    expect(err).toMatch(/has 4 problems/);
    expect(await cliJson('validate', 'config/campaigns/digits.yaml')).toMatchObject({ valid: true, spec: { name: 'digits' } });
  });
});
