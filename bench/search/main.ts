import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { holdfast, OptunaPeer } from './optimisers.ts';
import { type RunRecord, report } from './report.ts';
import { simulate } from './simulate.ts';
import { loadTasks } from './tasks.ts';

/**
 * Runs samplers over tasks and seeds and prints tables. Peers' runs are kept in .cache/bench-search/runs.jsonl and used again (they don't depend on our
 * code); ours are always run anew. Arguments: --tasks FOLDER --samplers auto,gp --peers random,tpe,… --workers 8,64 --seeds 3 --evaluations 100
 * --families lcbench,… --only task,… --save NAME --collect (peers only: fill the cache, print nothing).
 */
const root = join(import.meta.dirname, '../../../../..');
const { values: args } = parseArgs({
  options: {
    tasks: { type: 'string', default: join(root, '../shared/bench') },
    samplers: { type: 'string', default: 'auto' },
    peers: { type: 'string', default: 'random,tpe,tpe-univariate,cmaes,gp' },
    workers: { type: 'string', default: '8' },
    seeds: { type: 'string', default: '3' },
    'first-seed': { type: 'string', default: '0' },
    evaluations: { type: 'string', default: '100' },
    families: { type: 'string' },
    only: { type: 'string' },
    save: { type: 'string' },
    collect: { type: 'boolean', default: false },
    every: { type: 'string', default: '1' },
  },
});

const list = (text: string | undefined): string[] => (text ?? '').split(',').filter(Boolean);
const cacheFolder = join(root, '.cache/bench-search');
const cacheFile = join(cacheFolder, 'runs.jsonl');
mkdirSync(cacheFolder, { recursive: true });

const python = (peer: string): string => {
  const gp = join(root, '.cache/python-optuna-gp/bin/python');
  return peer === 'gp' && existsSync(gp) ? gp : join(root, '.cache/python-test/bin/python');
};

function cached(): Map<string, RunRecord> {
  const runs = new Map<string, RunRecord>();
  if (!existsSync(cacheFile)) return runs;
  for (const line of readFileSync(cacheFile, 'utf8').split('\n')) {
    if (line === '') continue;
    const record = JSON.parse(line) as RunRecord;
    const key = keyOf(record);
    if ((runs.get(key)?.regret.length ?? 0) < record.regret.length) runs.set(key, record);
  }
  return runs;
}

function keyOf({ sampler, task, workers, seed }: Pick<RunRecord, 'sampler' | 'task' | 'workers' | 'seed'>): string {
  return `${sampler}|${task}|${workers}|${seed}`;
}

/** Samplers are separated by commas outside braces: `gp,gp{"trust_region":false}`. */
function samplersOf(text: string): { label: string; name: string; options: Record<string, unknown> }[] {
  return (text.match(/[^,{]+(\{[^}]*\})?/g) ?? []).map((label) => {
    const [, name = '', json = '{}'] = /^([^{]+)(\{.*\})?$/.exec(label) ?? [];
    return { label, name, options: JSON.parse(json) as Record<string, unknown> };
  });
}

const families = list(args.families);
const only = list(args.only);
const every = Number(args.every);
const tasks = (await loadTasks(args.tasks))
  .filter((t) => families.length === 0 || families.includes(t.family))
  .filter((t, i) => (only.length === 0 || only.includes(t.id)) && i % every === 0);
const workersList = list(args.workers).map(Number);
const evaluations = Number(args.evaluations);
const firstSeed = Number(args['first-seed']);
const seeds = Array.from({ length: Number(args.seeds) }, (_, i) => firstSeed + i);
const records: RunRecord[] = [];
const known = cached();
let optuna = '';

for (const seed of seeds)
  for (const workers of workersList)
    for (const peer of list(args.peers)) {
      let process: OptunaPeer | undefined;
      for (const task of tasks) {
        const base = { sampler: `optuna-${peer}`, task: task.id, family: task.family, workers, seed };
        const old = known.get(keyOf(base));
        if (old && old.regret.length >= evaluations) {
          records.push(old);
          continue;
        }
        if (!args.collect) continue;
        process ??= new OptunaPeer(python(peer));
        const optimiser = await process.begin(peer, { space: task.space, directions: [task.direction], seed });
        optuna = process.version;
        const result = await simulate(task, optimiser, workers, evaluations, seed);
        const record: RunRecord = { ...base, version: optuna, ...result, regret: result.regret.map((r) => Number(r.toPrecision(5))) };
        appendFileSync(cacheFile, `${JSON.stringify(record)}\n`);
        records.push(record);
        console.error(
          `${base.sampler} ${task.id} w${workers} s${seed} ${result.regret.at(-1)?.toFixed(4)} cpu ${(result.cpuMs / 1000).toFixed(1)} s`,
        );
      }
      process?.close();
    }

if (!args.collect || list(args.samplers).length > 0)
  for (const { label, name, options } of args.collect ? [] : samplersOf(args.samplers))
    for (const workers of workersList)
      for (const task of tasks)
        for (const seed of seeds) {
          const optimiser = holdfast(name, options, { space: task.space, directions: [task.direction], seed });
          const result = await simulate(task, optimiser, workers, evaluations, seed);
          const record = { sampler: label, task: task.id, family: task.family, workers, seed, ...result };
          records.push(record);
        }

if (!args.collect) report(records, { workersList, evaluations, ...(args.save ? { save: join(root, 'bench/results', args.save) } : {}) });
