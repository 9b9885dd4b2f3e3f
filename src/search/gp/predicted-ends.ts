import type { Objective } from '../../domain/campaign.ts';
import type { Space } from '../../domain/space.ts';
import type { TrialRow } from '../../domain/trial.ts';
import { partialResults } from '../partial.ts';
import { type Codes, codesOf, compileSpace } from '../space.ts';
import { featureMap, featuresOf } from './features.ts';
import { curvePriors, fitHyperparameters, priorMean } from './fit.ts';
import { posteriorOf, predictMeans } from './model.ts';
import { warpLosses } from './warp.ts';

/** Rows without which a model over configuration and step says less than the losses themselves. */
const LEAST_ROWS = 10;
const MOST_FITTED = 120;
/** Rows that the posterior is conditioned on: its cost grows with the cube (10,000 rows would take minutes and 800 MB). */
const MOST_KNOWN = 400;

/**
 * Where trials would end by a Gaussian process over configuration and step, as numbers to rank by (smaller is better), by trial number; undefined while there is
 * too little to learn from. Trials that start slowly but lie where others ended well come out ahead of their last report.
 */
export function predictedEnds(space: Space, objective: Objective, trials: readonly TrialRow[]): Map<number, number> | undefined {
  const compiled = compileSpace(space);
  // Whether stopped or running: reports are reports.
  const open = trials.map((t) => (t.state === 'running' ? { ...t, state: 'pruned' as const } : t));
  const partial = partialResults([objective], open, compiled);
  const map = featureMap(compiled, true);
  if (!partial || partial.codes.length < LEAST_ROWS || map.size < 2) return undefined;
  const losses = warpLosses(partial.losses);
  const stride = Math.ceil(losses.length / MOST_FITTED);
  const chosen = partial.codes.map((_, i) => i).filter((i) => i % stride === 0);
  const priors = curvePriors(map.size);
  const subset = (rows: readonly number[]) => ({
    features: featuresOf(
      map,
      rows.map((i) => partial.codes[i] as Codes),
    ),
    losses: Float64Array.from(rows, (i) => losses[i] as number),
  });
  const sample = subset(chosen);
  const { hyper } = fitHyperparameters(map, sample.features, sample.losses, priors, [priorMean(map, priors)], 15);
  const known = subset(knownRows(losses.length));
  const posterior = posteriorOf(map, hyper, known.features, known.losses, 0);
  const means = predictMeans(
    posterior,
    featuresOf(
      map,
      trials.map((t) => codesOf(compiled, t.params)),
    ),
    trials.length,
  );
  return new Map(trials.map((t, i) => [t.number, means[i] as number]));
}

/** All rows; of more than {@link MOST_KNOWN} the newest half of that, with the trials that are to be judged, and a spread of the older ones. */
function knownRows(count: number): number[] {
  if (count <= MOST_KNOWN) return Array.from({ length: count }, (_, i) => i);
  const newest = MOST_KNOWN / 2;
  const older = count - newest;
  const spread = Array.from({ length: MOST_KNOWN - newest }, (_, k) => Math.floor((k * older) / (MOST_KNOWN - newest)));
  return [...spread, ...Array.from({ length: newest }, (_, k) => older + k)];
}
