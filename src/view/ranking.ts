import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { TrialRow } from '../domain/trial.ts';
import { marginsOf, violationOf } from '../search/losses.ts';

/** True when `a` is better than `b` in this objective; NaN is never better. */
export function isBetter(a: number, b: number, direction: Objective['direction']): boolean {
  return direction === 'maximize' ? a > b : a < b;
}

/** True when the row's metrics keep every constraint, or the campaign has none. A row without a metric (NaN, or null once it went as JSON) breaks its constraints. */
export function isFeasible(row: TrialRow, constraints: readonly MetricConstraint[] = []): boolean {
  return violationOf(constraints, row) === 0;
}

/** Which conditions on metrics a completed row breaks, as a mark after its value: `(breaks peak_memory_gb <= 40)`. Undefined when it keeps them all. */
export function brokenMark(row: TrialRow, constraints: readonly MetricConstraint[] = []): string | undefined {
  if (row.state !== 'completed' || constraints.length === 0) return undefined;
  const margins = marginsOf(constraints, row);
  const broken = constraints.filter((_, index) => !((margins[index] as number) <= 0));
  return broken.length === 0 ? undefined : `(breaks ${broken.map(({ metric, op, bound }) => `${metric} ${op} ${bound}`).join(', ')})`;
}

/** The first objective's value of a completed, feasible row; undefined for every other row. */
export function rankedValue(row: TrialRow, constraints?: readonly MetricConstraint[]): number | undefined {
  const value = row.state === 'completed' ? row.values?.[0] : undefined;
  return value !== undefined && Number.isFinite(value) && isFeasible(row, constraints) ? value : undefined;
}

/**
 * The best `count` completed, feasible rows by the first objective, best first; ties by number. One pass, O(rows × count):
 * it runs at every change of a campaign's table.
 */
export function topRows(
  rows: readonly TrialRow[],
  objectives: readonly Objective[],
  count: number,
  constraints?: readonly MetricConstraint[],
): TrialRow[] {
  const direction = objectives[0]?.direction ?? 'maximize';
  const top: { row: TrialRow; value: number }[] = [];
  for (const row of rows) {
    const value = rankedValue(row, constraints);
    if (value === undefined) continue;
    const last = top.at(-1);
    if (top.length === count && last !== undefined && !isBetter(value, last.value, direction)) continue;
    let place = top.length;
    while (place > 0 && isBetter(value, (top[place - 1] as { value: number }).value, direction)) place -= 1;
    top.splice(place, 0, { row, value });
    if (top.length > count) top.pop();
  }
  return top.map(({ row }) => row);
}

/** Rows that no other completed, feasible row beats in every objective (a tie in all is kept once per row), in order of number. */
export function paretoFront(
  rows: readonly TrialRow[],
  objectives: readonly Objective[],
  constraints?: readonly MetricConstraint[],
): TrialRow[] {
  const candidates = rows.filter((row) => rankedValue(row, constraints) !== undefined);
  const front: TrialRow[] = [];
  for (const row of candidates) {
    if (front.some((other) => dominates(other, row, objectives))) continue;
    for (let index = front.length - 1; index >= 0; index -= 1) {
      if (dominates(row, front[index] as TrialRow, objectives)) front.splice(index, 1);
    }
    front.push(row);
  }
  return front;
}

function dominates(a: TrialRow, b: TrialRow, objectives: readonly Objective[]): boolean {
  let better = false;
  for (const [index, { direction }] of objectives.entries()) {
    const left = a.values?.[index] ?? Number.NaN;
    const right = b.values?.[index] ?? Number.NaN;
    if (isBetter(right, left, direction)) return false;
    if (isBetter(left, right, direction)) better = true;
  }
  return better;
}
