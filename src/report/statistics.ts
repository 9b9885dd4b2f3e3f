/** Count, extremes, mean, standard deviation (n − 1; 0 for one value) and median of finite values; undefined without any. */
export interface Statistics {
  readonly count: number;
  readonly mean: number;
  readonly std: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Statistics of the finite values; undefined when there are none. */
export function statistics(values: readonly number[]): Statistics | undefined {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const count = sorted.length;
  if (count === 0) return undefined;
  const mean = sorted.reduce((sum, value) => sum + value / count, 0);
  const squares = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const middle = sorted[Math.floor(count / 2)] as number;
  const median = count % 2 === 1 ? middle : ((sorted[count / 2 - 1] as number) + middle) / 2;
  return {
    count,
    mean,
    std: count === 1 ? 0 : Math.sqrt(squares / (count - 1)),
    median,
    min: sorted[0] as number,
    max: sorted[count - 1] as number,
  };
}
