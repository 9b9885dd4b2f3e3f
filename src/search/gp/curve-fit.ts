import type { PartialResults } from '../partial.ts';
import type { Codes } from '../space.ts';
import { type FeatureMap, featuresOf } from './features.ts';
import { curvePriors, fitHyperparameters, priorMean } from './fit.ts';
import type { Hyperparameters } from './model.ts';

/** Rows of one fit at most. With 60 the regret was higher (bench/search fidelity, 11 runs). */
const FIT_ROWS = 150;
const COLD_STEPS = 30;
const WARM_STEPS = 10;
const REFIT_GROWTH = 1.08;

/** What is carried from call to call. */
export interface CurveFit {
  readonly hyper?: Hyperparameters;
  /** Reports that the hyperparameters were fitted to. */
  readonly fittedAt?: number;
}

/**
 * Hyperparameters of the model over configuration and step from an even choice of the reports: carried ones, fitted anew after every 8 % of new reports. The choice
 * moves on with their number, so that in time every report has had its say.
 */
export function fitToCurves(
  map: FeatureMap,
  { codes }: PartialResults,
  losses: Float64Array,
  { hyper: old, fittedAt = 0 }: CurveFit,
): Required<CurveFit> {
  const isUsable = old !== undefined && old.logLengths.length === map.size && old.logGain !== undefined;
  if (isUsable && losses.length < fittedAt * REFIT_GROWTH) return { hyper: old, fittedAt };
  const stride = Math.ceil(losses.length / FIT_ROWS);
  const rows = codes.map((_, i) => i).filter((i) => i % stride === losses.length % stride);
  const features = featuresOf(
    map,
    rows.map((i) => codes[i] as Codes),
  );
  const priors = curvePriors(map.size);
  const values = Float64Array.from(rows, (i) => losses[i] as number);
  const start = isUsable ? old : priorMean(map, priors);
  const { hyper } = fitHyperparameters(map, features, values, priors, [start], isUsable ? WARM_STEPS : COLD_STEPS);
  return { hyper, fittedAt: losses.length };
}
