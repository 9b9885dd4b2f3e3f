import { cholesky, inverseFromLower, invertLower, multiplyLower, multiplyLowerTransposed } from './cholesky.ts';
import { depthOf, type FeatureMap, hasReports } from './features.ts';
import { ADDITIVE_SHARPNESS, type Hyperparameters, JITTER } from './model.ts';

const SQRT5 = Math.sqrt(5);

/** Log-normal priors of the hyperparameters: mean and standard deviation of each logarithm. */
export interface Priors {
  readonly length: readonly [mean: number, deviation: number];
  readonly amplitude: readonly [mean: number, deviation: number];
  readonly noise: readonly [mean: number, deviation: number];
  readonly additive: readonly [mean: number, deviation: number];
  /** Absent where all rows are ends. */
  readonly gain?: readonly [mean: number, deviation: number];
}

/** Length scales grow with the square root of the dimension (Hvarfner, Hellsten and Nardi 2024), so that a point in many dimensions still has neighbours. */
export function defaultPriors(dimensions: number): Priors {
  return { length: [Math.SQRT2 + Math.log(dimensions) / 2 - 1.7, Math.sqrt(3)], amplitude: [0, 1], noise: [-6, 2], additive: [0, 1] };
}

/** For reports of unfinished trainings: more noise, and gains of each training's own (bench/results/search-early-stopping.md). */
export function curvePriors(dimensions: number): Priors {
  return { ...defaultPriors(dimensions), noise: [-4, 1], gain: [-2, 1] };
}

export function priorMean(map: FeatureMap, priors: Priors): Hyperparameters {
  return {
    logLengths: Array.from({ length: map.size }, () => priors.length[0]),
    logAmplitude: priors.amplitude[0],
    logNoise: priors.noise[0],
    logAdditive: priors.additive[0],
    ...(priors.gain ? { logGain: priors.gain[0] } : {}),
  };
}

/** The hyperparameters as the vector that is optimised: lengths, amplitude, noise, additive part and, where there is one, the gains' part. */
export function thetaOf({ logLengths, logAmplitude, logNoise, logAdditive, logGain }: Hyperparameters): Float64Array {
  return Float64Array.from([...logLengths, logAmplitude, logNoise, logAdditive, ...(logGain === undefined ? [] : [logGain])]);
}

function hyperOf(theta: Float64Array, size: number): Hyperparameters {
  return {
    logLengths: [...theta.subarray(0, size)],
    logAmplitude: theta[size] as number,
    logNoise: theta[size + 1] as number,
    logAdditive: theta[size + 2] as number,
    ...(theta.length > size + 3 ? { logGain: theta[size + 3] as number } : {}),
  };
}

/** Two reports of one training, j < i, and the product of the shares of the gains that are ahead of each. */
interface Siblings {
  readonly i: number;
  readonly j: number;
  readonly ahead: number;
}

interface Workspace {
  readonly n: number;
  /** Squared differences (1 for unequal categories), one block of n(n-1)/2 pairs per feature. */
  readonly differences: readonly Float64Array[];
  /** Squares of the shares of the gains that are ahead of each row. */
  readonly ahead: Float64Array;
  readonly siblings: readonly Siblings[];
  readonly matrix: Float64Array;
  readonly derivative: Float64Array;
  readonly additive: Float64Array;
  readonly factorInverse: Float64Array;
  readonly inverse: Float64Array;
}

function workspaceOf(map: FeatureMap, features: Float64Array, n: number): Workspace {
  const differences = Array.from({ length: map.size }, (_, k) => {
    const block = new Float64Array((n * (n - 1)) / 2);
    let p = 0;
    for (let i = 1; i < n; i++)
      for (let j = 0; j < i; j++) {
        const d = (features[i * map.stride + k] as number) - (features[j * map.stride + k] as number);
        block[p++] = k < map.numeric ? d * d : d === 0 ? 0 : 1;
      }
    return block;
  });
  const pairs = () => new Float64Array((n * (n - 1)) / 2);
  const square = () => new Float64Array(n * n);
  return {
    n,
    differences,
    ...gainsOf(map, features, n, differences),
    matrix: square(),
    derivative: pairs(),
    additive: pairs(),
    factorInverse: square(),
    inverse: square(),
  };
}

function gainsOf(
  map: FeatureMap,
  features: Float64Array,
  n: number,
  differences: readonly Float64Array[],
): Pick<Workspace, 'ahead' | 'siblings'> {
  const siblings: Siblings[] = [];
  if (!hasReports(map)) return { ahead: new Float64Array(n), siblings };
  const share = (i: number) => features[i * map.stride + map.size] as number;
  const others = differences.filter((_, k) => k !== depthOf(map));
  let p = 0;
  for (let i = 1; i < n; i++)
    for (let j = 0; j < i; j++, p++) if (others.every((block) => block[p] === 0)) siblings.push({ i, j, ahead: share(i) * share(j) });
  return { ahead: Float64Array.from({ length: n }, (_, i) => share(i) ** 2), siblings };
}

/**
 * Negative log posterior density of the hyperparameters θ (see {@link thetaOf}), per the marginal likelihood of Rasmussen and Williams (2006, eq. 2.30
 * and 5.9), and its gradient. Infinity when the covariance is not positive definite.
 */
export function negativeLogPosterior(
  workspace: Workspace,
  losses: Float64Array,
  priors: Priors,
  theta: Float64Array,
  gradient: Float64Array,
): number {
  const { n, differences, ahead, siblings, matrix, derivative, additive, factorInverse, inverse } = workspace;
  const size = differences.length;
  const gain = theta.length > size + 3 ? Math.exp(theta[size + 3] as number) : 0;
  const amplitude = Math.exp(theta[size] as number);
  const noise = Math.exp(theta[size + 1] as number);
  const share = Math.exp(theta[size + 2] as number) / size;
  const weights = Float64Array.from({ length: size }, (_, k) => Math.exp(-2 * (theta[k] as number)));
  derivative.fill(0);
  additive.fill(0);
  for (let k = 0; k < size; k++) {
    const block = differences[k] as Float64Array;
    const weight = weights[k] as number;
    for (let p = 0; p < block.length; p++) {
      const u = weight * (block[p] as number);
      derivative[p] = (derivative[p] as number) + u;
      additive[p] = (additive[p] as number) + 1 / (1 + ADDITIVE_SHARPNESS * u);
    }
  }
  // `derivative` holds r² here and -2 dk/d(r²) afterwards.
  let p = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++, p++) {
      const r2 = derivative[p] as number;
      const s = SQRT5 * Math.sqrt(r2);
      const decay = amplitude * Math.exp(-s);
      matrix[i * n + j] = decay * (1 + s + (5 / 3) * r2) + share * (additive[p] as number);
      derivative[p] = decay * (5 / 3) * (1 + s);
    }
    matrix[i * n + i] = amplitude + share * size + gain * (ahead[i] as number) + noise + JITTER;
  }
  const kernel = matrix.slice();
  for (const { i, j, ahead } of siblings) matrix[i * n + j] = (matrix[i * n + j] as number) + gain * ahead;
  if (!cholesky(matrix, n, n)) return Number.POSITIVE_INFINITY;
  invertLower(matrix, n, n, factorInverse);
  inverseFromLower(factorInverse, n, n, inverse);
  const half = new Float64Array(n);
  const alpha = new Float64Array(n);
  multiplyLower(factorInverse, n, n, losses, half);
  multiplyLowerTransposed(factorInverse, n, n, half, alpha);
  let value = 0;
  for (let i = 0; i < n; i++) value += 0.5 * (half[i] as number) ** 2 + Math.log(matrix[i * n + i] as number);
  gradient.fill(0);
  // With W = K⁻¹ - ααᵀ the gradient is ½ Σ W ∂K; pairs are counted once, so the ½ falls away off the diagonal.
  let trace = 0;
  let amplitudeSum = 0;
  let additiveSum = 0;
  let gainSum = 0;
  p = 0;
  for (let i = 0; i < n; i++) {
    const a = alpha[i] as number;
    for (let j = 0; j < i; j++, p++) {
      const w = (inverse[i * n + j] as number) - a * (alpha[j] as number);
      const part = share * (additive[p] as number);
      amplitudeSum += w * ((kernel[i * n + j] as number) - part);
      additiveSum += w * part;
      derivative[p] = w * (derivative[p] as number);
      additive[p] = w;
    }
    const w = (inverse[i * n + i] as number) - a * a;
    trace += w;
    gainSum += 0.5 * w * (ahead[i] as number);
  }
  for (const { i, j, ahead } of siblings) gainSum += ((inverse[i * n + j] as number) - (alpha[i] as number) * (alpha[j] as number)) * ahead;
  for (let k = 0; k < size; k++) {
    const block = differences[k] as Float64Array;
    const weight = weights[k] as number;
    const sharp = ADDITIVE_SHARPNESS * weight;
    let product = 0;
    let sum = 0;
    for (let q = 0; q < block.length; q++) {
      const d = block[q] as number;
      const u = 1 + sharp * d;
      product += (derivative[q] as number) * d;
      sum += ((additive[q] as number) * d) / (u * u);
    }
    gradient[k] = weight * product + 2 * share * sharp * sum;
  }
  gradient[size] = amplitudeSum + 0.5 * trace * amplitude;
  gradient[size + 1] = 0.5 * trace * noise;
  gradient[size + 2] = additiveSum + 0.5 * trace * share * size;
  if (theta.length > size + 3) gradient[size + 3] = gainSum * gain;
  const others = [priors.amplitude, priors.noise, priors.additive, priors.gain];
  for (let k = 0; k < theta.length; k++) {
    const [mean, deviation] = others[k - size] ?? priors.length;
    const z = ((theta[k] as number) - mean) / deviation;
    value += 0.5 * z * z;
    gradient[k] = (gradient[k] as number) + z / deviation;
  }
  return value;
}

export interface Fit {
  readonly hyper: Hyperparameters;
  /** Negative log posterior at the end, for comparing starts. */
  readonly value: number;
}

/** Maximum a posteriori hyperparameters from one start, by L-BFGS with at most `iterations` steps. */
export function fitHyperparameters(
  map: FeatureMap,
  features: Float64Array,
  losses: Float64Array,
  priors: Priors,
  starts: readonly Hyperparameters[],
  iterations: number,
): Fit {
  const workspace = workspaceOf(map, features, losses.length);
  let best: Fit | undefined;
  for (const start of starts) {
    const { x, value } = minimise(
      thetaOf(start),
      (theta, gradient) => negativeLogPosterior(workspace, losses, priors, theta, gradient),
      iterations,
    );
    if (!best || value < best.value) best = { hyper: hyperOf(x, map.size), value };
  }
  return best as Fit;
}

/** Objective of {@link negativeLogPosterior} for tests and tools, on raw rows. */
export function posteriorObjective(map: FeatureMap, features: Float64Array, losses: Float64Array, priors: Priors) {
  const workspace = workspaceOf(map, features, losses.length);
  return (theta: Float64Array, gradient: Float64Array) => negativeLogPosterior(workspace, losses, priors, theta, gradient);
}

const MEMORY = 8;
/** Logarithms stay where exp() and the factorisation are well behaved. */
const BOUND = 12;

/** L-BFGS (Nocedal and Wright 2006, algorithm 7.4) with backtracking; ends when a step gains less than 1e-4. */
function minimise(
  start: Float64Array,
  objective: (x: Float64Array, gradient: Float64Array) => number,
  iterations: number,
): { x: Float64Array; value: number } {
  const size = start.length;
  let x = start;
  let gradient: Float64Array = new Float64Array(size);
  let value = objective(x, gradient);
  const steps: Float64Array[] = [];
  const changes: Float64Array[] = [];
  for (let iteration = 0; iteration < iterations; iteration++) {
    const direction = lbfgsDirection(gradient, steps, changes);
    let slope = inner(direction, gradient);
    if (slope >= 0) {
      steps.length = 0;
      changes.length = 0;
      for (let i = 0; i < size; i++) direction[i] = -(gradient[i] as number);
      slope = inner(direction, gradient);
    }
    const longest = Math.max(...direction.map(Math.abs));
    // No logarithm moves by more than 1.5 (a factor of 4.5) in one step; the first step has no curvature to go by.
    let length = Math.min(steps.length === 0 ? 0.5 / Math.max(longest, 1e-12) : 1, 1.5 / Math.max(longest, 1e-12));
    let moved: { x: Float64Array; gradient: Float64Array; value: number } | undefined;
    for (let attempt = 0; attempt < 8; attempt++, length *= 0.4) {
      const next = x.map((v, i) => Math.max(-BOUND, Math.min(BOUND, v + length * (direction[i] as number))));
      const nextGradient = new Float64Array(size);
      const nextValue = objective(next, nextGradient);
      if (nextValue <= value + 1e-4 * length * slope) {
        moved = { x: next, gradient: nextGradient, value: nextValue };
        break;
      }
    }
    if (!moved) break;
    const gain = value - moved.value;
    const step = moved.x.map((v, i) => v - (x[i] as number));
    const change = moved.gradient.map((v, i) => v - (gradient[i] as number));
    if (inner(step, change) > 1e-10) {
      steps.push(step);
      changes.push(change);
      if (steps.length > MEMORY) {
        steps.shift();
        changes.shift();
      }
    }
    ({ x, gradient, value } = moved);
    if (gain < 1e-4) break;
  }
  return { x, value };
}

function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function lbfgsDirection(gradient: Float64Array, steps: readonly Float64Array[], changes: readonly Float64Array[]): Float64Array {
  const q = gradient.map((g) => -g);
  const m = steps.length;
  const factors: number[] = [];
  for (let i = m - 1; i >= 0; i--) {
    const s = steps[i] as Float64Array;
    const y = changes[i] as Float64Array;
    const factor = inner(s, q) / inner(s, y);
    factors[i] = factor;
    for (let k = 0; k < q.length; k++) q[k] = (q[k] as number) - factor * (y[k] as number);
  }
  if (m > 0) {
    const s = steps[m - 1] as Float64Array;
    const y = changes[m - 1] as Float64Array;
    const scale = inner(s, y) / inner(y, y);
    for (let k = 0; k < q.length; k++) q[k] = (q[k] as number) * scale;
  }
  for (let i = 0; i < m; i++) {
    const s = steps[i] as Float64Array;
    const y = changes[i] as Float64Array;
    const correction = (factors[i] as number) - inner(y, q) / inner(s, y);
    for (let k = 0; k < q.length; k++) q[k] = (q[k] as number) + correction * (s[k] as number);
  }
  return q;
}
