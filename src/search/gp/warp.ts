import { normalQuantile } from './normal.ts';

/**
 * Losses made fit for a Gaussian process: the better half keeps its distances; of the worse half only the order counts (half-rank warping, as in
 * Vizier's Gaussian process bandit, Song and others 2024), so that diverged trainings don't flatten what matters; then mean 0 and variance 1.
 * A failed trial (NaN) becomes as bad as the worst. Order is kept; equal losses stay equal.
 */
export function warpLosses(losses: readonly number[]): Float64Array {
  const out = Float64Array.from(losses);
  const finite = losses.filter(Number.isFinite).sort((a, b) => a - b);
  const n = finite.length;
  if (n === 0) return out.fill(0);
  const median = n % 2 ? (finite[(n - 1) / 2] as number) : ((finite[n / 2 - 1] as number) + (finite[n / 2] as number)) / 2;
  const good = finite.filter((x) => x <= median);
  const spread = Math.sqrt(good.reduce((sum, x) => sum + (x - median) ** 2, 0) / good.length) || finiteSpread(finite, median);
  const position = new Map<number, number>();
  finite.forEach((x, i) => {
    // Equal losses share the position of the last of them.
    position.set(x, i + 1);
  });
  const warped = (x: number): number => {
    if (x <= median) return x;
    const quantile = ((position.get(x) as number) - 0.5) / n;
    return median + spread * normalQuantile(Math.max(0.5, quantile));
  };
  for (let i = 0; i < out.length; i++) out[i] = Number.isFinite(losses[i]) ? warped(losses[i] as number) : Number.NaN;
  const worst = warped(finite[n - 1] as number);
  for (let i = 0; i < out.length; i++) if (Number.isNaN(out[i] as number)) out[i] = worst;
  standardise(out);
  return out;
}

function finiteSpread(sorted: readonly number[], median: number): number {
  return (sorted[sorted.length - 1] as number) - median || 1;
}

function standardise(values: Float64Array): void {
  let sum = 0;
  for (const v of values) sum += v;
  const mean = sum / values.length;
  let square = 0;
  for (const v of values) square += (v - mean) ** 2;
  const deviation = Math.sqrt(square / values.length);
  for (let i = 0; i < values.length; i++) values[i] = deviation > 0 ? ((values[i] as number) - mean) / deviation : 0;
}
