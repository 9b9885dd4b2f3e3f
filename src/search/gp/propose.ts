import type { Point } from '../../domain/space.ts';
import type { Suggestion } from '../../domain/trial.ts';
import type { Observations } from '../observations.ts';
import { streamAt } from '../random-stream.ts';
import { type Codes, type CompiledSpace, codesOf, keyOf, pointOf, satisfies } from '../space.ts';
import { type Acquisition, type Found, hasContinuous, hunt } from './acquire.ts';
import { fitToCurves } from './curve-fit.ts';
import { chances, conditionModel, type Feasibility, successModel } from './feasibility.ts';
import { type FeatureMap, featureMap, featuresOf } from './features.ts';
import { defaultPriors, fitHyperparameters, priorMean } from './fit.ts';
import { addFantasy, type Hyperparameters, type Posterior, posteriorOf, predictMeans } from './model.ts';
import { logExpectedImprovement } from './normal.ts';
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
  readonly usesTrustRegion: boolean;
  readonly origin: string;
}

const ANCHORS = 5;
const GLOBAL_POINTS = 256;
/** Rows that hyperparameters are fitted to at most: the cost of a step grows with the cube. */
const FIT_ROWS = 200;
/** Running trials that shrink the variance at most, the newest ones: with hundreds of workers the older are about to end. None is ever proposed again. */
const MOST_FANTASIES = 256;
const REFIT_GROWTH = 1.05;
const COLD_START_BELOW = 50;

/** Points of greatest expected improvement, one after another, each becoming a fantasy for the next. Fewer than asked when nothing new was found. */
export function proposeByGp(task: Proposal): { suggestions: Suggestion[]; state: GpState } {
  const { compiled, seen } = task;
  const { partial } = seen;
  const map = featureMap(compiled, partial !== undefined);
  if (map.size === 0) return { suggestions: [], state: task.state };
  const isLocal = task.usesTrustRegion && (map.size > TRUST_REGION_DIMENSIONS || seen.codes.length > TRUST_REGION_TRIALS);
  const region = isLocal ? advance(task.state.region, seen.losses, map.size) : undefined;
  const measured = seen.measured.map((_, i) => i).filter((i) => !Number.isNaN(seen.measured[i] as number));
  const ended = measured.map((i) => seen.codes[i] as Codes);
  // With early stopping every report is a row; without, the ends are.
  const codes = partial?.codes ?? ended;
  const losses = warpLosses(partial?.losses ?? measured.map((i) => seen.measured[i] as number));
  const { hyper, fittedAt } = partial ? fitToCurves(map, partial, losses, task.state) : fitted(task, map, codes, losses);
  const rows = region || codes.length > 2 * NEAREST ? nearest(map, hyper, codes, losses) : codes.map((_, i) => i);
  const known = rows.map((i) => codes[i] as Codes);
  const pending = seen.pending.slice(-MOST_FANTASIES);
  const posterior = posteriorOf(
    map,
    hyper,
    featuresOf(map, known),
    Float64Array.from(rows, (i) => losses[i] as number),
    pending.length + task.count,
  );
  const pendingFeatures = featuresOf(map, pending);
  for (let i = 0; i < pending.length; i++) addFantasy(posterior, pendingFeatures, i * map.size);

  const isBroken = measured.map((i) => Number.isNaN(seen.losses[i] as number));
  const feasibility = chances([
    successModel(map, hyper, seen.codes.slice(-NEAREST), seen.measured.map((m) => Number.isNaN(m)).slice(-NEAREST)),
    ...seen.margins.map((column) => conditionModel(map, hyper, seen.codes.slice(-NEAREST), column.slice(-NEAREST))),
  ]);
  // Only a feasible point can be the incumbent, unless there is none.
  const incumbents = ended.filter((_, i) => !isBroken[i]);
  const model: Model = { map, posterior, feasibility, incumbents: incumbents.length > 0 ? incumbents : ended, region };
  const suggestions: Suggestion[] = [];
  for (let k = 0; k < task.count; k++) {
    const chosen = nextPoint(task, model, pending, task.firstIndex + k);
    if (!chosen) break;
    task.tried.add(keyOf(compiled, chosen.params));
    suggestions.push(chosen);
    const added = codesOf(compiled, chosen.params);
    pending.push(added);
    if (k + 1 < task.count) addFantasy(posterior, featuresOf(map, [added]), 0);
  }
  return { suggestions, state: { hyper, fittedAt, ...(region ? { region } : {}) } };
}

/** Carried hyperparameters, fitted anew after every 5 % of new results; while there are few, from the prior's mean too. */
function fitted(
  task: Proposal,
  map: FeatureMap,
  codes: readonly Codes[],
  losses: Float64Array,
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
  const { hyper } = fitHyperparameters(
    map,
    features,
    Float64Array.from(rows, (i) => losses[i] as number),
    priors,
    starts,
    iterations,
  );
  return { hyper, fittedAt: n };
}

/** The best quarter and a random rest. */
function fitRows(losses: Float64Array, seed: number): number[] {
  const order = Array.from(losses, (_, i) => i);
  if (order.length <= FIT_ROWS) return order;
  order.sort((a, b) => (losses[a] as number) - (losses[b] as number) || a - b);
  const best = order.slice(0, FIT_ROWS / 4);
  const rest = order.slice(FIT_ROWS / 4);
  const stream = streamAt(seed, 'fit-rows', losses.length);
  for (let k = 0; k < FIT_ROWS - best.length; k++) {
    const j = k + stream.integer(rest.length - k);
    [rest[k], rest[j]] = [rest[j] as number, rest[k] as number];
  }
  return [...best, ...rest.slice(0, FIT_ROWS - best.length)].sort((a, b) => a - b);
}

/** Rows nearest to the best one, measured in length scales. */
function nearest(map: FeatureMap, hyper: Hyperparameters, codes: readonly Codes[], losses: Float64Array): number[] {
  const order = codes.map((_, i) => i);
  if (order.length <= NEAREST) return order;
  const features = featuresOf(map, codes);
  const weights = hyper.logLengths.map((log) => Math.exp(-2 * log));
  let best = 0;
  for (let i = 1; i < losses.length; i++) if ((losses[i] as number) < (losses[best] as number)) best = i;
  const distances = order.map((i) => {
    let sum = 0;
    for (let k = 0; k < map.size; k++) {
      const d = (features[i * map.size + k] as number) - (features[best * map.size + k] as number);
      sum += (weights[k] as number) * (k < map.numeric ? d * d : d === 0 ? 0 : 1);
    }
    return sum;
  });
  return order
    .sort((a, b) => (distances[a] as number) - (distances[b] as number) || a - b)
    .slice(0, NEAREST)
    .sort((a, b) => a - b);
}

interface Model {
  readonly map: FeatureMap;
  readonly posterior: Posterior;
  readonly feasibility: Feasibility | undefined;
  /** Points one of which is the best: feasible ones, where there are any. */
  readonly incumbents: readonly Codes[];
  readonly region: TrustRegion | undefined;
}

function nextPoint(task: Proposal, model: Model, pending: readonly Codes[], index: number): Suggestion | undefined {
  const { compiled, tried } = task;
  const { map, posterior, feasibility, incumbents, region } = model;
  const everything = [...incumbents, ...pending];
  const means = predictMeans(posterior, featuresOf(map, everything), everything.length);
  const order = everything.map((_, i) => i).sort((a, b) => (means[a] as number) - (means[b] as number) || a - b);
  // The best posterior mean, not the best observation: a lucky noisy result is not an incumbent.
  const incumbent = means[order[0] as number] as number;
  const acquisition: Acquisition = (mean, variance) => {
    const deviation = Math.sqrt(variance);
    return Math.log(deviation) + logExpectedImprovement((incumbent - mean) / deviation);
  };
  const isCountable = compiled.cardinality !== Number.POSITIVE_INFINITY;
  const anchors = order.slice(0, ANCHORS).map((i) => everything[i] as Codes);
  const found = hunt({
    compiled,
    posterior,
    acquisition,
    feasibility,
    anchors,
    extra: task.candidates.map((c) => codesOf(compiled, c.params)),
    isAllowed: (codes) => {
      const needsKey = isCountable || !hasContinuous(compiled, codes);
      if (!needsKey && compiled.constraints.length === 0) return true;
      const point = pointOf(compiled, codes);
      return satisfies(compiled, point) && !(needsKey && tried.has(keyOf(compiled, point)));
    },
    ...(region ? { box: boxAround(compiled, map, posterior.hyper, anchors[0] as Codes, region.length) } : {}),
    stream: streamAt(task.seed, 'gp', index),
    seed: task.seed,
    index,
    globalPoints: GLOBAL_POINTS,
  });
  return firstNew(task, found);
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
