import type { Suggestion } from '../../domain/trial.ts';
import { initialDesign, sobolPoints } from '../design.ts';
import { observe } from '../observations.ts';
import { readOptions } from '../options.ts';
import { streamAt } from '../random-stream.ts';
import type { Sampler, SuggestResult } from '../sampler.ts';
import { ranked } from '../several-objectives.ts';
import { type Codes, type CompiledSpace, compileSpace, isActive, keyOf, pointOf, satisfies } from '../space.ts';
import { triedKeys } from '../untried.ts';
import { drawParzen, logDensity, type Parzen, parzenOf } from './parzen.ts';

export const TPE_OPTIONS = {
  mode: {
    kind: 'choice',
    default: 'group',
    choices: ['univariate', 'multivariate', 'group'],
    summary: 'Which parameters share a kernel: none; all unconditional ones; all that are always active together.',
  },
  initial_points: { kind: 'integer', default: 10, min: 1, max: 100_000, summary: 'Points of the design before the model is used.' },
  candidates: { kind: 'integer', default: 24, min: 1, max: 10_000, summary: 'Draws from the good density of which the best is taken.' },
} as const;

/** Components of the bad density at most: the newest ones. Bounds the cost at many trials. */
const MOST_BAD = 1_000;
const ROUNDS = 8;

/**
 * Tree-structured Parzen estimator: the best tenth (at most 25) of the trials is one density, the rest, failed and pending trials (the constant liar) another;
 * of points drawn from the first, the one with the largest ratio is proposed. Never a point that was tried.
 */
export const tpeSampler: Sampler = (request): SuggestResult => {
  const compiled = compileSpace(request.space);
  const options = readOptions(TPE_OPTIONS, request.options);
  const tried = triedKeys(compiled, request.trials);
  const seen = request.objectives.length > 1 ? ranked(request, compiled) : observe(request, compiled);
  const suggestions: Suggestion[] = [];
  let next = typeof request.state?.next === 'number' ? request.state.next : 0;
  const designed = Math.max(request.initialPoints ?? options.initial_points, 1);
  const blind = seen.finite < 3 ? request.count : Math.max(0, Math.min(request.count, designed - request.trials.length));
  if (blind > 0) {
    const design = initialDesign(request, compiled, blind, next, tried);
    suggestions.push(...design.suggestions);
    next = design.next;
    if (design.exhausted) return { suggestions, state: { next }, exhausted: true };
  }
  if (suggestions.length < request.count) {
    const groups = groupsOf(compiled, options.mode);
    const order = seen.losses.map((_, i) => i).sort((a, b) => rank(seen.losses[a]) - rank(seen.losses[b]) || a - b);
    const goodCount = Math.max(1, Math.min(25, Math.ceil(0.1 * seen.finite)));
    const good = order.slice(0, goodCount).map((i) => seen.codes[i] as Codes);
    const worse = order.slice(goodCount).sort((a, b) => a - b);
    const bad = [...worse.map((i) => seen.codes[i] as Codes), ...seen.pending].slice(-MOST_BAD);
    const below = groups.map((group) => parzenOf(compiled, group, activeIn(group, good)));
    const above = groups.map((group) => parzenOf(compiled, group, activeIn(group, bad)));
    while (suggestions.length < request.count) {
      const index = request.trials.length + suggestions.length;
      const codes = propose(compiled, below, above, options.candidates, request.seed, index, tried);
      if (!codes) break;
      const params = pointOf(compiled, codes);
      tried.add(keyOf(compiled, params));
      suggestions.push({ params, origin: 'tpe' });
      // The batch's own points join the bad density too.
      groups.forEach((group, g) => {
        bad.push(codes);
        if (activeIn(group, [codes]).length > 0 && suggestions.length < request.count)
          above[g] = parzenOf(compiled, group, activeIn(group, bad.slice(-MOST_BAD)));
        bad.pop();
      });
      bad.push(codes);
    }
  }
  if (suggestions.length === request.count) return { suggestions, state: { next }, exhausted: false };
  const rest = sobolPoints(request, compiled, request.count - suggestions.length, next, tried, false);
  return { suggestions: [...suggestions, ...rest.suggestions], state: { next: rest.next }, exhausted: rest.exhausted };
};

const rank = (loss: number | undefined): number => (loss === undefined || Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss);

function activeIn(group: readonly number[], points: readonly Codes[]): Codes[] {
  return points.filter((codes) => group.every((i) => !Number.isNaN(codes[i] as number)));
}

/** Dimensions that share a kernel, parents' groups before their children's. */
export function groupsOf(compiled: CompiledSpace, mode: string): number[][] {
  const groups = new Map<string, number[]>();
  compiled.dimensions.forEach((dimension, i) => {
    if (dimension.kind === 'constant') return;
    const condition = JSON.stringify(compiled.parents[i]?.map((p) => [p.at, [...p.values]]) ?? []);
    const isAlone = mode === 'univariate' || (mode === 'multivariate' && condition !== '[]');
    const key = isAlone ? `#${i}` : condition;
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  });
  // A child's parents stand before it in the space, so the first member decides the order.
  return [...groups.values()].sort((a, b) => (a[0] as number) - (b[0] as number));
}

function propose(
  compiled: CompiledSpace,
  below: readonly Parzen[],
  above: readonly Parzen[],
  candidates: number,
  seed: number,
  index: number,
  tried: ReadonlySet<string>,
): Codes | undefined {
  const stream = streamAt(seed, 'tpe', index);
  const constants = compiled.dimensions.flatMap(({ kind }, i) => (kind === 'constant' ? [i] : []));
  for (let round = 0; round < ROUNDS; round++) {
    let best: Codes | undefined;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < candidates; c++) {
      const codes = new Float64Array(compiled.dimensions.length).fill(Number.NaN);
      let score = 0;
      below.forEach((parzen, g) => {
        // What has one value only may be what the group depends on.
        fillConstants(compiled, codes, constants);
        if (!isActive(compiled, codes, parzen.group[0] as number)) return;
        drawParzen(compiled, parzen, stream, codes);
        score += logDensity(parzen, codes) - logDensity(above[g] as Parzen, codes);
      });
      fillConstants(compiled, codes, constants);
      if (score <= bestScore) continue;
      const point = pointOf(compiled, codes);
      if (!satisfies(compiled, point) || tried.has(keyOf(compiled, point))) continue;
      best = codes;
      bestScore = score;
    }
    if (best) return best;
  }
  return undefined;
}

/** Parameters with one value, where they are active by what was drawn so far. */
function fillConstants(compiled: CompiledSpace, codes: Codes, constants: readonly number[]): void {
  for (const i of constants)
    if (Number.isNaN(codes[i] as number) && isActive(compiled, codes, i))
      codes[i] = (compiled.dimensions[i] as CompiledSpace['dimensions'][number]).codeOfLevel(0);
}
