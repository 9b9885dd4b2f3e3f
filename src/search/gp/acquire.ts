import type { RandomStream } from '../random-stream.ts';
import { sobolUnit } from '../sobol-sequence.ts';
import { type Codes, type CompiledSpace, codesFromUnit, isActive } from '../space.ts';
import { neighbours, perturb, type Reach } from './candidates.ts';
import type { Feasibility } from './feasibility.ts';
import { writeFeatures } from './features.ts';
import { type Posterior, predict, predictBounds } from './model.ts';

/** A score of every candidate from its posterior mean and variance; larger is better. It may not fall where the variance grows. */
export type Acquisition = (mean: number, variance: number) => number;

export interface Hunt {
  readonly compiled: CompiledSpace;
  readonly posterior: Posterior;
  readonly acquisition: Acquisition;
  /** Added to the acquisition: log of the chance that the point succeeds. */
  readonly feasibility?: Feasibility | undefined;
  /** Points to perturb, best first. */
  readonly anchors: readonly Codes[];
  /** Points of the user or of a language model that compete with our own. */
  readonly extra: readonly Codes[];
  /** Whether a point may be proposed: constraints hold and, in a finite space, it was not tried. */
  readonly isAllowed: (codes: Codes) => boolean;
  /** Box of codes per dimension that numeric parameters are drawn from; absent: the whole space. */
  readonly box?: { readonly low: Float64Array; readonly high: Float64Array };
  readonly stream: RandomStream;
  readonly seed: number;
  /** Number of this hunt, for the scramble of its Sobol points. */
  readonly index: number;
  readonly globalPoints: number;
}

export interface Found {
  readonly codes: Codes;
  readonly score: number;
  /** Position in `extra` where it came from there. */
  readonly extra?: number;
}

const PERTURBATIONS_PER_ANCHOR = 24;
/** Candidates that are handed on: the next ones serve where the best turn out to be tried. */
const KEPT = 12;

/** How hard the local search tries. */
export interface Effort {
  readonly starts: number;
  readonly rounds: number;
  readonly tries: number;
}
const EFFORTS = {
  whole: { starts: 4, rounds: 9, tries: 14 },
  quick: { starts: 2, rounds: 6, tries: 10 },
  quickest: { starts: 1, rounds: 5, tries: 10 },
} as const satisfies Record<string, Effort>;
/** Rows of the model from which every score is dear. */
const DEAR_ROWS = 200;
const DEARER_ROWS = 300;

/**
 * For the first point of a batch, one on new ground (where all scores are alike, so that bounds spare little), or a later one: a dozen points must not cost a
 * dozen times one.
 */
export function effortFor(occasion: 'first' | 'new ground' | 'later', rows: number): keyof typeof EFFORTS {
  if (occasion === 'first' || rows <= DEAR_ROWS) return 'whole';
  if (occasion === 'later') return rows > DEARER_ROWS ? 'quickest' : 'quick';
  return rows > DEARER_ROWS ? 'quick' : 'whole';
}

/** Candidates, with scores that none of them can exceed: neither now nor when more fantasies stand or a better incumbent does, since both only lower a score. */
export interface Pool {
  readonly codes: Codes[];
  readonly bounds: number[];
  /** Position in `extra`, or -1. */
  readonly extraAt: number[];
}

/** Candidates from everywhere, around the best and from outside; only allowed points. */
export function poolFor(task: Hunt): Pool {
  const { compiled, anchors, extra, isAllowed, stream } = task;
  const candidates: Codes[] = [...extra];
  for (let i = 0; i < task.globalPoints; i++) candidates.push(globalPoint(task, i));
  const reach = (scale: number, chance: number): Reach => ({ deviations: deviationsOf(task, scale), chance });
  const wide = [reach(0.3, 0.5), reach(0.1, 0.5), reach(0.03, 0.5), reach(0.2, 0.15)];
  for (const anchor of anchors) {
    for (let i = 0; i < PERTURBATIONS_PER_ANCHOR; i++) candidates.push(perturb(compiled, anchor, wide[i % wide.length] as Reach, stream));
    candidates.push(...neighbours(compiled, anchor, stream));
  }
  const codes: Codes[] = [];
  const extraAt: number[] = [];
  candidates.forEach((candidate, i) => {
    if (!isAllowed(candidate)) return;
    codes.push(candidate);
    extraAt.push(i < extra.length ? i : -1);
  });
  return { codes, extraAt, bounds: [...boundsOf(task, codes)] };
}

/** The best of a pool, then local search from there; best first, only allowed points. The pool keeps what was learnt for the next point of a batch. */
export function hunt(task: Hunt, { codes, extraAt, bounds }: Pool = poolFor(task), name: keyof typeof EFFORTS = 'whole'): Found[] {
  const effort = EFFORTS[name];
  const starts = bestOf(task, codes, bounds, KEPT).map(
    ({ index, score }): Found => ({
      codes: codes[index] as Codes,
      score,
      ...((extraAt[index] as number) >= 0 ? { extra: extraAt[index] as number } : {}),
    }),
  );
  const improved = localSearch(task, starts.slice(0, effort.starts), effort);
  for (const found of improved) {
    codes.push(found.codes);
    bounds.push(found.score);
    extraAt.push(found.extra ?? -1);
  }
  return [...improved, ...starts].sort((a, b) => b.score - a.score);
}

function globalPoint({ compiled, seed, index, box }: Hunt, i: number): Codes {
  const unit = sobolUnit(seed ^ (index * 0x9e3779b1), i, compiled.dimensions.length);
  const codes = codesFromUnit(compiled, unit);
  if (!box) return codes;
  compiled.dimensions.forEach((dimension, k) => {
    const code = codes[k] as number;
    if (Number.isNaN(code) || (dimension.kind !== 'continuous' && dimension.kind !== 'ordered')) return;
    const low = box.low[k] as number;
    const inside = low + (unit[k] as number) * ((box.high[k] as number) - low);
    codes[k] = dimension.kind === 'continuous' ? inside : dimension.snap(inside);
  });
  return codes;
}

/** Steps are measured in length scales where these are short, in the range where they are long. */
function deviationsOf({ compiled, posterior }: Hunt, scale: number): Float64Array {
  const out = new Float64Array(compiled.dimensions.length).fill(scale);
  posterior.map.dimensions.forEach((dimension, k) => {
    if (k < posterior.map.numeric) out[dimension] = scale * Math.min(1, Math.max(0.1, Math.exp(posterior.hyper.logLengths[k] as number)));
  });
  return out;
}

export function featuresFor({ map }: Posterior, candidates: readonly Codes[]): Float64Array {
  const features = new Float64Array(candidates.length * map.stride);
  candidates.forEach((codes, i) => {
    writeFeatures(map, codes, features, i * map.stride);
  });
  return features;
}

/** Scores that no candidate can exceed, at little cost. The chance of success only lowers a score, so it is left out here. */
function boundsOf({ posterior, acquisition }: Hunt, candidates: readonly Codes[]): Float64Array {
  const means = new Float64Array(candidates.length);
  const variances = new Float64Array(candidates.length);
  predictBounds(posterior, featuresFor(posterior, candidates), candidates.length, means, variances);
  return means.map((mean, i) => acquisition(mean, variances[i] as number));
}

/** Rounding may take a variance that is all but nothing below it. */
const MINUTE = 1e-15;

/** Scores; one that is not above `floor` may be less than what is given for it. */
function scoresOf({ posterior, acquisition, feasibility }: Hunt, candidates: readonly Codes[], floor: number): Float64Array {
  const features = featuresFor(posterior, candidates);
  const means = new Float64Array(candidates.length);
  const variances = new Float64Array(candidates.length);
  const isHopeless = (mean: number, variance: number) => acquisition(mean, Math.max(MINUTE, variance)) <= floor;
  predict(posterior, features, candidates.length, means, variances, floor === Number.NEGATIVE_INFINITY ? undefined : isHopeless);
  const chances = feasibility?.(features, candidates.length);
  return means.map((mean, i) => acquisition(mean, variances[i] as number) + (chances?.[i] ?? 0));
}

/** Candidates that are scored exactly at a time: as many as {@link predict} takes in one pass. */
const AT_A_TIME = 4;

/**
 * The `most` candidates of the highest scores above `floor`, best first (of equals the earlier one). Only candidates whose upper bound could still win are scored
 * exactly, which is what costs; their scores take the place of their bounds.
 */
function bestOf(
  task: Hunt,
  candidates: readonly Codes[],
  bounds: Float64Array | number[],
  most: number,
  floor = Number.NEGATIVE_INFINITY,
): { index: number; score: number }[] {
  const order = candidates.map((_, i) => i).filter((i) => (bounds[i] as number) > floor);
  order.sort((a, b) => (bounds[b] as number) - (bounds[a] as number) || a - b);
  let best: { index: number; score: number }[] = [];
  for (let from = 0; from < order.length; from += AT_A_TIME) {
    const worst = best.length < most ? floor : (best[most - 1] as { score: number }).score;
    if ((bounds[order[from] as number] as number) < worst) break;
    const next = order.slice(from, from + AT_A_TIME);
    const scores = scoresOf(
      task,
      next.map((i) => candidates[i] as Codes),
      worst,
    );
    next.forEach((index, k) => {
      bounds[index] = scores[k] as number;
      if ((scores[k] as number) > floor) best.push({ index, score: scores[k] as number });
    });
    best = best.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, most);
  }
  return best;
}

/** Shrinking random steps and one-level moves from each start; a step is taken when the score rises. */
export function localSearch(task: Hunt, starts: readonly Found[], { rounds, tries }: Effort): Found[] {
  const { compiled, isAllowed, stream } = task;
  let current = [...starts];
  for (let round = 0; round < rounds; round++) {
    const scale = 0.25 * 0.55 ** round;
    const reach: Reach = { deviations: deviationsOf(task, scale), chance: round % 3 === 2 ? 0.15 : 0.5 };
    current = current.map((start) => {
      const moves = round === 0 || round === 4 ? neighbours(compiled, start.codes, stream) : [];
      for (let i = 0; i < tries; i++) moves.push(perturb(compiled, start.codes, reach, stream));
      const allowed = moves.filter(isAllowed);
      const [better] = bestOf(task, allowed, boundsOf(task, allowed), 1, start.score);
      return better ? { codes: allowed[better.index] as Codes, score: better.score } : start;
    });
  }
  return current;
}

/** Takes out of a pool what may not be proposed any more. */
export function withdraw({ codes, bounds }: Pool, isAllowed: (codes: Codes) => boolean): void {
  codes.forEach((candidate, i) => {
    if (!isAllowed(candidate)) bounds[i] = Number.NEGATIVE_INFINITY;
  });
}

/** Whether a point has an active continuous parameter: only those without can be exhausted. */
export function hasContinuous(compiled: CompiledSpace, codes: Codes): boolean {
  return compiled.dimensions.some((d, i) => d.kind === 'continuous' && isActive(compiled, codes, i));
}
