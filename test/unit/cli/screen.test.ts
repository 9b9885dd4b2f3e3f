import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { commandOf } from '../../../src/cli/command-line.ts';
import { painter } from '../../../src/cli/io.ts';
import { withLiveClock } from '../../../src/cli/live-clock.ts';
import { followFile, lastLines } from '../../../src/cli/log-files.ts';
import { reproScript } from '../../../src/cli/repro-script.ts';
import { advance, eventLine, type Scene, screen, sparkline } from '../../../src/cli/screen.ts';
import { noBest } from '../../../src/cli/table-commands.ts';
import { reasons } from '../../../src/cli/trial-commands.ts';
import { bestOf } from '../../../src/domain/campaign-state.ts';
import { quoteCommand } from '../../../src/ssh/quote.ts';
import { brokenMark } from '../../../src/view/ranking.ts';
import { valueMarks } from '../../../src/view/synthetic.ts';
import { trialDetails } from '../../../src/view/trial.ts';
import { displayWidth } from '../../../src/view/width.ts';
import type { CampaignStatus, TrialView } from '../../../workflows/messages.ts';
import { SPEC } from '../report/campaign.ts';
import { completed, failed, START, statusOf } from '../view/rows.ts';

const plain = painter({ env: {}, output: process.stderr });

function scene(change: Partial<Scene> = {}): Scene {
  const rows = [
    ...Array.from({ length: 12 }, (_, index) => completed(index + 1, 0.3 + index / 50)),
    failed(13),
    completed(14, 0, { state: 'queued' }),
  ];
  const known = statusOf(rows);
  const best = { ...known.best, trial: 'trial-0012', params: rows[11]?.params, origin: 'random' };
  const status = { ...known, best, name: 'digits', queuedPoints: 0, tableVersion: 1 } as unknown as CampaignStatus;
  const live = Array.from({ length: 30 }, (_, index) => ({
    trial: `trial-${String(14 + index).padStart(4, '0')}`,
    attempt: 1,
    slot: index,
    run_seconds: 100 - index,
    step: index,
    value: 0.5,
    rungs: [],
    recent: [],
    campaign: 'digits-1',
    pilot: 'digits-1.p1',
  }));
  return { status, rows, live, ...change };
}

describe('the watched screen', () => {
  it.each([80, 140])('keeps to %d columns and to its lines, whatever letters, emoji or line breaks a value holds', (width) => {
    const params = { text: 'zwei\nzeilen \u001b[2J 日本語🚀', more: '日本語'.repeat(40), third: 0.5 };
    const rows = Array.from({ length: 14 }, (_, index) => completed(index + 1, 0.3, { params }));
    const { status, live } = scene();
    const problems = ['the model said:\n\u001b[31m日本語 '.repeat(20)];
    const shown = { ...status, problems, best: { ...status.best, params } } as CampaignStatus;
    const lines = screen({ status: shown, rows, live }, { width, height: 24 }, plain);
    for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
    expect(lines.join('')).not.toMatch(/\p{Cc}/u);
    expect(lines.join('')).toContain('text=zwei\\nzeilen');
  });

  it.each([
    [120, 30],
    [80, 24],
    [40, 10],
  ])('fits %d columns and %d rows, with more trials running than lines', (width, height) => {
    const lines = screen(scene(), { width, height }, plain);
    expect(lines.length).toBeLessThanOrEqual(height);
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(width);
    expect(lines.join('\n')).toMatch(/… and \d+ more/);
  });

  it('shows progress, best, running trials with epoch and metric, and what needs a person', () => {
    const system = {
      login: { kind: 'needs_login', since: START, message: 'The master connection is gone.' },
      name: 'aurora',
      breaker: { open: false, evidence: [] },
    };
    const text = screen(scene({ system: system as unknown as NonNullable<Scene['system']> }), { width: 120, height: 30 }, plain).join('\n');
    expect(text).toMatch(/█+░+ {2}13\/40 trials {2}33 % {2}ETA/);
    expect(text).toContain('best 0.5200 val_accuracy in trial 12');
    expect(text).toMatch(/trial +epoch +val_accuracy +for +slot/);
    expect(text).toMatch(/ 15 +1 +0\.5000 +2 min {2}p1:1/);
    expect(text).toContain('! aurora needs a login: run holdfast login aurora.');
    expect(text).toContain('! 1 trial failed with not_finite');
  });

  it('paints on a terminal only, and never with NO_COLOR or a dumb one', () => {
    const terminal = Object.assign(new Writable(), { isTTY: true });
    expect(painter({ env: {}, output: terminal })('red', 'x')).toBe('\u001b[31mx\u001b[39m');
    expect(painter({ env: { NO_COLOR: '1' }, output: terminal })('red', 'x')).toBe('x');
    expect(painter({ env: { TERM: 'dumb' }, output: terminal })('red', 'x')).toBe('x');
    expect(painter({ env: {}, output: new Writable() })('red', 'x')).toBe('x');
  });

  it('the sparkline never falls, in either direction', () => {
    expect(sparkline([completed(1, 0.1), completed(2, 0.9), completed(3, 0.2)], 'maximize', 10)).toBe('▁██');
    expect(sparkline([completed(1, 0.9), completed(2, 0.1), completed(3, 0.5)], 'minimize', 10)).toBe('▁██');
    expect(sparkline([completed(1, 0.9)], 'minimize', 10)).toBe('');
    expect(
      sparkline(
        Array.from({ length: 500 }, (_, index) => completed(index + 1, index)),
        'maximize',
        20,
      ),
    ).toHaveLength(20);
  });

  it('a line per ended trial counts and remembers the best of that moment', () => {
    const { status } = scene();
    let progress = advance({ ended: 0 }, completed(1, 0.4), 'maximize');
    expect(eventLine(completed(1, 0.4), progress, status)).toBe(
      '06:01:00Z trial 1 completed val_accuracy 0.4000 · best 0.4000 in trial 1 · 1/40',
    );
    progress = advance(progress, failed(2), 'maximize');
    expect(eventLine(failed(2), progress, status)).toBe(
      '06:02:00Z trial 2 failed (not_finite: val_loss is NaN at epoch 3.) · best 0.4000 in trial 1 · 2/40',
    );
  });

  it('says of a trial that breaks a condition on a metric which one, for its value is not the best', () => {
    const status = { ...scene().status, metricConstraints: [{ metric: 'gb', op: '<=', bound: 40 } as const] };
    const heavy = completed(1, 0.9, { constraintValues: [50] });
    expect(eventLine(heavy, advance({ ended: 0 }, heavy, 'maximize', status.metricConstraints), status)).toBe(
      '06:01:00Z trial 1 completed val_accuracy 0.9000 (breaks gb <= 40) · 1/40',
    );
    const silent = completed(2, 0.9, { constraintValues: [Number.NaN] });
    expect(brokenMark(silent, status.metricConstraints)).toBe('(breaks gb <= 40)');
    expect(brokenMark(completed(3, 0.9, { constraintValues: [40] }), status.metricConstraints)).toBeUndefined();
  });
});

describe('the time of a campaign', () => {
  it('that runs is taken now, for its own clock stands still between events; that of one that has ended stays', () => {
    const { status } = scene();
    expect(withLiveClock(status, START + 7_200_000).elapsedSeconds).toBe(7200);
    expect(withLiveClock(status, START).elapsedSeconds).toBe(status.elapsedSeconds);
    expect(withLiveClock({ ...status, phase: 'ended' }, START + 7_200_000).elapsedSeconds).toBe(status.elapsedSeconds);
  });
});

describe('why', () => {
  const view: TrialView = {
    campaign: 'digits-1',
    number: 3,
    params: {},
    origin: 'llm',
    note: 'a wider net',
    state: 'offered',
    attempt: 2,
    attempts: [
      {
        attempt: 1,
        offeredAt: START,
        startedAt: START + 60_000,
        pilot: 'p1',
        slot: 2,
        end: 'failed',
        failure: { class: 'node_failure', message: 'The node died.' },
      },
      { attempt: 2, offeredAt: START + 120_000 },
    ],
    headline: 'waiting for a slot',
  };

  it('tells the chain from the trial up to campaign and system', () => {
    const { status } = scene();
    const lines = reasons(view, { ...status, phase: 'paused', headline: 'paused by the user' }, undefined);
    expect(lines).toEqual([
      'waiting for a slot',
      'proposed by llm: a wider net',
      'attempt 1 on p1, slot 2: started 2026-11-23 06:01 UTC after 1 min of waiting; node_failure: The node died.',
      'attempt 2: not started',
      'the campaign is paused: paused by the user',
      'the system local is not at work: does a worker hold it? holdfast worker --systems local',
    ]);
  });
});

describe('conditions on metrics', () => {
  const metricConstraints = [{ metric: 'gb', op: '<=', bound: 40 }] as const;
  const heavy = completed(1, 0.9, { constraintValues: [64] });
  const light = completed(2, 0.4, { constraintValues: [30] });
  const spec = { ...SPEC, metricConstraints };

  it('decide what the log calls the best so far', () => {
    const first = advance({ ended: 0 }, heavy, 'maximize', metricConstraints);
    expect(first.best).toBeUndefined();
    expect(advance(first, light, 'maximize', metricConstraints).best).toEqual({ number: 2, value: 0.4 });
  });

  it('that no trial keeps are told with the best one, and by `best` instead of it', () => {
    const [best] = bestOf(spec, [heavy], 1);
    expect(best).toMatchObject({ number: 1, infeasible: true });
    expect(valueMarks(best ?? {})).toBe(' (breaks metric_constraints)');
    expect(bestOf(spec, [heavy, light], 2).map(({ number, infeasible }) => [number, infeasible])).toEqual([[2, undefined]]);
    expect(noBest('c', [heavy], metricConstraints)).toBe(
      'c has no completed trial that keeps gb <= 40 (1 completed). See holdfast status c.',
    );
    expect(noBest('c', [failed(1)], metricConstraints)).toBe('c has no completed trial. See holdfast status c.');
  });
});

describe('a trial that early stopping ended', () => {
  const failure = { class: 'cancelled', message: 'Place 4 of 4 at step 1: not among the best 1.' } as const;
  const row = completed(4, 0.4, { state: 'pruned', failure });

  it('is told as stopped early, not as cancelled: in the log, in why, in the details; other ends of it keep their class', () => {
    const { status } = scene();
    expect(eventLine(row, advance({ ended: 0 }, row, 'maximize'), status)).toContain(
      'pruned val_accuracy 0.4000 (early stopping: Place 4 of 4',
    );
    const attempts = [
      { attempt: 1, offeredAt: START, failure: { class: 'node_failure', message: 'The node died.' } },
      { attempt: 2, offeredAt: START, failure },
    ] as const;
    const outcome = { number: 4, state: 'pruned', attempts: 2, runSeconds: 3, finishedAt: START, failure, values: [0.4] } as const;
    const view = {
      campaign: 'c',
      number: 4,
      params: { x: 1 },
      origin: 'sobol',
      state: 'pruned',
      attempt: 2,
      attempts,
      outcome,
      headline: 'pruned',
    } as const;
    for (const text of [reasons(view, status, undefined).join('\n'), trialDetails(view, status.objectives)]) {
      expect(text).toContain('early stopping: Place 4 of 4');
      expect(text.replaceAll('\\', '')).toContain('node_failure: The node died');
      expect(text).not.toMatch(/cancelled/i);
    }
  });
});

describe('repro', () => {
  it('fills placeholders as the agent does, and a shell reads the same words back', () => {
    const words = commandOf(['{python}', '{code}/train.py', '--name={name}', '{{name}}', '{unknown}', '--out', '{out}'], {
      params: { name: 'it\'s; rm -rf $HOME `x` "y"' },
      trial: 'trial-0007',
      python: 'python3',
      code: '/launch/bundle/abc',
    });
    expect(words).toEqual([
      'python3',
      '/launch/bundle/abc/train.py',
      '--name=it\'s; rm -rf $HOME `x` "y"',
      '{name}',
      '{unknown}',
      '--out',
      'repro',
    ]);
    const read = execFileSync('sh', ['-c', `printf '%s\\0' ${quoteCommand(words)}`]).toString();
    expect(read.split('\0').slice(0, -1)).toEqual(words);
  });
});

describe('the script of repro', () => {
  it('runs as the agent runs it: in the folder of the code, wherever it is called and whatever the paths hold', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "holdfast it's "));
    try {
      const code = path.join(folder, 'the code');
      const here = path.join(folder, 'a place');
      for (const each of [code, here]) await mkdir(each);
      await writeFile(path.join(code, 'beside.txt'), 'beside');
      const training = 'cat beside.txt "$HOLDFAST_PARAMS" "$1" > "$2/seen"; echo "$3 $GREETING" >> "$2/seen"';
      const facts = { params: { lr: 0.1 }, trial: 'trial-0007', python: 'python3', env: { GREETING: "it's" }, agentFolder: '/agent' };
      const words = ['sh', '-c', training, 'x', '{params_file}', '{out}', '--out={out}/a b'];
      execFileSync('sh', ['-c', reproScript({ ...facts, command: words, code }).join('\n')], { cwd: here });
      const out = path.join(here, 'repro');
      expect(await readFile(path.join(out, 'seen'), 'utf8')).toBe(`beside{"lr":0.1}\n{"lr":0.1}\n--out=${out}/a b it's\n`);
      // Without code of its own a training runs in the folder of the attempt.
      execFileSync('sh', ['-c', reproScript({ ...facts, command: ['sh', '-c', 'pwd > "$HOLDFAST_OUT/where"'] }).join('\n')], { cwd: here });
      expect(await readFile(path.join(out, 'where'), 'utf8')).toBe(`${out}\n`);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('log files', () => {
  it('the last lines of a file of any size come out whole', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'holdfast-logs-'));
    try {
      const file = path.join(folder, 'stdout.log');
      await writeFile(file, Array.from({ length: 50_000 }, (_, index) => `line ${index}\n`).join(''));
      expect(lastLines(file, 3)).toBe('line 49997\nline 49998\nline 49999\n');
      await writeFile(file, 'one\ntwo');
      expect(lastLines(file, 1)).toBe('two');
      expect(lastLines(file, 10)).toBe('one\ntwo');
      await writeFile(file, '');
      expect(lastLines(file, 10)).toBe('');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('a followed file is printed once, also when it is rotated and when its last lines come with the end', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'holdfast-logs-'));
    const file = path.join(folder, 'stdout.log');
    let text = '';
    const output = new Writable({
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    });
    const steps = [
      () => writeFile(file, 'one\n'),
      () => appendFile(file, 'two\n'),
      async () => {
        await rename(file, `${file}.1`);
        await writeFile(file, 'three\n');
      },
      () => appendFile(file, 'four\n'),
    ];
    let step = 0;
    try {
      await followFile(
        file,
        { env: {}, input: process.stdin, output, errors: output, interrupted: new AbortController().signal },
        async () => {
          const next = steps[step];
          step += 1;
          await next?.();
          return next === undefined || step === steps.length;
        },
      );
      expect(text).toBe('one\ntwo\nthree\nfour\n');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
