const SQRT_PI = Math.sqrt(Math.PI);
const LOG_SQRT_2PI = 0.5 * Math.log(2 * Math.PI);

/** exp(x²) erfc(x) for x ≥ 0: power series of erf below 2, continued fraction (Abramowitz and Stegun 7.1.14) above. */
export function erfcx(x: number): number {
  if (x < 2) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 80 && term > 1e-17 * sum; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    // sum holds exp(x²) erf(x) √π / 2.
    return Math.exp(x * x) - (2 / SQRT_PI) * sum;
  }
  let fraction = x;
  const terms = x < 4 ? 80 : 30;
  for (let n = terms; n > 0; n--) fraction = x + n / 2 / fraction;
  return 1 / (SQRT_PI * fraction);
}

/** Standard normal distribution function. */
export function normalCdf(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const tail = 0.5 * erfcx(z) * Math.exp(-z * z);
  return x < 0 ? tail : 1 - tail;
}

/**
 * log(φ(u) + u Φ(u)): the logarithm of expected improvement per unit of deviation, without underflow or cancellation for any u
 * (the form of Ament and others, "Unexpected improvements to expected improvement", 2023).
 */
export function logExpectedImprovement(u: number): number {
  if (u > -1) return Math.log(Math.exp(-0.5 * u * u - LOG_SQRT_2PI) + u * normalCdf(u));
  const a = -u;
  const base = -0.5 * u * u - LOG_SQRT_2PI;
  // 1 - a √(π/2) erfcx(a/√2) tends to 1/a²; beyond 1000 its own series is exact to the last digit.
  if (a > 1000) return base - 2 * Math.log(a) + Math.log1p(-3 / (a * a));
  return base + Math.log(1 - a * Math.sqrt(Math.PI / 2) * erfcx(a / Math.SQRT2));
}

/** Inverse of {@link normalCdf}, by Newton steps on its logarithm. */
export function normalQuantile(p: number): number {
  if (p <= 0) return Number.NEGATIVE_INFINITY;
  if (p >= 1) return Number.POSITIVE_INFINITY;
  if (p > 0.5) return -normalQuantile(1 - p);
  let x = p < 0.1 ? -Math.sqrt(-2 * Math.log(p * 2.5)) : Math.log(p / (1 - p)) / 1.702;
  for (let i = 0; i < 60; i++) {
    const density = Math.exp(-0.5 * x * x - LOG_SQRT_2PI);
    const cdf = normalCdf(x);
    const step = (Math.log(cdf) - Math.log(p)) * (cdf / density);
    x -= Math.max(-1, Math.min(1, step));
    if (Math.abs(step) < 1e-14 * Math.max(1, Math.abs(x))) break;
  }
  return x;
}
