import type { Acquisition } from './acquire.ts';
import { logExpectedImprovement } from './normal.ts';

/** Log of the expected improvement below `incumbent`. */
export function improvement(incumbent: number): Acquisition {
  return (mean, variance) => {
    const deviation = Math.sqrt(variance);
    return Math.log(deviation) + logExpectedImprovement((incumbent - mean) / deviation);
  };
}

/**
 * The same, augmented (Huang and others 2006, eq. 13): less where one more result would hardly change what is known, because the noise is greater than what is left of
 * the variance.
 */
export function improvementByNews(incumbent: number, noise: number): Acquisition {
  const plain = improvement(incumbent);
  return (mean, variance) => plain(mean, variance) + Math.log1p(-Math.sqrt(noise / (variance + noise)));
}
