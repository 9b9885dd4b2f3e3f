import type { Suggestion } from '../domain/trial.ts';
import { initialDesign, sobolPoints } from './design.ts';
import { repairActivity } from './gp/features.ts';
import { endedWithValue, violationOf } from './losses.ts';
import { readOptions } from './options.ts';
import { frontRanks } from './pareto.ts';
import { type RandomStream, streamAt } from './random-stream.ts';
import type { Sampler, SuggestRequest, SuggestResult } from './sampler.ts';
import { compareDown, crowdingDistances } from './several-objectives.ts';
import { type Codes, type CompiledSpace, codesOf, compileSpace, keyOf, pointOf, satisfies } from './space.ts';
import { triedKeys } from './untried.ts';

export const NSGA2_OPTIONS = {
  population: { kind: 'integer', default: 50, min: 4, max: 10_000, summary: 'Size of the first design and of the parents that survive.' },
  crossover: { kind: 'number', default: 0.9, min: 0, max: 1, summary: 'Chance that a child has two parents.' },
} as const;

const TRIES = 100;
/** Distribution indices of simulated binary crossover and polynomial mutation (Deb 2002 uses 20 for both). */
const ETA = 20;

/**
 * NSGA-II (Deb and others 2002), asynchronous: parents are the best `population` of everything that has ended (constraint-domination, then front, then crowding),
 * and a child is made whenever a worker is free. Works with one objective too.
 */
export const nsga2Sampler: Sampler = (request): SuggestResult => {
  const compiled = compileSpace(request.space);
  const options = readOptions(NSGA2_OPTIONS, request.options);
  const tried = triedKeys(compiled, request.trials);
  let next = typeof request.state?.next === 'number' ? request.state.next : 0;
  const suggestions: Suggestion[] = [];
  const parents = survivors(request, compiled, options.population);
  const designed = request.initialPoints ?? options.population;
  const blind = parents.length < 4 ? request.count : Math.max(0, Math.min(request.count, designed - request.trials.length));
  if (blind > 0) {
    const design = initialDesign(request, compiled, blind, next, tried);
    suggestions.push(...design.suggestions);
    next = design.next;
    if (design.exhausted) return { suggestions, state: { next }, exhausted: true };
  }
  while (suggestions.length < request.count) {
    const stream = streamAt(request.seed, 'nsga2', request.trials.length + suggestions.length);
    const params = child(compiled, parents, options.crossover, stream, tried);
    if (!params) break;
    tried.add(keyOf(compiled, params));
    suggestions.push({ params, origin: 'nsga2' });
  }
  const rest = sobolPoints(request, compiled, request.count - suggestions.length, next, tried, false);
  return { suggestions: [...suggestions, ...rest.suggestions], state: { next: rest.next }, exhausted: rest.exhausted };
};

/** Best first: feasible by front and crowding, then infeasible by how far they break the conditions. */
function survivors(request: SuggestRequest, compiled: CompiledSpace, count: number): Codes[] {
  const ended = endedWithValue(request.objectives, request.trials).map((e) => ({
    ...e,
    violation: violationOf(request.metricConstraints, e.trial),
  }));
  ended.sort((a, b) => a.trial.number - b.trial.number);
  const feasible = ended.filter((e) => e.violation === 0);
  const points = feasible.map((e) => e.losses);
  const ranks = frontRanks(points, count);
  const crowding = crowdingDistances(points, ranks);
  const order = points
    .map((_, i) => i)
    .sort(
      (a, b) => compareDown(ranks[b] as number, ranks[a] as number) || compareDown(crowding[a] as number, crowding[b] as number) || a - b,
    );
  const broken = ended.filter((e) => e.violation > 0).sort((a, b) => a.violation - b.violation || a.trial.number - b.trial.number);
  return [...order.map((i) => feasible[i] as (typeof feasible)[number]), ...broken]
    .slice(0, count)
    .map((e) => codesOf(compiled, e.trial.params));
}

function child(compiled: CompiledSpace, parents: readonly Codes[], crossover: number, stream: RandomStream, tried: ReadonlySet<string>) {
  // Parents stand best first, so a tournament of two is the smaller position.
  const pick = (): Codes => parents[Math.min(stream.integer(parents.length), stream.integer(parents.length))] as Codes;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const a = pick();
    const b = stream.next() < crossover ? pick() : a;
    const codes = a.slice();
    const chance = Math.min(1, (1 + attempt / 10) / Math.max(1, codes.length));
    compiled.dimensions.forEach((dimension, i) => {
      if (dimension.kind === 'constant') return;
      const x = a[i] as number;
      const y = b[i] as number;
      if (Number.isNaN(x) || Number.isNaN(y)) codes[i] = Number.isNaN(x) ? y : x;
      else if (dimension.kind === 'categorical') codes[i] = stream.next() < 0.5 ? x : y;
      else codes[i] = x === y ? x : binaryCrossover(x, y, stream);
      if (Number.isNaN(codes[i] as number) || stream.next() >= chance) return;
      if (dimension.kind === 'categorical') codes[i] = dimension.codeFromUnit(stream.next(), false);
      else codes[i] = mutate(codes[i] as number, stream);
    });
    compiled.dimensions.forEach((dimension, i) => {
      if (!Number.isNaN(codes[i] as number)) codes[i] = dimension.snap(codes[i] as number);
    });
    repairActivity(compiled, codes, (i) => compiled.dimensions[i]?.codeFromUnit(stream.next(), false) ?? 0);
    const point = pointOf(compiled, codes);
    if (satisfies(compiled, point) && !tried.has(keyOf(compiled, point))) return point;
  }
  return undefined;
}

/** Simulated binary crossover (Deb and Agrawal 1995), one child, kept in 0…1. */
function binaryCrossover(x: number, y: number, stream: RandomStream): number {
  const u = stream.next();
  const beta = u <= 0.5 ? (2 * u) ** (1 / (ETA + 1)) : (1 / (2 * (1 - u))) ** (1 / (ETA + 1));
  const sign = stream.next() < 0.5 ? 1 : -1;
  return Math.min(1, Math.max(0, 0.5 * (x + y + sign * beta * Math.abs(x - y))));
}

/** Polynomial mutation (Deb and Goyal 1996), kept in 0…1. */
function mutate(x: number, stream: RandomStream): number {
  const u = stream.next();
  const delta = u < 0.5 ? (2 * u) ** (1 / (ETA + 1)) - 1 : 1 - (2 * (1 - u)) ** (1 / (ETA + 1));
  return Math.min(1, Math.max(0, x + delta));
}
