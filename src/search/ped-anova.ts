import type { MetricConstraint } from '../domain/campaign.ts';
import type { Parameter, ParameterValue, Point } from '../domain/space.ts';
import { normalCdf } from './gp/normal.ts';
import { type Importance, type ImportanceQuestion, LEAST_TRIALS } from './importance.ts';
import { endedWithValue, violationOf } from './losses.ts';

export interface QuantileQuestion extends ImportanceQuestion {
  /** What counts as good: the best share of all trials. */
  readonly quantile?: number;
  /** Where it is measured: in the best share of all trials; 1 is everything that was tried. */
  readonly region?: number;
  /** A trial that breaks one is none of the good ones, whatever its value; among all trials it counts. Where every trial breaks one, nobody is left out. */
  readonly metricConstraints?: readonly MetricConstraint[];
}

export const DEFAULT_QUANTILE = 0.1;

/** Cells of a continuous parameter. */
const CELLS = 50;
const PRIOR_WEIGHT = 1;
/** Smallest width of a kernel in cells: nine tenths of it lie in one cell. */
const LEAST_WIDTH = 0.5 / 1.64;
/** Parts of a space (a conditional parameter being there, or not) with fewer trials are left out. */
const LEAST_IN_PART = 2;
const TINY = 1e-12;

/**
 * How much each parameter matters for reaching the best `quantile` of the trials: PED-ANOVA (Watanabe, Bansal and Hutter 2023) with conditional parameters by
 * regimes (arXiv 2601.20800), as Optuna 5's default evaluator computes it: the Pearson divergence between the density of the good trials and of all of them,
 * parameter by parameter, from Parzen estimators on a grid with Scott's rule. Linear in the trials, so any table is quick. Most important first, shares sum
 * to 1; empty for fewer than four results, equal ones, and where good trials lie as all others do.
 */
export function quantileImportances({
  space,
  objectives,
  trials,
  objective = 0,
  quantile = DEFAULT_QUANTILE,
  region = 1,
  metricConstraints,
}: QuantileQuestion): Importance[] {
  const ended = ranked(
    endedWithValue(objectives, trials).map(({ trial, losses }) => ({
      point: trial.params,
      loss: losses[objective] as number,
      isFeasible: violationOf(metricConstraints, trial) === 0,
    })),
  );
  if (ended.length < LEAST_TRIALS) return [];
  const good = new Set(bestOf(ended, quantile));
  const all = bestOf(ended, region);
  if (good.size === all.length) return [];
  const raw = space.parameters
    .filter((parameter) => parameter.type !== 'constant')
    .map((parameter) => ({ name: parameter.name, value: divergence(parameter, all, good) }));
  const sum = raw.reduce((total, { value }) => total + value, 0);
  if (!(sum > 0)) return [];
  return raw.map(({ name, value }) => ({ name, share: value / sum })).sort((a, b) => b.share - a.share || (a.name < b.name ? -1 : 1));
}

interface Ended {
  readonly point: Point;
  /** Infinite for a trial that breaks a condition on metrics while another keeps them all. */
  readonly loss: number;
}

function ranked(ended: readonly (Ended & { readonly isFeasible: boolean })[]): Ended[] {
  const isRanked = ended.some(({ isFeasible }) => isFeasible);
  return ended.map(({ point, loss, isFeasible }) => ({ point, loss: isRanked && !isFeasible ? Number.POSITIVE_INFINITY : loss }));
}

/** The best share of the trials; those that are level with the last of them belong to it, those without a finite loss never do. */
function bestOf(ended: readonly Ended[], share: number): Ended[] {
  if (share >= 1) return [...ended];
  const sorted = ended.map(({ loss }) => loss).sort((a, b) => a - b);
  const cutoff = sorted[Math.ceil(share * sorted.length) - 1] as number;
  return ended.filter(({ loss }) => loss <= cutoff && Number.isFinite(loss));
}

/** Σ over regimes of α²/β times the divergence there; only the regime in which the parameter exists has one. */
function divergence(parameter: Parameter, all: readonly Ended[], good: ReadonlySet<Ended>): number {
  const active = all.filter(({ point }) => point[parameter.name] !== undefined);
  const top = active.filter((each) => good.has(each));
  if (active.length < LEAST_IN_PART || top.length === 0) return 0;
  const grid = gridOf(parameter);
  if (grid.cells < 2) return 0;
  const above = densityOf(grid, top, parameter.name);
  const below = densityOf(grid, active, parameter.name);
  const pearson = below.reduce((sum, p, cell) => sum + p * ((above[cell] as number) / p - 1) ** 2, 0);
  const [alpha, beta] = [top.length / good.size, active.length / all.length];
  return (alpha ** 2 / beta) * pearson;
}

interface Grid {
  readonly cells: number;
  readonly isOrdered: boolean;
  readonly cellOf: (value: unknown) => number;
}

function gridOf(parameter: Parameter): Grid {
  if (parameter.type === 'constant') return { cells: 1, isOrdered: true, cellOf: () => 0 };
  if (parameter.type === 'categorical' || parameter.type === 'ordinal') {
    const { values } = parameter;
    return { cells: values.length, isOrdered: parameter.type === 'ordinal', cellOf: (value) => values.indexOf(value as ParameterValue) };
  }
  const { min, max, log = false } = parameter;
  const step = parameter.step ?? (parameter.type === 'int' ? 1 : undefined);
  const isLogInt = parameter.type === 'int' && log;
  const wanted = isLogInt
    ? Math.ceil(Math.log2(max - min + 1)) + 1
    : step === undefined || log
      ? CELLS
      : Math.round((max - min) / step) + 1;
  const cells = Math.min(CELLS, wanted);
  const [low, high] = log ? [Math.log(min), Math.log(max)] : [min, max];
  const width = (high - low) / (cells - 1);
  return {
    cells,
    isOrdered: true,
    // A value in the middle of two cells goes to the lower one.
    cellOf: (value) => Math.max(0, Math.min(cells - 1, Math.ceil(((log ? Math.log(Number(value)) : Number(value)) - low) / width - 0.5))),
  };
}

/** Probability of each cell by a Parzen estimator over the occupied cells, each weighing as many trials as lie there, and one prior of weight 1. */
function densityOf({ cells, isOrdered, cellOf }: Grid, some: readonly Ended[], name: string): Float64Array {
  const counts = new Float64Array(cells);
  for (const { point } of some) {
    const cell = cellOf(point[name]);
    if (cell >= 0) counts[cell] = (counts[cell] as number) + 1;
  }
  const occupied = Array.from(counts.keys()).filter((cell) => (counts[cell] as number) > 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const density = new Float64Array(cells);
  const add = (weight: number, massOf: (cell: number) => number) => {
    for (let cell = 0; cell < cells; cell++) density[cell] = (density[cell] as number) + (weight / (total + PRIOR_WEIGHT)) * massOf(cell);
  };
  if (isOrdered) {
    const sigma = widthOf(occupied, counts, total);
    for (const mu of occupied) add(counts[mu] as number, truncatedNormal(mu, sigma, cells));
    add(PRIOR_WEIGHT, truncatedNormal((cells - 1) / 2, cells, cells));
  } else {
    const share = PRIOR_WEIGHT / (occupied.length + 1);
    const whole = 1 + cells * share;
    for (const mu of occupied) add(counts[mu] as number, (cell) => (share + (cell === mu ? 1 : 0)) / whole);
    add(PRIOR_WEIGHT, () => 1 / cells);
  }
  return density.map((p) => p + TINY);
}

/** Scott's rule (Scott 1992) on cells: 1.059 · min(IQR / 1.34, deviation) · n^(-1/5). */
function widthOf(occupied: readonly number[], counts: Float64Array, total: number): number {
  const weighted = (f: (cell: number) => number) => occupied.reduce((sum, cell) => sum + (counts[cell] as number) * f(cell), 0);
  const mean = weighted((cell) => cell) / total;
  const deviation = Math.sqrt(weighted((cell) => (cell - mean) ** 2) / Math.max(1, total - 1));
  const cumulated: number[] = [];
  for (const cell of occupied) cumulated.push((cumulated.at(-1) ?? 0) + (counts[cell] as number));
  const first = cumulated.findIndex((sum) => sum >= Math.floor(total / 4));
  const after = cumulated.findIndex((sum) => sum > Math.floor((total * 3) / 4));
  const third = after < 0 ? occupied.length - 1 : Math.min(occupied.length - 1, after);
  const iqr = (occupied[third] as number) - (occupied[first] as number);
  return Math.max(LEAST_WIDTH, 1.059 * Math.min(iqr / 1.34, deviation) * total ** -0.2);
}

/** Mass of each cell under a normal distribution cut off at the ends of the grid. */
function truncatedNormal(mu: number, sigma: number, cells: number): (cell: number) => number {
  const mass = (from: number, to: number): number => {
    const [a, b] = [(from - mu) / sigma, (to - mu) / sigma];
    // In the upper tail the difference of two numbers near 1 would lose everything.
    return a > 0 ? normalCdf(-a) - normalCdf(-b) : normalCdf(b) - normalCdf(a);
  };
  const whole = mass(-0.5, cells - 0.5);
  return (cell) => mass(cell - 0.5, cell + 0.5) / whole;
}
