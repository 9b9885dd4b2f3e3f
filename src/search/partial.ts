import type { Objective } from '../domain/campaign.ts';
import type { TrialRow } from '../domain/trial.ts';
import { lossesOf } from './losses.ts';
import { curveOf, gainsAhead } from './pruning/curves.ts';
import { type Codes, type CompiledSpace, codesOf } from './space.ts';

/** Results at every step that trainings have reported, for a model over configuration and step. */
export interface PartialResults {
  /** Codes of the space with two entries more: log(step + 1) over that of the longest training, and the share of the median gains that is ahead from there. */
  readonly codes: readonly Codes[];
  /** Less what trials gain from that step on in the median, so that early and late reports can be compared; ends are as they are. */
  readonly losses: readonly number[];
}

/** More rows than this cost more than they tell: then only the last reports of each trial are kept. */
const MOST_ROWS = 400;

/** How many of each trial's last reports are kept so that all together are at most `MOST_ROWS`; one at least. */
function reportsKept(counts: readonly number[]): number {
  for (let kept = Math.max(1, ...counts); kept > 1; kept--)
    if (counts.reduce((sum, n) => sum + Math.min(n, kept), 0) <= MOST_ROWS) return kept;
  return 1;
}

/** A step on the model's axis. What a training reports before its first step (epoch -1, as a check before it begins) counts as its beginning. */
const depthOf = (step: number): number => Math.log(Math.max(step, 0) + 1);

/**
 * Reports of all trials, running ones included, when some were stopped early; undefined while none was (then the ends say all) and with several objectives.
 * A diverged report (not a number) is left out. `maxSteps` are those of a whole training; absent: the longest that was seen.
 */
export function partialResults(
  objectives: readonly Objective[],
  trials: readonly TrialRow[],
  compiled: CompiledSpace,
  maxSteps?: number,
): PartialResults | undefined {
  const [objective] = objectives;
  if (objective === undefined || objectives.length > 1 || !trials.some((t) => t.state === 'pruned' && t.curve?.length)) return undefined;
  const curves = trials
    .filter((t) => t.state !== 'cancelled' && t.state !== 'failed')
    .sort((a, b) => a.number - b.number)
    .map((trial) => ({ trial, points: curveOf(objective, trial).filter((p) => Number.isFinite(p.loss)) }));
  const longest = maxSteps ?? Math.max(...curves.flatMap(({ points }) => points.map((p) => p.step)));
  const ahead = gainsAhead(curves.map(({ points }) => points));
  const most = Math.max(...ahead.values()) || 1;
  const kept = reportsKept(curves.map(({ points }) => points.length));
  const codes: Codes[] = [];
  const losses: number[] = [];
  for (const { trial, points } of curves) {
    const point = codesOf(compiled, trial.params);
    const end = trial.state === 'completed' ? lossesOf(objectives, trial)?.[0] : undefined;
    if (end !== undefined && points.length === 0) {
      codes.push(point);
      losses.push(end);
    }
    for (const { step, loss } of points.slice(-kept)) {
      const row = new Float64Array(point.length + 2);
      row.set(point);
      row[point.length] = depthOf(step) / depthOf(Math.max(longest, 1));
      codes.push(row);
      row[point.length + 1] = (ahead.get(step) ?? 0) / most;
      losses.push(loss - (ahead.get(step) ?? 0));
    }
  }
  return codes.length === 0 ? undefined : { codes, losses };
}
