import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { digestOfSearch } from './code-digest.ts';
import { holdfast, OptunaPeer, optunaPython } from './optimisers.ts';
import { type RunRecord, report } from './report.ts';
import { simulate } from './simulate.ts';
import { loadTasks } from './tasks.ts';

/**
 * Runs samplers over tasks and seeds and prints tables. Every run is kept in .cache/bench-search/runs.jsonl and used again, ours only by the same code of
 * src/search: a bench that was stopped goes on where it was. Arguments: --tasks FOLDER --samplers auto,gp --peers random,tpe,gp:100,… (:N asks for N evaluations
 * at most) --workers 8,64 --seeds 10 --first-seed 0 --evaluations 200 --families lcbench,… --only task,… --every N (tasks) --save NAME
 * --collect (fill the cache, print nothing) --cached (run nothing, report what is there) --code HASH (our runs of that code).
 */
const root = join(import.meta.dirname, '../../../../..');
const { values: args } = parseArgs({
  options: {
    tasks: { type: 'string', default: join(root, '../shared/bench') },
    samplers: { type: 'string', default: 'auto' },
    peers: { type: 'string', default: 'random,tpe,tpe-univariate,cmaes,gp:100' },
    workers: { type: 'string', default: '8' },
    seeds: { type: 'string', default: '10' },
    'first-seed': { type: 'string', default: '0' },
    evaluations: { type: 'string', default: '200' },
    families: { type: 'string' },
    only: { type: 'string' },
    save: { type: 'string' },
    collect: { type: 'boolean', default: false },
    cached: { type: 'boolean', default: false },
    code: { type: 'string' },
    every: { type: 'string', default: '1' },
  },
});

const list = (text: string | undefined): string[] => (text ?? '').split(',').filter(Boolean);
const cacheFolder = join(root, '.cache/bench-search');
const cacheFile = join(cacheFolder, 'runs.jsonl');
mkdirSync(cacheFolder, { recursive: true });

/** The longest run of each key. */
function cached(): Map<string, RunRecord> {
  const runs = new Map<string, RunRecord>();
  if (!existsSync(cacheFile)) return runs;
  for (const line of readFileSync(cacheFile, 'utf8').split('\n')) {
    if (!line.endsWith('}')) continue;
    const record = JSON.parse(line) as RunRecord;
    const key = keyOf(record);
    if ((runs.get(key)?.regret.length ?? 0) < record.regret.length) runs.set(key, record);
  }
  return runs;
}

function keyOf({ sampler, task, workers, seed, code }: Pick<RunRecord, 'sampler' | 'task' | 'workers' | 'seed' | 'code'>): string {
  return `${sampler}|${task}|${workers}|${seed}|${code ?? ''}`;
}

/** A sampler of the bench: ours with its options, or one of Optuna's. */
interface Entrant {
  readonly label: string;
  readonly name: string;
  readonly options?: Record<string, unknown>;
  readonly evaluations: number;
  readonly isPeer: boolean;
}

/** Our samplers are separated by commas outside braces: `gp,gp{"trust_region":false}`. */
function entrants(): Entrant[] {
  const ours = (args.samplers.match(/[^,{]+(\{[^}]*\})?/g) ?? []).map((label): Entrant => {
    const [, name = '', json = '{}'] = /^([^{]+)(\{.*\})?$/.exec(label) ?? [];
    return { label, name, options: JSON.parse(json) as Record<string, unknown>, evaluations, isPeer: false };
  });
  const peers = list(args.peers).map((text): Entrant => {
    const [name = '', most] = text.split(':');
    return { label: `optuna-${name}`, name, evaluations: Math.min(evaluations, Number(most ?? evaluations)), isPeer: true };
  });
  return [...ours, ...peers];
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
const code = args.code ?? digestOfSearch({ withoutPruning: true });

// Seeds outermost: whenever the bench is stopped, what it has is paired.
for (const seed of seeds)
  for (const workers of workersList)
    for (const entrant of entrants()) {
      let peer: OptunaPeer | undefined;
      for (const task of tasks) {
        const base = { sampler: entrant.label, task: task.id, family: task.family, workers, seed, ...(entrant.isPeer ? {} : { code }) };
        const old = known.get(keyOf(base));
        if (old && old.regret.length >= entrant.evaluations) {
          records.push({ ...old, regret: old.regret.slice(0, evaluations), evaluated: old.regret.length });
          continue;
        }
        if (args.cached) continue;
        const spec = { space: task.space, directions: [task.direction], seed };
        if (entrant.isPeer) peer ??= new OptunaPeer(optunaPython());
        const optimiser = peer ? await peer.begin(entrant.name, spec) : holdfast(entrant.name, entrant.options ?? {}, spec);
        const result = await simulate(task, optimiser, workers, entrant.evaluations, seed);
        const regret = result.regret.map((r) => Number(r.toPrecision(5)));
        const record: RunRecord = { ...base, ...result, regret, ...(peer ? { version: peer.version } : {}) };
        appendFileSync(cacheFile, `${JSON.stringify(record)}\n`);
        records.push(record);
        if (args.collect)
          console.error(`${base.sampler} ${task.id} w${workers} s${seed} ${regret.at(-1)} cpu ${(result.cpuMs / 1000).toFixed(1)} s`);
      }
      peer?.close();
    }

if (!args.collect) report(records, { workersList, evaluations, ...(args.save ? { save: join(root, 'bench/results', args.save) } : {}) });
