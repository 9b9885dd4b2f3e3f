import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withFoldersHere } from '../../src/cli/folders-here.ts';
import type { CampaignSpec } from '../../src/domain/campaign.ts';
import type { TrialRow } from '../../src/domain/trial.ts';
import { admitText } from '../../src/spec/admit.ts';
import { quoteWord } from '../../src/ssh/quote.ts';
import { createLocalDriver } from '../../src/systems/local/driver.ts';
import { defaultPython } from '../../src/systems/local/options.ts';
import type { RunningWorkers } from '../../src/worker.ts';
import type { CampaignStatus, TrialView } from '../../workflows/messages.ts';
import { cli, cliJson, screenOf, startCli } from '../support/cli.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';

/** Reports epochs, prints to both outputs, writes its result; with x of 1 it fails. */
const TRAINING = `
import json, os, sys, time
params = json.load(open(os.environ["HOLDFAST_PARAMS"]))
out = os.environ["HOLDFAST_OUT"]
print("training with", params, flush=True)
with open(os.path.join(out, "metrics.jsonl"), "w") as stream:
    for epoch in range(1, 5):
        time.sleep(params["pause"] / 4)
        stream.write(json.dumps({"epoch": epoch, "score": params["x"] * epoch / 4}) + "\\n")
        stream.flush()
if params["x"] == 1 and not os.path.exists(os.environ.get("MENDED", "none")):
    print("ValueError: x is too large", file=sys.stderr)
    sys.exit(3)
json.dump({"score": params["x"]}, open(os.path.join(out, "results.json"), "w"))
`;

let engine: Engine;
let worker: RunningWorkers;
let folder: string;
const saved = { ...process.env };

async function campaignFile(name: string, change: { trials?: number; pause?: number } = {}): Promise<string> {
  const file = path.join(folder, `${name}.yaml`);
  await writeFile(
    file,
    `version: 1
name: ${name}
system: local
objective: {metric: score, direction: maximize}
search_space:
  x: {type: float, min: 0, max: 1}
  pause: {type: constant, value: ${change.pause ?? 0.1}}
sampler: {type: random, seed: 3}
enqueue: [{x: 1}, {x: 0.85}]
training: {bundle: ${path.join(folder, 'train')}, command: ['{python}', '{code}/train.py'], env: {MENDED: ${path.join(folder, name)}.mended}}
budget: {trials: ${change.trials ?? 6}}
retries: {trial: 0}
limits: {grace_seconds: 1}
working_dirs: {local_base: ${path.join(folder, 'results')}}
`,
  );
  return file;
}

beforeAll(async () => {
  engine = await startEngine();
  folder = engine.folder;
  await mkdir(path.join(folder, 'train'));
  await writeFile(path.join(folder, 'train', 'train.py'), TRAINING);
  process.env.TEMPORAL_ADDRESS = engine.server.address;
  process.env.TEMPORAL_NAMESPACE = 'default';
  worker = await engine.startWorker({ local: createLocalDriver({ name: 'local', slots: 2, stateDirectory: path.join(folder, 'state') }) });
});

afterAll(async () => {
  await engine.close();
  for (const name of ['TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE'] as const) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
});

describe('a campaign from the command line', () => {
  it('runs to its end under a watch of plain lines, and tells the best configuration and where the results lie', async () => {
    const { exit, out } = await cli('run', await campaignFile('plain'), '--watch');
    expect(exit).toBe(0);
    expect(out).toMatch(/trial 1 failed \(exit_code: .*x is too large\)/);
    expect(out).toMatch(/trial 2 completed score 0\.8500 · best 0\.8500 in trial 2 · [12]\/6/);
    expect([...out.matchAll(/ · (\d)\/6$/gm)].map((match) => Number(match[1]))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(out.match(/^.*trial \d+ (completed|failed)/gm)).toHaveLength(6);
    expect(out).toContain('plain-1 completed after');
    const results = /^results: (.*)$/m.exec(out)?.[1] ?? '';
    expect((await readdir(results)).filter((name) => /report|summary|trials\./.test(name)).sort()).toEqual([
      'report.html',
      'summary.json',
      'trials.csv',
      'trials.jsonl',
    ]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no escape sequence may reach a pipe
    expect(out).not.toMatch(/\u001b/);
  });

  it('is told alike by every command, as text and as JSON', async () => {
    const status = await cliJson<CampaignStatus>('status', 'plain-1');
    expect(status).toMatchObject({ campaign: 'plain-1', phase: 'ended', counts: { total: 6, failed: 1, completed: 5 } });
    const rows = await cliJson<TrialRow[]>('trials', 'plain');
    expect(rows).toHaveLength(6);
    const best = await cliJson<{ number: number; values: number[] }[]>('best', 'plain-1', '-n', '2');
    expect(best).toHaveLength(2);
    expect(best[0]?.values[0]).toBe(Math.max(...rows.flatMap((row) => row.values ?? [])));
    expect(best[0]?.number).toBe(status.best?.number);
    expect((await cli('best', 'plain-1', '--config', 'yaml')).out).toMatch(/^x: 0\.\d+\npause: 0\.1\n/);
    expect((await cli('best', 'plain-1', '--config', 'argv')).out).toMatch(/^--x 0\.\d+ --pause 0\.1\n$/);
    const list = await cliJson<{ campaign: string; status: string }[]>('ls');
    expect(list).toMatchObject([{ campaign: 'plain-1', status: 'COMPLETED', best: best[0]?.values[0], done: 6 }]);
    const errors = await cliJson<{ total: number; classes: { class: string }[] }>('errors', 'plain-1');
    expect(errors).toMatchObject({ total: 1, classes: [{ class: 'exit_code', count: 1, examples: [{ number: 1 }] }] });
    for (const command of ['status', 'trials', 'best', 'ls', 'errors']) expect((await cli(command)).exit).toBe(0);
  });

  it('shows a trial’s output, says why it failed and how to run it again', async () => {
    expect((await cli('logs', 'plain-1', '2')).out).toContain("'x': 0.85");
    expect((await cli('logs', 'plain-1/trial-0001', '--stderr')).out).toBe('ValueError: x is too large\n');
    expect((await cli('logs', 'plain-1', '1', '-f', '--stderr')).out).toBe('ValueError: x is too large\n');
    const why = await cli('why', 'plain-1', '1');
    expect(why.out).toContain('exit_code');
    expect(why.out.match(/ValueError: x is too large/g)).toHaveLength(2);
    expect(why.out).not.toContain('not started');
    expect(await cli('trials', 'plain-1', '--state', 'faild')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('Did you mean "failed"?'),
    });
    const { trial } = await cliJson<{ trial: TrialView }>('why', 'plain-1', '2');
    expect(trial.outcome?.values).toEqual([0.85]);
    const script = (await cli('repro', 'plain-1', '2')).out;
    expect(script).toMatch(/python\S* .*\/bundle\/[0-9a-f]{64}\/train\.py/);
    // With the Python that ran it: another one may lack what the training imports.
    expect(script).toContain(`\n${quoteWord(defaultPython())} `);
    execFileSync('sh', ['-c', script], { cwd: folder });
    expect(JSON.parse(await readFile(path.join(folder, 'repro', 'results.json'), 'utf8'))).toEqual({ score: 0.85 });
  });

  it('is reported and exported again from the history alone', async () => {
    const out = path.join(folder, 'again');
    await cliJson('report', 'plain-1', '--out', out);
    const summary = JSON.parse(await readFile(path.join(out, 'summary.json'), 'utf8'));
    expect(summary).toMatchObject({ campaign: 'plain-1', status: 'completed', counts: { total: 6, completed: 5, failed: 1 } });
    const lines = (await readFile(path.join(out, 'trials.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[1]).toMatchObject({ number: 2, values: { score: 0.85 }, slot: expect.any(Number), origin: 'user' });
    expect(lines[1].curve).toHaveLength(4);
    expect((await cli('export', 'plain-1', '--csv', '-')).out.trimEnd().split('\r\n')).toHaveLength(7);
    expect((await cli('export', 'plain-1')).exit).toBe(2);
    for (const [words, option, place] of [
      [['report', 'plain-1', '-o'], '--out', '/proc/none'],
      [['report', 'plain-1', '--out'], '--out', '/proc/none/here'],
      [['export', 'plain-1', '--csv'], '--csv', '/proc/none/trials.csv'],
      [['get', 'plain-1', '2', 'results.json', '-o'], '--out', '/proc/none/'],
    ] as const) {
      const err = `${option} ${place} cannot be written: nothing can be made there. Name another place. [HF-OUT]\n`;
      expect(await cli(...words, place)).toMatchObject({ exit: 2, err });
    }
    const asked = await cliJson<{ parameters: object[] }>('importance', 'plain-1');
    expect(asked.parameters).toMatchObject([{ name: 'x', share: 1 }]);
    expect(await cliJson('importance', out)).toEqual(asked);
    const compared = await cliJson<{ campaigns: { end: object }[]; differences: object[] }>('compare', 'plain-1', out);
    expect(compared.campaigns[0]?.end).toMatchObject({ trials: 6, regret: 0 });
    expect(compared.campaigns[1]).toEqual(compared.campaigns[0]);
    expect(compared.differences).toEqual([]);
    const warm = path.join(folder, 'warm-start.jsonl');
    const adopted = await cliJson('adopt', 'plain-1', '--into', path.join(folder, 'plain.yaml'), '-o', warm);
    expect(adopted).toMatchObject({ adopted: 5, trials: 6, skipped: [{ reason: 'did not run to its end', count: 1 }] });
    const next = path.join(folder, 'warm.yaml');
    await writeFile(next, `${await readFile(path.join(folder, 'plain.yaml'), 'utf8')}warm_start: ${warm}\n`);
    expect((await cli('validate', next)).out).toContain('sampler random with 5 results of earlier campaigns');
  });

  it('began with the points that its plan tells, and the plan starts nothing', async () => {
    const file = path.join(folder, 'plain.yaml');
    const before = await readdir(folder);
    const { points } = await cliJson<{ points: { params: object; origin: string }[] }>('plan', file, '-n', '6');
    expect(points).toEqual(
      (await cliJson<TrialRow[]>('trials', 'plain-1')).map(({ params, origin }) => ({ params: expect.objectContaining(params), origin })),
    );
    expect(await readdir(folder)).toEqual(before);
    expect(await cliJson('ls')).toHaveLength(1);
  });

  it('gives its files: a list, a copy, its words on the terminal', async () => {
    const { files, folder: place } = await cliJson<{ files: { path: string; isHere: boolean }[]; folder: string }>('get', 'plain-1', '2');
    expect(files.map((file) => file.path)).toEqual(expect.arrayContaining(['stdout.log', 'metrics.jsonl', 'results.json']));
    expect(place).toContain('attempt-1');
    const out = path.join(folder, 'taken');
    expect(await cliJson('get', 'plain-1/2', 'results.json', '-o', `${out}/`)).toMatchObject({
      out: path.join(out, 'results.json'),
      bytes: 15,
    });
    expect(JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8'))).toEqual({ score: 0.85 });
    expect((await cli('get', 'plain-1', '1', 'stderr.log', '-o', '-')).out).toBe('ValueError: x is too large\n');
    const none = await cli('get', 'plain-1', '2', 'model.pt');
    expect(none).toMatchObject({ exit: 1, err: expect.stringContaining('has no file model.pt. There is: ') });
    expect(none.err).toContain('[HF-NO-FILE]');
    expect((await cli('get', 'plain-1', '2', '../../launch.json')).exit).toBe(2);
    expect((await cli('get', 'plain-1')).exit).toBe(2);
  });

  it('that has spent its budget cannot be resumed: exit 4', async () => {
    const { exit, err } = await cli('resume', 'plain-1');
    expect(exit).toBe(4);
    expect(err).toMatch(/^plain-1 has ended: .*Start another one with `holdfast run FILE`\. \[HF-BUDGET-SPENT\]\n$/);
  });

  it('that has spent its budget goes on in another one that begins with its results: one command, which set budget names', async () => {
    const { exit, err } = await cli('set', 'budget', 'plain-1', '--trials', '20');
    expect(exit).toBe(4);
    const [, file] = /To go on, start .*`holdfast run (\S+) --from plain-1 --trials N`\. \[HF-BUDGET-SPENT\]/.exec(err) ?? [];
    const started = await cli('run', file ?? '', '--from', 'plain-1', '--trials', '2', '--id', 'more');
    expect(started.out).toMatch(/^more started\. It begins with 5 results of plain-1; its budget is for trials of its own\. /);
    expect(await engine.client.workflow.getHandle('more').result()).toMatchObject({ counts: { total: 2 } });
    const { spec } = await engine.client.workflow.getHandle('more').query<{ spec: CampaignSpec }>('describe');
    expect(spec.warmStart).toHaveLength(5);
    const rowsOf = (id: string) => cliJson<TrialRow[]>('trials', id);
    const results = (await rowsOf('plain-1')).filter(({ state }) => state === 'completed').map(({ params }) => params);
    for (const { params } of await rowsOf('more')) expect(results).not.toContainEqual(params);
    expect((await cli('run', file ?? '', '--from', 'nowhere')).err).toContain('[HF-NO-CAMPAIGN]');
  });

  it('that was terminated is told as such, with the words of who did it', async () => {
    await cli('run', await campaignFile('cut', { trials: 60, pause: 2 }), '--id', 'cut');
    await eventually(async () => (await cliJson<CampaignStatus>('status', 'cut')).inFlight.length > 0);
    await engine.client.workflow.getHandle('cut').terminate('wrong data');
    const { exit, out } = await cli('status', 'cut');
    expect(exit).toBe(0);
    expect(out).toMatch(/^cut {2}terminated .*\nterminated: wrong data; what ran of it is ended by its system\n/);
    expect(await cliJson<CampaignStatus>('status', 'cut')).toMatchObject({ phase: 'ended' });
    expect((await cli('watch', 'cut')).out).toMatch(/cut terminated after .*: wrong data\n/);
    expect((await cli('set', 'budget', 'cut', '--trials', '9')).err).toMatch(
      /^cut has ended: wrong data\. To go on, start another campaign/,
    );
  });

  it('gets the next free number, and an id in use is refused', async () => {
    const file = await campaignFile('plain', { trials: 2 });
    expect(await cliJson('run', file)).toEqual({ campaign: 'plain-2', hasWorker: true, warnings: [] });
    const { exit, err } = await cli('run', file, '--id', 'plain-1');
    expect(exit).toBe(1);
    expect(err).toContain('The campaign id plain-1 is in use (completed).');
    await engine.client.workflow.getHandle('plain-2').result();
    expect(await cliJson('run', file, '--id', 'small', '--trials', '3', '--concurrency', '1')).toMatchObject({ campaign: 'small' });
    await engine.client.workflow.getHandle('small').result();
    expect(await cliJson<CampaignStatus>('status', 'small')).toMatchObject({ budget: { trials: 3 }, concurrency: 1, counts: { total: 3 } });
    for (const option of ['--trials', '--concurrency']) expect((await cli('run', file, option, '0')).exit).toBe(2);
    expect((await cli('status', 'plain')).err).toMatch(/begins 2 campaigns \(plain-2, plain-1\)/);
  });
});

describe('a running campaign', () => {
  it('is paused, fed, changed, resumed and drained; the table agrees', async () => {
    await cli('run', await campaignFile('steered', { trials: 40, pause: 0.4 }), '--id', 'steered');
    await eventually(async () => (await cliJson<CampaignStatus>('status', 'steered')).counts.completed >= 1);
    expect((await cli('pause', 'steered')).out).toMatch(/steered: paused; \d+ in flight go on/);
    expect((await cli('enqueue', 'steered', 'x=0.123')).exit).toBe(0);
    expect((await cli('enqueue', 'steered', 'z=1')).err).toContain('"z" is no parameter of steered. Its parameters: x, pause.');
    expect((await cli('enqueue', 'steered', 'x=7')).exit).toBe(1);
    expect((await cli('set', 'concurrency', 'steered', '0')).exit).toBe(2);
    expect((await cli('set', 'concurrency', 'steered', '1')).out).toContain('at most 1');
    expect((await cli('set', 'budget', 'steered', '--trials', '12', '--wall', '2h')).out).toBe(
      'steered: the budget is now 12 trials, 2 h of wall time\n',
    );
    expect((await cli('set', 'budget', 'steered')).exit).toBe(2);
    await cli('resume', 'steered');
    await eventually(async () =>
      (await cliJson<TrialRow[]>('trials', 'steered')).some((row) => row.params.x === 0.123 && row.state === 'completed'),
    );
    const status = await cliJson<CampaignStatus>('status', 'steered');
    expect(status).toMatchObject({ concurrency: 1, budget: { trials: 12, wallSeconds: 7200 } });
    expect((await cli('drain', 'steered', '--reason', 'enough')).exit).toBe(0);
    const { result } = await cliJson<{ result: { stopReason: string } }>('watch', 'steered').catch(async () => ({
      result: (await engine.client.workflow.getHandle('steered').result()) as { stopReason: string },
    }));
    expect(result.stopReason).toBe('enough');
  });

  it('runs its failed trials again: the same trial, its next attempt, and the best is the new one', async () => {
    await cli('run', await campaignFile('mended', { trials: 40, pause: 0.4 }), '--id', 'mended');
    await eventually(async () => (await cliJson<CampaignStatus>('status', 'mended')).counts.failed === 1);
    expect((await cli('retry', 'mended', '--class', 'walltime')).err).toContain('No trial has failed in this way. [HF-REFUSED]');
    expect((await cli('retry', 'mended', '99')).exit).toBe(1);
    await writeFile(path.join(folder, 'mended.mended'), '');
    expect((await cli('retry', 'mended', '1')).out).toBe('mended: 1 trial again: 1\n');
    const [row] = await eventually(async () => {
      const rows = await cliJson<TrialRow[]>('trials', 'mended');
      return rows[0]?.state === 'completed' && rows;
    });
    expect(row).toMatchObject({ number: 1, attempts: 2, values: [1], note: 'again by the user, after exit_code' });
    expect(row).not.toHaveProperty('failure');
    expect((await cliJson<{ number: number }[]>('best', 'mended'))[0]?.number).toBe(1);
    expect((await cli('why', 'mended', '1')).out).toContain('attempt 2');
    await cli('stop', 'mended', '--yes');
    const result = (await engine.client.workflow.getHandle('mended').result()) as { counts: { failed: number } };
    expect(result.counts.failed).toBe(0);
    const late = await cli('retry', 'mended', '1');
    expect(late.exit).toBe(1);
    expect(late.err).toMatch(/^mended has ended: stopped by the user\. Failed trials run again only while their campaign runs\. /);
    expect(late.err).toContain('`holdfast repro mended 1`');
    expect(late.err).toContain('mended.yaml --from mended`. [HF-ENDED]');
    expect((await cli('enqueue', 'mended', 'x=0.5')).err).toContain(
      'Write the point under `enqueue:` of another campaign that begins with its results',
    );
  });

  it('with --quiet says its id and how it ended, and between them only what needs a person', async () => {
    expect(await cli('run', await campaignFile('hushed', { trials: 4, pause: 2 }), '--id', 'hushed', '--quiet')).toEqual({
      exit: 0,
      out: 'hushed\n',
      err: '',
    });
    const handle = engine.client.workflow.getHandle('hushed');
    const [text, json] = [
      startCli(['watch', 'hushed', '-q'], { terminal: { columns: 80, rows: 24 } }),
      startCli(['watch', 'hushed', '-q', '--json']),
    ];
    await handle.executeUpdate('pause');
    await handle.signal('systemNotice', { topic: 'breaker', text: 'submission is stopped after three failures' });
    await eventually(() => text.errorsSoFar().includes('submission is stopped') && json.errorsSoFar() !== '');
    await handle.signal('systemNotice', { topic: 'breaker' });
    await handle.executeUpdate('resume');
    const { exit, out, err } = await text.end();
    expect(exit).toBe(0);
    expect(out).toMatch(/^\nhushed completed after .*\n3 trials completed, 1 failed/);
    expect(err).toBe('submission is stopped after three failures\n');
    expect(JSON.parse((await json.end()).out)).toMatchObject({ event: 'end', kind: 'result' });
  });

  it('tells by a command what was asked for, and a way that fails ends nothing', async () => {
    const file = await campaignFile('told', { trials: 6 });
    const notes = path.join(folder, 'notes');
    const notify = `notify:\n  - {command: [tee, -a, ${notes}]}\n  - {webhook: env:NO_SUCH_HOOK, on: [first-result, done]}\n`;
    await writeFile(file, `${await readFile(file, 'utf8')}${notify}`);
    await cli('run', file, '--id', 'told');
    const result = (await engine.client.workflow.getHandle('told').result()) as { status: string };
    expect(result.status).toBe('completed');
    const told = (await readFile(notes, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; campaign: string; text: string });
    expect(told.filter(({ event }) => event === 'first-result')).toHaveLength(1);
    expect(told.filter(({ event }) => event === 'best').length).toBeLessThanOrEqual(1);
    expect(told.at(-1)).toMatchObject({ campaign: 'told', event: 'done', text: expect.stringMatching(/^completed: All 6 trials/) });
  }, 120_000);

  it('is watched on a terminal: frames fit, Ctrl-C leaves the view and not the campaign; stop asks first', async () => {
    await cli('run', await campaignFile('watched', { trials: 60, pause: 2 }), '--id', 'watched');
    const view = startCli(['watch', 'watched'], { terminal: { columns: 90, rows: 20 }, env: { NO_COLOR: '1' } });
    await eventually(() => /epoch/.test(view.soFar()) && /trial {2,}/.test(view.soFar()), 90);
    const frame = screenOf(view.soFar());
    expect(Math.max(...frame.map((line) => [...line].length))).toBeLessThanOrEqual(90);
    expect(frame.length).toBeLessThanOrEqual(20);
    expect(frame.join('\n')).toMatch(/[█░]+ {2}\d+\/60 trials/);
    expect(frame.join('\n')).toMatch(/running [12]/);
    view.interrupt();
    const left = await view.end();
    expect(left.exit).toBe(0);
    expect(left.err).toContain('watched goes on');
    expect(left.out.endsWith('\u001b[?25h')).toBe(true);
    expect((await engine.client.workflow.getHandle('watched').describe()).status.name).toBe('RUNNING');

    const no = await startCli(['stop', 'watched'], { terminal: { columns: 90, rows: 20 }, input: 'n\n' }).end();
    expect(no).toMatchObject({ exit: 1, out: 'Nothing was done.\n' });
    expect((await cli('stop', 'watched', '--yes')).exit).toBe(0);
    const result = (await engine.client.workflow.getHandle('watched').result()) as { status: string };
    expect(result.status).toBe('stopped');
  });

  it('is cancelled: the watch ends with exit 1 and a report marked cancelled', async () => {
    await cli('run', await campaignFile('gone', { trials: 60, pause: 2 }), '--id', 'gone');
    await eventually(async () => (await cliJson<CampaignStatus>('status', 'gone')).phase === 'running');
    const watch = startCli(['watch', 'gone']);
    await cli('cancel', 'gone', '--yes');
    const { exit, out } = await watch.end();
    expect(exit).toBe(1);
    expect(out).toContain('gone cancelled after');
    const results = /^results: (.*)$/m.exec(out)?.[1] ?? '';
    expect(JSON.parse(await readFile(path.join(results, 'summary.json'), 'utf8')).status).toBe('cancelled');
  });
});

describe('holdfast clean', () => {
  interface Cleaned {
    readonly dryRun: boolean;
    readonly launches: readonly {
      campaign: string;
      folder: string;
      remove: boolean;
      reason: string;
      trials: number;
      best: number | null;
    }[];
    readonly removed: readonly { folder: string; archive: string | null; error?: string }[];
  }
  const of = (cleaned: Cleaned, campaign: string) => cleaned.launches.find((launch) => launch.campaign === campaign);

  it('lists first and touches nothing; then takes what ended, never what runs and never a folder without our mark', async () => {
    const results = path.join(folder, 'results');
    await mkdir(path.join(results, 'by-hand'));
    await writeFile(path.join(results, 'by-hand', 'notes.txt'), 'mine');
    await cli('run', await campaignFile('alive', { trials: 60, pause: 2 }), '--id', 'alive');
    await eventually(async () => (await cliJson<CampaignStatus>('status', 'alive')).phase === 'running');
    const before = (await readdir(results)).sort();

    const young = await cliJson<Cleaned>('clean', results);
    expect(young.launches.every(({ remove }) => !remove)).toBe(true);
    expect(of(young, 'plain-1')).toMatchObject({ trials: 6, reason: expect.stringMatching(/^ended only .* ago$/) });

    const listed = await cliJson<Cleaned>('clean', results, '--older-than', '0s', '--keep-best', '1');
    expect(listed).toMatchObject({ dryRun: true, removed: [] });
    expect(of(listed, 'alive')).toMatchObject({ remove: false, reason: 'the campaign is running' });
    expect(of(listed, 'gone')).toMatchObject({ remove: true });
    const stays = listed.launches.filter(({ remove }) => !remove).map(({ campaign }) => campaign);
    expect(stays).toHaveLength(2);
    const bests = listed.launches.flatMap(({ campaign, best }) => (campaign === 'alive' || best === null ? [] : [best]));
    expect(listed.launches.find(({ campaign, remove }) => !remove && campaign !== 'alive')?.best).toBe(Math.max(...bests));
    expect(listed.launches.some(({ folder: place }) => place.includes('by-hand'))).toBe(false);
    expect((await readdir(results)).sort()).toEqual(before);

    const done = await cliJson<Cleaned>('clean', results, '--older-than', '0s', '--keep-best', '1', '--archive', '--yes');
    expect(done.removed.every(({ archive, error }) => archive?.endsWith('.tar.gz') === true && error === undefined)).toBe(true);
    expect(done.removed).toHaveLength(listed.launches.length - 2);
    const left = await readdir(results);
    expect(left).toContain('by-hand');
    expect(left.filter((name) => !name.endsWith('.tar.gz'))).toHaveLength(3);
    expect((await cliJson<CampaignStatus>('status', 'alive')).phase).toBe('running');
    await cli('stop', 'alive', '--yes');
    await engine.client.workflow.getHandle('alive').result();
  }, 120_000);
});

describe('what cannot work is told in one sentence', () => {
  it('a mistyped command, option, campaign or file: exit 2 with what was meant', async () => {
    const typo = await cli('statis');
    expect(typo).toMatchObject({ exit: 2 });
    expect(typo.err).toContain('Did you mean status?');
    expect(await cli('status', '--jsn')).toMatchObject({ exit: 2 });
    const campaign = await cli('status', 'plian-1');
    expect(campaign.exit).toBe(2);
    expect(campaign.err).toMatch(/There is no campaign "plian-1" here\. Did you mean "plain-\d"\?/);
    const file = path.join(folder, 'bad.yaml');
    await writeFile(file, 'version: 1\nobjectve: {metric: x}\nbudget: {trials: -3}\n');
    const bad = await cli('validate', file);
    expect(bad.exit).toBe(2);
    expect(bad.err).toMatch(/objectve.*2:1.*Did you mean "objective"/);
    expect(bad.err).toMatch(/budget\.trials.*3:\d+/);
    expect((await cli('run', file)).err).toBe(bad.err);
    expect(await cliJson('validate', file)).toMatchObject({
      valid: false,
      problems: expect.arrayContaining([expect.objectContaining({ line: 2 })]),
    });
  });

  it('a campaign whose trials all fail: watch, status and best say so with the class, the last words and the next step', async () => {
    const file = path.join(folder, 'typo.yaml');
    const text = (await readFile(await campaignFile('typo', { trials: 30 }), 'utf8')).replace('{code}/train.py', '{code}/typo.py');
    await writeFile(file, `${text}stop: {failures_alike: 3}\n`);
    await writeFile(path.join(folder, 'train', 'typo.py'), 'score = modle(1)\n');
    const watched = await cli('run', file, '--watch');
    expect(watched.exit).toBe(1);
    const told = watched.out.slice(watched.out.indexOf('typo-1 failed after'));
    expect(told).toMatch(
      /: The first 3 trials all failed with exit_code: .*NameError: name 'modle' is not defined.* [3-5] of 30 trials and /,
    );
    expect(told).toMatch(/the last that trial 1 said:\n( {2}.*\n)* {2}NameError: name 'modle'/);
    expect(watched.out).not.toMatch(/^ended: /m);
    expect((await cli('status', 'typo-1')).out).toMatch(/^typo-1 {2}failed .*\nThe first 3 trials all failed with exit_code: /);
    expect(await cli('best', 'typo-1')).toMatchObject({ exit: 0, out: 'typo-1 has no completed trial. See holdfast status typo-1.\n' });
  });

  it('a campaign that failed before its first trial: status, watch and stop say why', async () => {
    const file = path.join(folder, 'no-code.yaml');
    await writeFile(
      file,
      (await readFile(path.join(folder, 'plain.yaml'), 'utf8')).replace(path.join(folder, 'train'), path.join(folder, 'nowhere')),
    );
    const notes = path.join(folder, 'failed-notes');
    await appendFile(file, `notify: [{command: [tee, -a, ${notes}], on: [done]}]\n`);
    const warned = await cli('run', file, '--id', 'no-code');
    expect(warned.err).toMatch(/^WARN training\.bundle: there is no folder .*nowhere here\./);
    expect((await cli('validate', file)).out).toContain('WARN training.bundle');
    const watched = await cli('watch', 'no-code');
    expect(watched.exit).toBe(1);
    expect(watched.out).toMatch(/no-code failed after .*: Training code .*nowhere does not exist\./);
    expect(JSON.parse(await readFile(notes, 'utf8'))).toMatchObject({
      event: 'done',
      text: expect.stringMatching(/^failed: Training code .*nowhere does not exist/),
    });
    const status = await cli('status', 'no-code');
    expect(status.out).toMatch(/^no-code {2}failed /);
    expect(status.out).toMatch(/^Training code .*nowhere does not exist\. .*\[HF-BUNDLE-MISSING\]$/m);
    expect((await cli('stop', 'no-code', '--yes')).err).toMatch(/^no-code has ended: Training code .*nowhere does not exist/);
  });

  it('a campaign file without a name gives the campaign its own, with the command line’s values over it too', async () => {
    const file = path.join(folder, 'unnamed file.yaml');
    await writeFile(file, (await readFile(path.join(folder, 'plain.yaml'), 'utf8')).replace(/^name: .*\n/m, ''));
    for (const [words, id] of [
      [[], 'unnamed-file-1'],
      [['--trials', '2'], 'unnamed-file-2'],
    ] as const) {
      const { exit, out } = await cli('run', file, ...words, '--watch');
      expect(exit).toBe(0);
      const results = /^results: (.*)$/m.exec(out)?.[1] ?? '';
      expect(JSON.parse(await readFile(path.join(results, 'summary.json'), 'utf8'))).toMatchObject({ campaign: id, name: 'unnamed file' });
    }
  });

  it('code and deploy plan of a campaign file are looked for where `run` was typed, not where the worker was started, when that is this computer', async () => {
    await writeFile(path.join(folder, 'plan.yaml'), 'version: 1\nbase: /opt/code\n');
    const content = { name: 'x', training: { bundle: 'train', command: ['true'] }, data: { dir: 'not-here' }, deploy: 'plan.yaml' };
    const spec = admitText(await readFile(path.join(folder, 'plain.yaml'), 'utf8'), 'plain.yaml', { env: {} });
    expect(await withFoldersHere(engine.client, content, spec, folder)).toEqual({
      ...content,
      training: { bundle: path.join(folder, 'train'), command: ['true'] },
      deploy: path.join(folder, 'plan.yaml'),
    });
    expect(await withFoldersHere(engine.client, content, spec, path.join(folder, 'train'))).toEqual(content);
    // Nobody serves that system here: its worker may be on another computer.
    const elsewhere = { ...spec, system: { ...spec.system, name: 'elsewhere' } };
    expect(await withFoldersHere(engine.client, content, elsewhere, folder)).toEqual(content);
  });

  it('no server: exit 5 and the next step, also as JSON', async () => {
    process.env.TEMPORAL_ADDRESS = '127.0.0.1:1';
    try {
      const { exit, err, out } = await cli('ls');
      expect({ exit, out }).toEqual({ exit: 5, out: '' });
      expect(err).toMatch(/^Temporal 127\.0\.0\.1:1 does not answer\. Start a server with `holdfast dev`.* \[HF-TEMPORAL-UNREACHABLE\]\n$/);
      expect(await cliJson('ls')).toMatchObject({ error: { code: 'HF-TEMPORAL-UNREACHABLE', exit: 5 } });
    } finally {
      process.env.TEMPORAL_ADDRESS = engine.server.address;
    }
  });

  it('no worker: an ended campaign is told from its result, a running one says that it waits (exit 5), and stop is recorded', async () => {
    await cli('run', await campaignFile('left-alone', { trials: 60, pause: 2 }), '--id', 'left-alone');
    const view = startCli(['watch', 'left-alone'], { terminal: { columns: 70, rows: 20 }, env: { NO_COLOR: '1' } });
    await eventually(() => /left-alone {2}running/.test(view.soFar()), 90);
    worker.shutdown();
    await worker.finished;
    // A screen that stands still says why, in the place of its last line.
    await eventually(() => screenOf(view.soFar()).some((line) => line.startsWith('! No worker answers')), 90);
    expect(screenOf(view.soFar()).some((line) => /left-alone {2}running/.test(line))).toBe(true);
    view.interrupt();
    expect((await view.end()).exit).toBe(0);
    await engine.client.workflow.getHandle('left-alone').terminate();
    await engine.client.workflow.start('hpoCampaign', { taskQueue: 'holdfast', workflowId: 'lonely', args: ['none.yaml'] });
    const lonely = await cli('status', 'lonely');
    expect(lonely.err).toContain('No worker answers for lonely. Start one with `holdfast worker`');
    expect(lonely.exit).toBe(5);
    const ended = await cli('status', 'plain-1');
    expect(ended.exit).toBe(0);
    expect(ended.out).toContain('plain-1 completed after');
    const change = await cli('set', 'concurrency', 'lonely', '3');
    expect(change.err).toMatch(/^No worker answers for lonely: the change is made when one comes, or not at all\..* \[HF-NO-WORKER\]\n$/);
    expect(change.exit).toBe(5);
    expect(await cli('stop', 'lonely', '--yes')).toEqual({
      exit: 0,
      out: 'lonely: no worker answers now; stop is recorded, and done as soon as one comes (holdfast worker)\n',
      err: '',
    });
    const { events } = await engine.client.workflow.getHandle('lonely').fetchHistory();
    expect(events?.some(({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === 'stop')).toBe(true);
    await engine.client.workflow.getHandle('lonely').terminate();
  }, 120_000);
});
