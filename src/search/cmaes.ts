import type { Suggestion } from '../domain/trial.ts';
import { initialDesign, sobolPoints } from './design.ts';
import { cholesky } from './gp/cholesky.ts';
import { repairActivity } from './gp/features.ts';
import { normalQuantile } from './gp/normal.ts';
import { observe } from './observations.ts';
import { readOptions } from './options.ts';
import { type RandomStream, streamAt } from './random-stream.ts';
import type { Sampler, SuggestRequest, SuggestResult } from './sampler.ts';
import { type Codes, type CompiledSpace, codesOf, compileSpace, keyOf, pointOf, satisfies } from './space.ts';
import { triedKeys } from './untried.ts';

export const CMAES_OPTIONS = {
  sigma: { kind: 'number', default: 0.2, min: 1e-3, max: 1, summary: 'First step size, in fractions of each range.' },
  population: { kind: 'integer', default: 0, min: 0, max: 10_000, summary: 'Results per update; 0: 4 + 3 ln(dimensions).' },
} as const;

/** The search distribution, small enough to travel. `covariance` is the lower triangle, row by row. */
interface Distribution {
  readonly mean: readonly number[];
  readonly sigma: number;
  readonly covariance: readonly number[];
  readonly pathC: readonly number[];
  readonly pathSigma: readonly number[];
  /** Per dimension, factors that keep ordered parameters moving (the margin). */
  readonly spread: readonly number[];
  readonly updates: number;
  /** Trials with a verdict that earlier updates have used. */
  readonly used: number;
}

/**
 * Covariance matrix adaptation (Hansen 2016, "The CMA evolution strategy: a tutorial"), asynchronous: an update takes the next λ results in the order in
 * which trials ended, whatever generation they came from. Ordered parameters keep a margin (Hamano and others 2022): each has at least the chance 1/(λD) of
 * leaving its level. Categorical parameters take the value of a good trial, or one from the prior; conditional ones that are inactive count as their mean.
 */
export const cmaesSampler: Sampler = (request): SuggestResult => {
  const compiled = compileSpace(request.space);
  const options = readOptions(CMAES_OPTIONS, request.options);
  const tried = triedKeys(compiled, request.trials);
  const numeric = compiled.dimensions
    .map((d, i) => ({ kind: d.kind, i }))
    .filter((d) => d.kind === 'continuous' || d.kind === 'ordered')
    .map((d) => d.i);
  const lambda = options.population || Math.max(4, 4 + Math.floor(3 * Math.log(Math.max(1, numeric.length))));
  const state = request.state as { next?: number; distribution?: Distribution } | undefined;
  let next = state?.next ?? 0;
  const suggestions: Suggestion[] = [];
  const seen = observe(request, compiled);
  const blind =
    numeric.length === 0 ? request.count : Math.max(0, Math.min(request.count, (request.initialPoints ?? 1) - request.trials.length));
  let distribution = state?.distribution?.mean.length === numeric.length ? state.distribution : begin(compiled, numeric, options.sigma);
  distribution = catchUp(request, compiled, numeric, distribution, lambda);
  if (blind > 0) {
    const design = initialDesign(request, compiled, blind, next, tried);
    suggestions.push(...design.suggestions);
    next = design.next;
    if (design.exhausted) return { suggestions, state: { next, distribution }, exhausted: true };
  }
  const good = seen.losses
    .map((loss, i) => ({ loss: Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss, i }))
    .sort((a, b) => a.loss - b.loss || a.i - b.i)
    .slice(0, Math.max(1, Math.ceil(lambda / 2)))
    .map(({ i }) => seen.codes[i] as Codes);
  while (suggestions.length < request.count) {
    const index = request.trials.length + suggestions.length;
    const codes = draw(compiled, numeric, distribution, lambda, good, streamAt(request.seed, 'cmaes', index), tried);
    if (!codes) break;
    const params = pointOf(compiled, codes);
    tried.add(keyOf(compiled, params));
    suggestions.push({ params, origin: 'cmaes' });
  }
  if (suggestions.length === request.count) return { suggestions, state: { next, distribution }, exhausted: false };
  const rest = sobolPoints(request, compiled, request.count - suggestions.length, next, tried, false);
  return { suggestions: [...suggestions, ...rest.suggestions], state: { next: rest.next, distribution }, exhausted: rest.exhausted };
};

function begin(compiled: CompiledSpace, numeric: readonly number[], sigma: number): Distribution {
  const size = numeric.length;
  const covariance: number[] = [];
  for (let i = 0; i < size; i++) for (let j = 0; j <= i; j++) covariance.push(i === j ? 1 : 0);
  const mean = numeric.map((i) => {
    const { parameter, codeOf } = compiled.dimensions[i] as CompiledSpace['dimensions'][number];
    return parameter.type !== 'constant' && parameter.default !== undefined ? codeOf(parameter.default) : 0.5;
  });
  const zeros = numeric.map(() => 0);
  return { mean, sigma, covariance, pathC: zeros, pathSigma: zeros, spread: numeric.map(() => 1), updates: 0, used: 0 };
}

/** Applies every update that the results allow. */
function catchUp(
  request: SuggestRequest,
  compiled: CompiledSpace,
  numeric: readonly number[],
  from: Distribution,
  lambda: number,
): Distribution {
  const ended = request.trials.filter((t) => t.state === 'completed' || t.state === 'pruned' || t.state === 'failed');
  ended.sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0) || a.number - b.number);
  let distribution = from;
  while (ended.length - distribution.used >= lambda) {
    const batch = ended.slice(distribution.used, distribution.used + lambda);
    const { losses } = observe({ ...request, trials: batch }, compiled);
    // `observe` orders by number.
    const rows = [...batch]
      .sort((a, b) => a.number - b.number)
      .map((t, i) => ({ codes: codesOf(compiled, t.params), loss: losses[i] as number }));
    rows.sort((a, b) => rank(a.loss) - rank(b.loss));
    distribution = {
      ...update(
        compiled,
        numeric,
        distribution,
        rows.map((r) => r.codes),
        lambda,
      ),
      used: distribution.used + lambda,
    };
  }
  return distribution;
}

const rank = (loss: number): number => (Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss);
const at = (i: number, j: number): number => (i >= j ? (i * (i + 1)) / 2 + j : (j * (j + 1)) / 2 + i);

function factorOf({ covariance, mean }: Distribution): Float64Array {
  const size = mean.length;
  for (let jitter = 1e-12; ; jitter *= 10) {
    const factor = new Float64Array(size * size);
    for (let i = 0; i < size; i++)
      for (let j = 0; j <= i; j++) factor[i * size + j] = (covariance[at(i, j)] as number) + (i === j ? jitter : 0);
    if (cholesky(factor, size, size)) return factor;
  }
}

/** One update from points sorted best first, with the tutorial's standard constants. */
function update(
  compiled: CompiledSpace,
  numeric: readonly number[],
  old: Distribution,
  sorted: readonly Codes[],
  lambda: number,
): Distribution {
  const size = numeric.length;
  const parents = Math.floor(lambda / 2);
  const raw = Array.from({ length: parents }, (_, i) => Math.log((lambda + 1) / 2) - Math.log(i + 1));
  const total = raw.reduce((a, b) => a + b, 0);
  const weights = raw.map((w) => w / total);
  const effective = 1 / weights.reduce((sum, w) => sum + w * w, 0);
  const cSigma = (effective + 2) / (size + effective + 5);
  const dSigma = 1 + 2 * Math.max(0, Math.sqrt((effective - 1) / (size + 1)) - 1) + cSigma;
  const cC = (4 + effective / size) / (size + 4 + (2 * effective) / size);
  const c1 = 2 / ((size + 1.3) ** 2 + effective);
  const cMu = Math.min(1 - c1, (2 * (effective - 2 + 1 / effective)) / ((size + 2) ** 2 + effective));
  const expected = Math.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size * size));
  const factor = factorOf(old);

  // Steps in units of sigma; points of older generations may lie far out, so their length is bounded (Hansen 2011, injected solutions).
  const steps = sorted.slice(0, parents).map((codes) => {
    const y = numeric.map((dimension, k) => {
      const code = codes[dimension] as number;
      return Number.isNaN(code) ? 0 : (code - (old.mean[k] as number)) / (old.sigma * (old.spread[k] as number));
    });
    const length = Math.hypot(...whiten(factor, y));
    const most = Math.sqrt(size) + (2 * size) / (size + 2);
    return length > most ? y.map((v) => (v * most) / length) : y;
  });
  const step = numeric.map((_, k) => steps.reduce((sum, y, i) => sum + (weights[i] as number) * (y[k] as number), 0));
  const mean = old.mean.map((m, k) => Math.min(1, Math.max(0, m + old.sigma * (old.spread[k] as number) * (step[k] as number))));
  const white = whiten(factor, step);
  const pathSigma = old.pathSigma.map((p, k) => (1 - cSigma) * p + Math.sqrt(cSigma * (2 - cSigma) * effective) * (white[k] as number));
  const norm = Math.hypot(...pathSigma);
  const isCalm = norm / Math.sqrt(1 - (1 - cSigma) ** (2 * (old.updates + 1))) < (1.4 + 2 / (size + 1)) * expected;
  const pathC = old.pathC.map((p, k) => (1 - cC) * p + (isCalm ? Math.sqrt(cC * (2 - cC) * effective) * (step[k] as number) : 0));
  const keep = 1 - c1 - cMu + (isCalm ? 0 : c1 * cC * (2 - cC));
  const covariance: number[] = [];
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let rankMu = 0;
      steps.forEach((y, k) => {
        rankMu += (weights[k] as number) * (y[i] as number) * (y[j] as number);
      });
      covariance.push(keep * (old.covariance[at(i, j)] as number) + c1 * (pathC[i] as number) * (pathC[j] as number) + cMu * rankMu);
    }
  const sigma = Math.min(1, Math.max(1e-6, old.sigma * Math.exp((cSigma / dSigma) * (norm / expected - 1))));
  const next: Distribution = { ...old, mean, sigma, covariance, pathC, pathSigma, updates: old.updates + 1 };
  return { ...next, spread: marginOf(compiled, numeric, next, lambda) };
}

/** Solves factor · x = y, factor lower triangular. A Cholesky factor takes the place of the symmetric root, which only rotates the path. */
function whiten(factor: Float64Array, y: readonly number[]): number[] {
  const size = y.length;
  const x: number[] = [];
  for (let i = 0; i < size; i++) {
    let sum = y[i] as number;
    for (let j = 0; j < i; j++) sum -= (factor[i * size + j] as number) * (x[j] as number);
    x.push(sum / (factor[i * size + i] as number));
  }
  return x;
}

/** Factors by which ordered dimensions are widened so that a draw leaves the mean's level with probability at least 1/(λD). */
function marginOf(compiled: CompiledSpace, numeric: readonly number[], d: Distribution, lambda: number): number[] {
  const least = 1 / (lambda * numeric.length);
  return numeric.map((dimension, k) => {
    const { kind, levels, levelOf, codeOfLevel } = compiled.dimensions[dimension] as CompiledSpace['dimensions'][number];
    if (kind !== 'ordered') return 1;
    const mean = d.mean[k] as number;
    const level = levelOf(mean);
    const sides: number[] = [];
    if (level > 0) sides.push(mean - 0.5 * (codeOfLevel(level) + codeOfLevel(level - 1)));
    if (level < levels - 1) sides.push(0.5 * (codeOfLevel(level) + codeOfLevel(level + 1)) - mean);
    // The nearer border alone gives the chance; a border at the mean gives one half.
    const border = Math.max(0, Math.min(...sides));
    const needed = border / -normalQuantile(Math.min(0.49, least));
    const deviation = d.sigma * Math.sqrt(d.covariance[at(k, k)] as number);
    return Math.max(1, needed / deviation);
  });
}

const TRIES = 200;

function draw(
  compiled: CompiledSpace,
  numeric: readonly number[],
  d: Distribution,
  lambda: number,
  good: readonly Codes[],
  stream: RandomStream,
  tried: ReadonlySet<string>,
): Codes | undefined {
  const size = numeric.length;
  if (size === 0) return undefined;
  const factor = factorOf(d);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    // When all near points are taken, the cloud widens until there are new ones.
    const widen = 1.05 ** attempt;
    const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
    const parent = good.length > 0 ? good[stream.integer(good.length)] : undefined;
    const z = numeric.map(() => stream.normal());
    compiled.dimensions.forEach((dimension, i) => {
      const inherited = parent?.[i];
      const isKept = inherited !== undefined && !Number.isNaN(inherited) && stream.next() >= 1 / lambda;
      codes[i] = dimension.kind === 'categorical' && isKept ? inherited : dimension.codeFromUnit(stream.next(), false);
    });
    numeric.forEach((dimension, k) => {
      let x = 0;
      for (let j = 0; j <= k; j++) x += (factor[k * size + j] as number) * (z[j] as number);
      const code = (d.mean[k] as number) + widen * d.sigma * (d.spread[k] as number) * x;
      codes[dimension] = compiled.dimensions[dimension]?.snap(reflect(code)) ?? 0;
    });
    repairActivity(compiled, codes, () => 0);
    const point = pointOf(compiled, codes);
    if (satisfies(compiled, point) && !tried.has(keyOf(compiled, point))) return codes;
  }
  return undefined;
}

function reflect(x: number): number {
  const y = Math.abs(x) % 2;
  return y > 1 ? 2 - y : y;
}
