import type { RandomStream } from '../random-stream.ts';
import { sobolUnit } from '../sobol-sequence.ts';
import { type Codes, type CompiledSpace, codesFromUnit, isActive } from '../space.ts';
import { neighbours, perturb, type Reach } from './candidates.ts';
import type { Feasibility } from './feasibility.ts';
import { writeFeatures } from './features.ts';
import { type Posterior, predict } from './model.ts';

/** A score of every candidate from its posterior mean and variance; larger is better. */
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
const LOCAL_STARTS = 4;
const LOCAL_ROUNDS = 9;
const LOCAL_TRIES = 14;

/** Candidates from everywhere, around the best and from outside, then local search from the best of them; best first, only allowed points. */
export function hunt(task: Hunt): Found[] {
  const { compiled, anchors, extra, isAllowed, stream } = task;
  const candidates: Codes[] = [...extra];
  for (let i = 0; i < task.globalPoints; i++) candidates.push(globalPoint(task, i));
  const reach = (scale: number, chance: number): Reach => ({ deviations: deviationsOf(task, scale), chance });
  const wide = [reach(0.3, 0.5), reach(0.1, 0.5), reach(0.03, 0.5), reach(0.2, 0.15)];
  for (const anchor of anchors) {
    for (let i = 0; i < PERTURBATIONS_PER_ANCHOR; i++) candidates.push(perturb(compiled, anchor, wide[i % wide.length] as Reach, stream));
    candidates.push(...neighbours(compiled, anchor, stream));
  }
  const allowed: Codes[] = [];
  const extraAt: number[] = [];
  candidates.forEach((codes, i) => {
    if (!isAllowed(codes)) return;
    allowed.push(codes);
    extraAt.push(i < extra.length ? i : -1);
  });
  const scores = scoresOf(task, allowed);
  const found: Found[] = allowed.map((codes, i) => ({
    codes,
    score: scores[i] as number,
    ...((extraAt[i] as number) >= 0 ? { extra: extraAt[i] as number } : {}),
  }));
  found.sort((a, b) => b.score - a.score);
  const starts = found.slice(0, LOCAL_STARTS);
  return [...localSearch(task, starts), ...found].sort((a, b) => b.score - a.score);
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

function scoresOf({ posterior, acquisition, feasibility }: Hunt, candidates: readonly Codes[]): Float64Array {
  const { map } = posterior;
  const features = new Float64Array(candidates.length * map.size);
  candidates.forEach((codes, i) => {
    writeFeatures(map, codes, features, i * map.size);
  });
  const means = new Float64Array(candidates.length);
  const variances = new Float64Array(candidates.length);
  predict(posterior, features, candidates.length, means, variances);
  const chances = feasibility?.(features, candidates.length);
  return means.map((mean, i) => acquisition(mean, variances[i] as number) + (chances?.[i] ?? 0));
}

/** Shrinking random steps and one-level moves from each start; a step is taken when the score rises. */
function localSearch(task: Hunt, starts: readonly Found[]): Found[] {
  const { compiled, isAllowed, stream } = task;
  let current = [...starts];
  for (let round = 0; round < LOCAL_ROUNDS; round++) {
    const scale = 0.25 * 0.55 ** round;
    const reach: Reach = { deviations: deviationsOf(task, scale), chance: round % 3 === 2 ? 0.15 : 0.5 };
    const tries: Codes[] = [];
    const owner: number[] = [];
    current.forEach((start, s) => {
      const moves = round === 0 || round === 4 ? neighbours(compiled, start.codes, stream) : [];
      for (let i = 0; i < LOCAL_TRIES; i++) moves.push(perturb(compiled, start.codes, reach, stream));
      for (const move of moves) {
        if (!isAllowed(move)) continue;
        tries.push(move);
        owner.push(s);
      }
    });
    const scores = scoresOf(task, tries);
    const next = [...current];
    tries.forEach((codes, i) => {
      const s = owner[i] as number;
      if ((scores[i] as number) > (next[s] as Found).score) next[s] = { codes, score: scores[i] as number };
    });
    current = next;
  }
  return current;
}

/** Whether a point has an active continuous parameter: only those without can be exhausted. */
export function hasContinuous(compiled: CompiledSpace, codes: Codes): boolean {
  return compiled.dimensions.some((d, i) => d.kind === 'continuous' && isActive(compiled, codes, i));
}
