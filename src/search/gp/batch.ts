import { type Effort, effortFor, type Found, featuresFor, type Hunt, hunt, localSearch, type Pool, poolFor, withdraw } from './acquire.ts';
import { catchUp, type Followed, follow } from './followed.ts';

/** Points of a batch that are hunted for; whoever serves hundreds of workers at once picks the others with less care for each. */
const HUNTED = 64;
/** Hunted points that are chosen from the same candidates. */
const HUNTED_PER_POOL = 12;
/** Picked points that are chosen from the same candidates. */
const PICKED_PER_POOL = 32;
const PICKED_EFFORT: Effort = { starts: 1, rounds: 3, tries: 8 };

/** Candidates with upper bounds of their scores; those that were in question are followed from then on. */
interface Field {
  readonly pool: Pool;
  readonly features: Float64Array;
  readonly followed: (Followed | undefined)[];
  readonly since: number;
}

/**
 * Chooses the points of one batch one after another: the next point is the best that `accept` takes. Points on new ground have candidates of their own.
 * Undefined when nothing was found.
 */
export function openBatch<T>(accept: (found: readonly Found[]) => T | undefined) {
  const pools = new Map<boolean, { pool: Pool; since: number }>();
  const fields = new Map<boolean, Field>();

  const hunted = (task: Hunt, k: number, isNewGround: boolean): T | undefined => {
    const earlier = pools.get(isNewGround);
    if (earlier && k - earlier.since < HUNTED_PER_POOL) {
      withdraw(earlier.pool, task.isAllowed);
      const chosen = accept(hunt(task, earlier.pool, effortFor('later', task.posterior.rows)));
      if (chosen) return chosen;
    }
    const pool = poolFor(task);
    pools.set(isNewGround, { pool, since: k });
    return accept(hunt(task, pool, effortFor(isNewGround ? 'new ground' : 'first', task.posterior.rows)));
  };

  const picked = (task: Hunt, k: number, isNewGround: boolean): T | undefined => {
    const earlier = fields.get(isNewGround);
    const chosen = earlier && k - earlier.since < PICKED_PER_POOL ? pick(task, earlier, accept) : undefined;
    if (chosen) return chosen;
    const pool = poolFor(task);
    const field = { pool, features: featuresFor(task.posterior, pool.codes), followed: pool.codes.map(() => undefined), since: k };
    fields.set(isNewGround, field);
    return pick(task, field, accept);
  };

  return (task: Hunt, k: number, isNewGround: boolean): T | undefined => (k < HUNTED ? hunted : picked)(task, k, isNewGround);
}

/** The best of a field after a short local search, if it is accepted, else the next best. */
function pick<T>(task: Hunt, field: Field, accept: (found: readonly Found[]) => T | undefined): T | undefined {
  const { codes, bounds, extraAt } = field.pool;
  for (;;) {
    const best = bestOf(task, field);
    if (best < 0) return undefined;
    const extra = extraAt[best] as number;
    const start: Found = { codes: codes[best] as Found['codes'], score: bounds[best] as number, ...(extra < 0 ? {} : { extra }) };
    const chosen = accept([...localSearch(task, [start], PICKED_EFFORT), start]);
    if (chosen) return chosen;
    bounds[best] = Number.NEGATIVE_INFINITY;
  }
}

/** Position of the highest score, -1 when there is none. Bounds that were scores once only fall, so that those of the lower ones need no look. */
function bestOf({ posterior, acquisition, feasibility, isAllowed }: Hunt, { pool: { codes, bounds }, features, followed }: Field): number {
  const { size } = posterior.map;
  const scored = new Set<number>();
  for (;;) {
    let best = -1;
    for (let i = 0; i < bounds.length; i++) if ((bounds[i] as number) > (bounds[best] ?? Number.NEGATIVE_INFINITY)) best = i;
    if (best < 0 || scored.has(best)) return best;
    if (!isAllowed(codes[best] as Found['codes'])) {
      bounds[best] = Number.NEGATIVE_INFINITY;
      continue;
    }
    const row = features.subarray(best * size, (best + 1) * size);
    const known = followed[best] ?? follow(posterior, row);
    catchUp(posterior, known);
    followed[best] = known;
    bounds[best] = acquisition(known.mean, known.variance) + (feasibility?.(row, 1)[0] ?? 0);
    scored.add(best);
  }
}
