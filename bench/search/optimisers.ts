import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Objective } from '../../src/domain/campaign.ts';
import type { ParameterValue, Point, Space } from '../../src/domain/space.ts';
import type { TrialRow } from '../../src/domain/trial.ts';
import { samplerEntry } from '../../src/search/registry.ts';
import type { SamplerState } from '../../src/search/sampler.ts';

/** A parameter as tasks.json writes it. */
export interface BenchParameter {
  readonly name: string;
  readonly type: 'float' | 'int' | 'categorical' | 'ordinal';
  readonly low: number;
  readonly high: number;
  readonly log?: boolean;
  readonly choices?: readonly ParameterValue[];
  readonly when?: { readonly param: string; readonly in: readonly ParameterValue[] };
}

export interface Proposal {
  readonly id: number;
  readonly params: Point;
}

/** One optimisation run: ask and tell, and CPU milliseconds spent on suggestions. */
export interface Optimiser {
  readonly ask: (count: number) => Promise<readonly Proposal[]>;
  readonly tell: (id: number, values: readonly number[], time: number) => Promise<void>;
  readonly cpuMs: () => number;
  /** Finished trials that the optimiser did not ask for. */
  readonly add?: (points: readonly Point[], evaluate: (params: Point) => readonly number[]) => Promise<void>;
}

export interface RunSpec {
  readonly space: readonly BenchParameter[];
  readonly directions: readonly ('minimize' | 'maximize')[];
  readonly seed: number;
}

export function toSpace(parameters: readonly BenchParameter[]): Space {
  return {
    parameters: parameters.map((p) => {
      const when = p.when ? { when: { [p.when.param]: p.when.in } } : {};
      if (p.type === 'categorical' || p.type === 'ordinal') return { name: p.name, type: p.type, values: p.choices ?? [], ...when };
      return { name: p.name, type: p.type, min: p.low, max: p.high, ...(p.log ? { log: true } : {}), ...when };
    }),
  };
}

/** Ours, through the sampler interface exactly as a campaign calls it; the state goes through JSON each time. */
export function holdfast(name: string, options: Readonly<Record<string, unknown>>, spec: RunSpec): Optimiser {
  const { sampler } = samplerEntry(name);
  const space = toSpace(spec.space);
  const objectives: Objective[] = spec.directions.map((direction, i) => ({ metric: `m${i}`, direction, reduce: 'result' }));
  const trials: TrialRow[] = [];
  let state: SamplerState | undefined;
  let cpu = 0;
  return {
    ask: async (count) => {
      const begin = process.cpuUsage();
      const result = sampler({ space, objectives, trials, count, seed: spec.seed, options, ...(state ? { state } : {}) });
      const used = process.cpuUsage(begin);
      cpu += (used.user + used.system) / 1000;
      state = result.state ? (JSON.parse(JSON.stringify(result.state)) as SamplerState) : undefined;
      return result.suggestions.map(({ params, origin }) => {
        const number = trials.length + 1;
        trials.push({ number, params, origin, state: 'running', attempts: 1, createdAt: number });
        return { id: number, params };
      });
    },
    tell: async (id, values, time) => {
      trials[id - 1] = { ...(trials[id - 1] as TrialRow), state: 'completed', values, finishedAt: time };
    },
    cpuMs: () => cpu,
  };
}

/**
 * The Python that scripts/python-optuna.mjs has made.
 * @throws Error when it was not run.
 */
export function optunaPython(): string {
  const python = join(import.meta.dirname, '../../../../../.cache/python-optuna/bin/python');
  if (!existsSync(python)) throw new Error('Optuna with torch is missing (.cache/python-optuna). Run: node scripts/python-optuna.mjs');
  return python;
}

/** An Optuna process that serves one run after another. */
export class OptunaPeer {
  private readonly child: ChildProcess;
  private readonly lines: Interface;
  private readonly waiting: ((line: string) => void)[] = [];
  version = '';

  constructor(python: string) {
    this.child = spawn(python, [join(import.meta.dirname, '../../../../../bench/search/optuna_peer.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
    });
    this.lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream });
    this.lines.on('line', (line) => this.waiting.shift()?.(line));
    this.child.on('exit', (code) => {
      if (this.waiting.length > 0) throw new Error(`The Optuna process ended with ${code} in the middle of a run.`);
    });
  }

  private send(message: unknown): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
      this.waiting.push((line) => resolve(JSON.parse(line) as Record<string, unknown>));
      this.child.stdin?.write(`${JSON.stringify(message)}\n`);
    });
  }

  async begin(sampler: string, spec: RunSpec): Promise<Optimiser> {
    const { version } = await this.send({ new: { sampler, seed: spec.seed, space: spec.space, directions: spec.directions } });
    this.version = String(version);
    let cpu = 0;
    return {
      ask: async (count) => {
        const answer = await this.send({ ask: count });
        cpu += Number(answer.cpu_ms);
        return answer.points as Proposal[];
      },
      tell: async (id, values) => {
        await this.send({ tell: { id, values } });
      },
      cpuMs: () => cpu,
      add: async (points, evaluate) => {
        await this.send({ add: points.map((params) => [params, evaluate(params)]) });
      },
    };
  }

  close(): void {
    this.child.stdin?.end();
  }
}
