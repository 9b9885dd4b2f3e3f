import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { TrialRow } from '../../src/domain/trial.ts';
import { streamAt } from '../../src/search/random-stream.ts';
import { samplerEntry } from '../../src/search/registry.ts';
import type { SamplerState } from '../../src/search/sampler.ts';
import { codesFromUnit, compileSpace, pointOf } from '../../src/search/space.ts';
import { OptunaPeer, optunaPython, toSpace } from './optimisers.ts';
import { loadTasks } from './tasks.ts';

/**
 * CPU milliseconds of one suggestion and of a batch of 12 with 100, 1,000 and 10,000 finished trials, ours beside Optuna's, in one run. Every size is told first;
 * then points are asked and told one after another, and the median, the mean and the first (cold: without carried state) are printed.
 */
const root = join(import.meta.dirname, '../../../../..');
const { values: args } = parseArgs({
  options: {
    tasks: { type: 'string', default: join(root, '../shared/bench') },
    samplers: { type: 'string', default: 'auto,gp,tpe,random' },
    peers: { type: 'string', default: 'tpe,tpe-univariate,gp' },
    sizes: { type: 'string', default: '100,1000,10000' },
    repeats: { type: 'string', default: '12' },
    save: { type: 'string' },
  },
});

const task = (await loadTasks(args.tasks)).find((t) => t.family === 'lcbench');
if (!task) throw new Error(`${args.tasks} holds no lcbench task.`);
const space = toSpace(task.space);
const compiled = compileSpace(space);
const repeats = Number(args.repeats);
const point = (i: number) => {
  const stream = streamAt(7, 'timing', i);
  return pointOf(
    compiled,
    codesFromUnit(
      compiled,
      compiled.dimensions.map(() => stream.next()),
    ),
  );
};
/** Values of the first points, each computed once: every sampler is told the same ones. */
const values: number[] = [];
const valueAt = (i: number): number => {
  while (values.length <= i) values.push(task.evaluate(point(values.length)).value);
  return values[i] as number;
};
const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)] as number;
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

interface Cell {
  readonly sampler: string;
  readonly trials: number;
  readonly batch: number;
  readonly firstMs: number;
  readonly medianMs: number;
  readonly meanMs: number;
}
const cells: Cell[] = [];
const show = (cell: Cell) => {
  cells.push(cell);
  const [first, middle, average] = [cell.firstMs, cell.medianMs, cell.meanMs].map((x) => x.toFixed(1));
  say(`| ${cell.sampler} | ${cell.trials} | ${cell.batch} | ${first} | ${middle} | ${average} |`);
};

const lines: string[] = [];
const say = (line: string) => {
  console.log(line);
  lines.push(line);
};
say(
  `${cpus()[0]?.model}, ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; CPU ms.\n`,
);
say('| sampler | finished trials | points asked | first | median | mean |\n| --- | --- | --- | --- | --- | --- |');
for (const size of args.sizes.split(',').map(Number))
  for (const name of args.samplers.split(',').filter(Boolean))
    for (const batch of [1, 12]) {
      const trials: TrialRow[] = [];
      const add = (params: TrialRow['params'], value = task.evaluate(params).value) =>
        trials.push({
          number: trials.length + 1,
          params,
          origin: 'told',
          state: 'completed',
          values: [value],
          attempts: 1,
          createdAt: trials.length,
          finishedAt: trials.length,
        });
      for (let i = 0; i < size; i++) add(point(i), valueAt(i));
      let state: SamplerState | undefined;
      const times: number[] = [];
      for (let r = 0; r < repeats; r++) {
        const begin = process.cpuUsage();
        const result = samplerEntry(name).sampler({
          space,
          objectives: [{ metric: 'm', direction: task.direction, reduce: 'result' }],
          trials,
          count: batch,
          seed: 1,
          options: {},
          ...(state ? { state } : {}),
        });
        const used = process.cpuUsage(begin);
        times.push((used.user + used.system) / 1000);
        state = result.state;
        for (const { params } of result.suggestions) add(params);
      }
      show({
        sampler: name,
        trials: size,
        batch,
        firstMs: times[0] as number,
        medianMs: median(times.slice(1)),
        meanMs: mean(times.slice(1)),
      });
    }

for (const peer of args.peers.split(',').filter(Boolean)) {
  const process = new OptunaPeer(optunaPython());
  for (const size of args.sizes.split(',').map(Number)) {
    if (peer === 'gp' && size > 1000) continue;
    for (const batch of [1, 12]) {
      const optimiser = await process.begin(peer, { space: task.space, directions: [task.direction], seed: 1 });
      let next = 0;
      await optimiser.add?.(
        Array.from({ length: size }, (_, i) => point(i)),
        () => [valueAt(next++)],
      );
      const times: number[] = [];
      for (let r = 0; r < (peer === 'gp' ? 3 : repeats); r++) {
        const before = optimiser.cpuMs();
        const asked = await optimiser.ask(batch);
        times.push(optimiser.cpuMs() - before);
        for (const { id, params } of asked) await optimiser.tell(id, [task.evaluate(params).value], r);
      }
      show({
        sampler: `optuna-${peer}`,
        trials: size,
        batch,
        firstMs: times[0] as number,
        medianMs: median(times.slice(1)),
        meanMs: mean(times.slice(1)),
      });
    }
  }
  process.close();
}
if (args.save) {
  const file = join(root, 'bench/results', args.save);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.md`, `# Time of a suggestion\n\n${lines.join('\n')}\n`);
  writeFileSync(`${file}.json`, `${JSON.stringify({ made: new Date().toISOString(), node: process.version, cells }, null, 1)}\n`);
}
