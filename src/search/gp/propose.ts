import type { Point } from '../../domain/space.ts';
import type { Suggestion } from '../../domain/trial.ts';
import type { Observations } from '../observations.ts';
import { streamAt } from '../random-stream.ts';
import { type Codes, type CompiledSpace, codesOf, keyOf, pointOf, satisfies } from '../space.ts';
import { type Found, type Hunt, hasContinuous } from './acquire.ts';
import { openBatch } from './batch.ts';
import { fitToCurves } from './curve-fit.ts';
import { chances, conditionModel, type Feasibility, successModel } from './feasibility.ts';
import { type FeatureMap, featureMap, featuresOf } from './features.ts';
import { defaultPriors, fitHyperparameters, priorMean } from './fit.ts';
import { improvement, improvementByNews } from './improvement.ts';
import { addFantasy, type Hyperparameters, type Posterior, posteriorOf, predictMeans } from './model.ts';
import { FIT_ROWS, fitRows, nearest } from './model-rows.ts';
import { isStuck, LEAST_IMPROVEMENT, nearTo } from './novelty.ts';
import { NO_TREND, type Slopes, trendOf, withoutTrend } from './trend.ts';
import { advance, boxAround, NEAREST, TRUST_REGION_DIMENSIONS, TRUST_REGION_TRIALS, type TrustRegion } from './trust-region.ts';
import { warpLosses } from './warp.ts';

/** What is carried from call to call; small JSON. */
export interface GpState {
  readonly hyper?: Hyperparameters;
  /** Results that the hyperparameters were fitted to. */
  readonly fittedAt?: number;
  readonly region?: TrustRegion;
}

export interface Proposal {
  readonly compiled: CompiledSpace;
  readonly seen: Observations;
  readonly state: GpState;
  readonly count: number;
  readonly seed: number;
  /** Number of the first point asked for; each point has a stream of random numbers of its own. */
  readonly firstIndex: number;
  /** Keys of points that may not be proposed; grows by what is proposed. */
  readonly tried: Set<string>;
  /** Proposals of the user or a language model that compete under the same acquisition. */
  readonly candidates: readonly Suggestion[];
  /** Trials of the design, which no model asked for. */
  readonly designed: number;
  readonly usesTrustRegion: boolean;
  readonly origin: string;
}

const ANCHORS = 5;
const GLOBAL_POINTS = 256;
/** Running trials that shrink the variance at most, the newest ones: with hundreds of workers the older are about to end. None is ever proposed again. */
const MOST_FANTASIES = 256;
/** Points of one batch that a model chooses; the cost of each grows with the square of those before it. */
const MOST_OF_A_BATCH = 1_000;
const REFIT_GROWTH = 1.05;
const COLD_START_BELOW = 50;
/** With so many trials running a further one is worth what it brings beyond the best of them, not beyond the best mean: that much less, in standard deviations. */
const CROWD = 16;
const BEYOND_CROWD = 0.3;
/** Of the points that a stuck search proposes one in so many goes on refining its best; the others break new ground. */
const REFINING = 4;

/** Points of greatest expected improvement, one after another, each becoming a fantasy for the next. Fewer than asked when nothing new was found, and of thousands. */
export function proposeByGp(task: Proposal): { suggestions: Suggestion[]; state: GpState } {
  const { compiled, seen } = task;
  const { partial } = seen;
  const count = Math.min(task.count, MOST_OF_A_BATCH);
  const map = featureMap(compiled, partial !== undefined);
  if (map.size === 0) return { suggestions: [], state: task.state };
  const isLocal = task.usesTrustRegion && (map.size > TRUST_REGION_DIMENSIONS || seen.codes.length > TRUST_REGION_TRIALS);
  const region = isLocal ? advance(task.state.region, seen.losses, map.size) : undefined;
  const measured = seen.measured.map((_, i) => i).filter((i) => !Number.isNaN(seen.measured[i] as number));
  const ended = measured.map((i) => seen.codes[i] as Codes);
  // With early stopping every report is a row; without, the ends are.
  const codes = partial?.codes ?? ended;
  const losses = warpLosses(partial?.losses ?? measured.map((i) => seen.measured[i] as number));
  // Who chooses with few results to each running trial chooses by what is assumed. With 8 workers a trend gained nothing at 100 results, and lost in noisy tables.
  const isCrowded = (k: number) => seen.pending.length + k >= CROWD;
  const slopes = !partial && isCrowded(count - 1) ? trendOf(map, featuresOf(map, codes), losses) : NO_TREND;
  const { hyper, fittedAt } = partial ? fitToCurves(map, partial, losses, task.state) : fitted(task, map, codes, losses, slopes);
  const rows = region || codes.length > 2 * NEAREST ? nearest(map, hyper, codes, losses) : codes.map((_, i) => i);
  const known = rows.map((i) => codes[i] as Codes);
  const pending = seen.pending.slice(-MOST_FANTASIES);
  const posterior = posteriorOf(
    map,
    hyper,
    featuresOf(map, known),
    Float64Array.from(rows, (i) => losses[i] as number),
    pending.length + count,
    slopes,
  );
  const pendingFeatures = featuresOf(map, pending);
  for (let i = 0; i < pending.length; i++) addFantasy(posterior, pendingFeatures, i * map.stride);

  const feasibility = chances([
    successModel(map, hyper, seen.codes.slice(-NEAREST), seen.measured.map((m) => Number.isNaN(m)).slice(-NEAREST)),
    ...seen.margins.map((column) => conditionModel(map, seen.codes.slice(-NEAREST), column.slice(-NEAREST))),
  ]);
  const incumbents = incumbentsOf(seen, measured, partial ? undefined : rows);
  const standing = withMeans(posterior, [...incumbents, ...pending]);
  const taken = [...(rows.length < codes.length ? known : seen.codes), ...pending];
  const isCountable = compiled.cardinality !== Number.POSITIVE_INFINITY;
  // In a finite space no point is proposed twice anyway; under a pruner many trials are begun that were never meant to improve; and where conditions on metrics
  // hold a search at their edge, new ground is what breaks them.
  const isFree = !isCountable && !partial && seen.margins.length === 0;
  const model = { map, posterior, feasibility, region };
  const looksElsewhere = isFree && isStuck(feasible(seen, measured, losses), task.designed);
  const suggestions: Suggestion[] = [];
  const next = openBatch((found) => firstNew(task, found));
  for (let k = 0; k < count; k++) {
    const isNewGround = looksElsewhere && (task.firstIndex + k) % REFINING !== 0;
    // On bench/search with 64 workers 0.6 and 1 gained no more; in finite spaces it gained nothing.
    const ambition = isFree && isCrowded(k) ? BEYOND_CROWD : 0;
    const hunted = huntOf(task, { ...model, ambition }, standing, isNewGround ? taken : undefined, task.firstIndex + k);
    const chosen = next(hunted, k, isNewGround);
    if (!chosen) break;
    task.tried.add(keyOf(compiled, chosen.params));
    suggestions.push(chosen);
    const added = codesOf(compiled, chosen.params);
    // A fantasy stands at its mean: the means of all others stay.
    standing.push(...withMeans(posterior, [added]));
    taken.push(added);
    if (k + 1 < count) addFantasy(posterior, featuresOf(map, [added]), 0);
  }
  return { suggestions, state: { hyper, fittedAt, ...(region ? { region } : {}) } };
}

interface Standing {
  readonly codes: Codes;
  readonly mean: number;
}

function withMeans(posterior: Posterior, points: readonly Codes[]): Standing[] {
  const means = predictMeans(posterior, featuresOf(posterior.map, points), points.length);
  return points.map((codes, i) => ({ codes, mean: means[i] as number }));
}

/**
 * Ended trials one of which is the best: of those that the model knows (`rows`, positions in `measured`; absent: all) the feasible ones, or all of them where
 * none is. Of thousands the model keeps the neighbourhood of the best only, and has nothing to say of the others.
 */
function incumbentsOf(seen: Observations, measured: readonly number[], rows?: readonly number[]): Codes[] {
  const known = rows ? rows.map((row) => measured[row] as number) : measured;
  const isFeasible = (i: number) => !Number.isNaN(seen.losses[i] as number);
  const chosen = [known, measured].map((list) => list.filter(isFeasible)).find((list) => list.length > 0) ?? known;
  return chosen.map((i) => seen.codes[i] as Codes);
}

/** Carried hyperparameters, fitted anew after every 5 % of new results; while there are few, from the prior's mean too. */
function fitted(
  task: Proposal,
  map: FeatureMap,
  codes: readonly Codes[],
  losses: Float64Array,
  slopes: Slopes,
): { hyper: Hyperparameters; fittedAt: number } {
  const n = losses.length;
  const { hyper: old, fittedAt = 0 } = task.state;
  const isUsable = old !== undefined && old.logLengths.length === map.size;
  if (isUsable && n < fittedAt * REFIT_GROWTH + 0.5) return { hyper: old, fittedAt };
  const priors = defaultPriors(map.size);
  const rows = fitRows(losses, task.seed);
  const starts = isUsable ? [old] : [];
  if (!isUsable || n < COLD_START_BELOW) starts.push(priorMean(map, priors));
  const features = featuresOf(
    map,
    rows.map((i) => codes[i] as Codes),
  );
  const iterations = starts.length === 2 || n > FIT_ROWS ? 15 : 30;
  const rest = withoutTrend(
    map,
    slopes,
    features,
    Float64Array.from(rows, (i) => losses[i] as number),
  );
  const { hyper } = fitHyperparameters(map, features, rest, priors, starts, iterations);
  return { hyper, fittedAt: n };
}

interface Model {
  readonly map: FeatureMap;
  readonly posterior: Posterior;
  readonly feasibility: Feasibility | undefined;
  readonly region: TrustRegion | undefined;
  /** How far beyond the best mean an improvement begins, in standard deviations of the losses. */
  readonly ambition: number;
}

/** Losses of the feasible trials among the measured ones. */
function feasible(seen: Observations, measured: readonly number[], losses: Float64Array): number[] {
  return measured.flatMap((i, k) => (Number.isNaN(seen.losses[i] as number) ? [] : [losses[k] as number]));
}

/** The hunt for one point among what is standing: ended and pending trials. On new ground it keeps away from all that were `taken`. */
function huntOf(
  task: Proposal,
  { map, posterior, feasibility, region, ambition }: Model,
  standing: readonly Standing[],
  taken: readonly Codes[] | undefined,
  index: number,
): Hunt {
  const { compiled, tried } = task;
  const order = standing.map((_, i) => i).sort((a, b) => (standing[a] as Standing).mean - (standing[b] as Standing).mean || a - b);
  // The best posterior mean, not the best observation: a lucky noisy result is not an incumbent.
  const incumbent = (standing[order[0] as number] as Standing).mean;
  const acquisition = taken
    ? improvementByNews(incumbent - LEAST_IMPROVEMENT, Math.exp(posterior.hyper.logNoise))
    : improvement(incumbent - ambition);
  const isNear = taken ? nearTo(compiled, taken) : () => false;
  const isCountable = compiled.cardinality !== Number.POSITIVE_INFINITY;
  const anchors = order.slice(0, ANCHORS).map((i) => (standing[i] as Standing).codes);
  return {
    compiled,
    posterior,
    acquisition,
    feasibility,
    anchors,
    extra: task.candidates.map((c) => codesOf(compiled, c.params)),
    isAllowed: (codes) => {
      const needsKey = isCountable || !hasContinuous(compiled, codes);
      if (isNear(codes)) return false;
      if (!needsKey && compiled.constraints.length === 0) return true;
      const point = pointOf(compiled, codes);
      return satisfies(compiled, point) && !(needsKey && tried.has(keyOf(compiled, point)));
    },
    ...(region ? { box: boxAround(compiled, map, posterior.hyper, anchors[0] as Codes, region.length) } : {}),
    stream: streamAt(task.seed, 'gp', index),
    seed: task.seed,
    index,
    globalPoints: GLOBAL_POINTS,
  };
}

function firstNew({ compiled, tried, candidates, origin }: Proposal, found: readonly Found[]): Suggestion | undefined {
  for (const { codes, extra } of found) {
    const params: Point = pointOf(compiled, codes);
    // A continuous code may round to a point that was tried, or over a constraint's edge.
    if (tried.has(keyOf(compiled, params)) || !satisfies(compiled, params)) continue;
    return extra === undefined ? { params, origin } : { ...(candidates[extra] as Suggestion), params };
  }
  return undefined;
}
