import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { streamAt } from '../../src/search/random-stream.ts';
import { regretPlot } from './plot.ts';
import type { RunResult } from './simulate.ts';

export interface RunRecord extends RunResult {
  readonly sampler: string;
  readonly task: string;
  readonly family: string;
  readonly workers: number;
  readonly seed: number;
  readonly version?: string;
  /** Digest of our samplers' code; absent for a peer. */
  readonly code?: string;
  /** Evaluations of the whole run, where the regret is that of its beginning. */
  readonly evaluated?: number;
}

function evaluatedBy(record: RunRecord | undefined): number {
  return record?.evaluated ?? record?.regret.length ?? 1;
}

interface ReportOptions {
  readonly workersList: readonly number[];
  readonly evaluations: number;
  /** Path without suffix; .json and .md are written, and an SVG per number of workers. */
  readonly save?: string;
}

const BUDGETS = [24, 50, 100, 200];
export const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

/** 95 % interval of the mean by 1,000 bootstrap samples over tasks-and-seeds. */
export function interval(xs: readonly number[]): [number, number] {
  const stream = streamAt(1, 'bootstrap', xs.length);
  const means = Array.from({ length: 1000 }, () => mean(xs.map(() => xs[stream.integer(xs.length)] as number))).sort((a, b) => a - b);
  return [means[24] as number, means[974] as number];
}

/** Ranks of one paired run (1 is best; ties share the mean rank). */
function ranksOf(values: readonly number[]): number[] {
  return values.map((v) => {
    const less = values.filter((w) => w < v - 1e-12).length;
    const equal = values.filter((w) => Math.abs(w - v) <= 1e-12).length;
    return less + (equal + 1) / 2;
  });
}

function regretAt(record: RunRecord | undefined, budget: number): number {
  return record?.regret[budget - 1] ?? Number.NaN;
}

/** Prints and keeps: mean regret and mean rank per budget, over the runs that every sampler has done (paired by task and seed). */
export function report(records: readonly RunRecord[], { workersList, evaluations, save }: ReportOptions): void {
  const lines: string[] = [];
  const cells: unknown[] = [];
  const budgets = BUDGETS.filter((b) => b <= evaluations);
  for (const workers of workersList) {
    const mine = records.filter((r) => r.workers === workers);
    const samplers = [...new Set(mine.map((r) => r.sampler))];
    const runs = new Map<string, Map<string, RunRecord>>();
    for (const r of mine) {
      const key = `${r.task}|${r.seed}`;
      if (!runs.has(key)) runs.set(key, new Map());
      runs.get(key)?.set(r.sampler, r);
    }
    const paired = [...runs.values()].filter((m) => m.size === samplers.length);
    for (const family of ['all', ...new Set(mine.map((r) => r.family))]) {
      const chosen = paired.filter((m) => family === 'all' || [...m.values()][0]?.family === family);
      if (chosen.length === 0) continue;
      lines.push('', `### ${family}, ${workers} workers, ${chosen.length} paired runs`, '');
      lines.push(`| sampler | ${budgets.map((b) => `regret @${b} | rank @${b}`).join(' | ')} | duplicates per run | CPU ms per point |`);
      lines.push(`| --- |${budgets.map(() => ' --- | --- |').join('')} --- | --- |`);
      // Peers that were given fewer evaluations have no rank beyond them, and take none from the others.
      const compared = budgets.map((b) => samplers.filter((s) => chosen.every((m) => (m.get(s)?.regret.length ?? 0) >= b)));
      const ranks = compared.map((names, k) => chosen.map((m) => ranksOf(names.map((s) => regretAt(m.get(s), budgets[k] as number)))));
      samplers.forEach((sampler) => {
        const row = budgets.map((b, k) => {
          const place = (compared[k] as string[]).indexOf(sampler);
          if (place < 0) return '– | –';
          const regrets = chosen.map((m) => regretAt(m.get(sampler), b));
          const rank = (ranks[k] as number[][]).map((r) => r[place] as number);
          const cell = {
            workers,
            family,
            sampler,
            budget: b,
            runs: chosen.length,
            regret: mean(regrets),
            regretInterval: interval(regrets),
            rank: mean(rank),
            rankInterval: interval(rank),
          };
          cells.push(cell);
          const spread = family === 'all' ? ` [${cell.regretInterval.map((x) => x.toFixed(3)).join('–')}]` : '';
          const rankSpread = family === 'all' ? ` [${cell.rankInterval.map((x) => x.toFixed(2)).join('–')}]` : '';
          return `${cell.regret.toFixed(4)}${spread} | ${cell.rank.toFixed(2)}${rankSpread}`;
        });
        const duplicates = mean(chosen.map((m) => m.get(sampler)?.duplicates ?? 0));
        const cpu = mean(chosen.map((m) => (m.get(sampler)?.cpuMs ?? 0) / evaluatedBy(m.get(sampler))));
        lines.push(`| ${sampler} | ${row.join(' | ')} | ${duplicates.toFixed(1)} | ${cpu.toFixed(1)} |`);
      });
    }
  }
  const heading = [
    '# Search bench',
    '',
    `${new Date().toISOString().slice(0, 10)}; ${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores; Node ${process.version}; Optuna ${records.find((r) => r.version)?.version ?? '–'}.`,
    'Mean normalised regret (1: median of one random draw, 0: best known) and mean rank over paired runs; in brackets 95 % bootstrap intervals.',
  ];
  console.log([...heading, ...lines].join('\n'));
  if (!save) return;
  mkdirSync(dirname(save), { recursive: true });
  writeFileSync(`${save}.md`, `${[...heading, ...lines].join('\n')}\n`);
  writeFileSync(`${save}.json`, `${JSON.stringify({ made: new Date().toISOString(), node: process.version, cells }, null, 1)}\n`);
  for (const workers of workersList) writeFileSync(`${save}-${workers}.svg`, regretPlot(records, workers, evaluations));
}
