import type { Point } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import { streamAt } from './random-stream.ts';
import { type CompiledSpace, enumerate, keyOf, satisfies } from './space.ts';

/** Finite spaces up to this size are listed when drawing no longer finds new points; larger ones are never exhausted by a campaign. */
const ENUMERABLE = 200_000;
/** Draws for one point of a finite space, which can be listed instead. */
const TRIES_BEFORE_LISTING = 2_000;
/** Draws for one point where nothing can be listed: constraints may leave one point in thousands. */
const MOST_TRIES = 50_000;

/** Keys of all points that were taken, whatever became of them. */
export function triedKeys(compiled: CompiledSpace, trials: readonly TrialRow[]): Set<string> {
  const keys = new Set<string>();
  for (const trial of trials) keys.add(keyOf(compiled, trial.params));
  return keys;
}

export interface Taken {
  readonly points: readonly Point[];
  /** First index of the sequence that was not used. */
  readonly next: number;
  readonly exhausted: boolean;
}

/**
 * Takes `count` points from the endless sequence `at(0), at(1), …`, beginning at `start`, leaving out those that break a constraint or were tried
 * (`tried` grows by what is taken). When the sequence brings nothing new for long, a finite space is listed and one of the rest is taken, so the
 * last point of a space is found too. A space that cannot be listed is exhausted when many draws bring only points that were tried: a range may be so
 * narrow that the digits we keep tell few values apart.
 * @throws Error when constraints refuse everything that is drawn.
 */
export function takeUntried(
  compiled: CompiledSpace,
  at: (index: number) => Point,
  start: number,
  count: number,
  tried: Set<string>,
  allowDuplicates = false,
): Taken {
  const points: Point[] = [];
  let next = start;
  const isSmall = compiled.cardinality <= ENUMERABLE;
  while (points.length < count) {
    // Nearly exhausted: drawing would be refused too often.
    const isNearlyDone = !allowDuplicates && isSmall && tried.size > 0.9 * compiled.cardinality;
    const found = isNearlyDone ? undefined : draw(compiled, at, next, tried, allowDuplicates, isSmall ? TRIES_BEFORE_LISTING : MOST_TRIES);
    if (found?.point) {
      next = found.next;
      tried.add(keyOf(compiled, found.point));
      points.push(found.point);
      continue;
    }
    if (!isSmall) {
      if (found?.hasSatisfying !== true) throw unsatisfiable(compiled);
      return { points, next, exhausted: true };
    }
    const rest: Point[] = [];
    for (const point of enumerate(compiled)) if (allowDuplicates || !tried.has(keyOf(compiled, point))) rest.push(point);
    if (rest.length === 0) {
      if (tried.size === 0) throw unsatisfiable(compiled);
      return { points, next, exhausted: true };
    }
    const chosen = rest[streamAt(next, 'rest', rest.length).integer(rest.length)] as Point;
    next++;
    tried.add(keyOf(compiled, chosen));
    points.push(chosen);
  }
  const exhausted = !allowDuplicates && isSmall && tried.size >= compiled.cardinality && count > 0 && isAllTried(compiled, tried);
  return { points, next, exhausted };
}

function draw(
  compiled: CompiledSpace,
  at: (index: number) => Point,
  start: number,
  tried: ReadonlySet<string>,
  allowDuplicates: boolean,
  tries: number,
): { readonly point?: Point; readonly next: number; readonly hasSatisfying: boolean } {
  let hasSatisfying = false;
  for (let index = start; index < start + tries; index++) {
    const point = at(index);
    if (!satisfies(compiled, point)) continue;
    if (allowDuplicates || !tried.has(keyOf(compiled, point))) return { point, next: index + 1, hasSatisfying: true };
    hasSatisfying = true;
  }
  return { next: start + tries, hasSatisfying };
}

function isAllTried(compiled: CompiledSpace, tried: ReadonlySet<string>): boolean {
  for (const point of enumerate(compiled)) if (!tried.has(keyOf(compiled, point))) return false;
  return true;
}

function unsatisfiable(compiled: CompiledSpace): Error {
  const listed = (compiled.space.constraints ?? []).map((text) => `"${text}"`).join(', ');
  return new Error(
    `search_space.constraints ${listed} refused every point that was drawn. Loosen them, or narrow the parameters to where they hold.`,
  );
}
