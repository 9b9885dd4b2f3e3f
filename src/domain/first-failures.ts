import { duration, plural } from '../view/format.ts';
import type { CampaignState } from './campaign-state.ts';
import { FAILURE_TABLE, type FailureClass } from './failures.ts';
import { isFinal, type TrialRow } from './trial.ts';

/** When a campaign gives up since its first trials failed: what is wrong is the training, the environment or the file, and no other point would mend it. */

/** Trials that must have failed critically (program missing, data unreadable), and nothing else happened. */
const CRITICAL_TRIALS = 5;

/** Of other classes: twice what runs at once, within these bounds. */
const FEWEST_ALIKE = 10;
const MOST_ALIKE = 100;

/** Where the class depends on the point, most of a search space may be of no use and the rest still worth finding. */
const POINT_FACTOR = 3;

/** A sentence when every trial so far failed for a reason that no other point would mend. */
export function failuresCritical({ table, budget }: CampaignState): string | undefined {
  const ended = table.rows.filter((row) => isFinal(row.state));
  if (ended.length < CRITICAL_TRIALS) return undefined;
  const isCritical = (row: TrialRow) => row.failure !== undefined && FAILURE_TABLE[row.failure.class].severity === 'critical';
  if (!ended.every(isCritical)) return undefined;
  const last = ended.at(-1) as TrialRow;
  const next = 'Mend it, then start anew with `holdfast run FILE`.';
  return `${told(`All of the first ${ended.length} trials failed`, last)} ${costOf(table.rows, budget.trials)} ${next}`;
}

/**
 * A sentence when the first trials, by number, all failed with one class and none ever got through. By number, so that a trial that still trains speaks
 * for the others. A person who resumes after a pause, or asks for failed trials again, has mended something: only what ended after that is judged.
 */
export function failuresAlike({ table, budget, concurrency, spec, judgedFrom }: CampaignState): string | undefined {
  const { rows } = table;
  const tried = rows.slice(judgedFrom ?? 0).filter((row) => row.state !== 'cancelled');
  const [first] = tried;
  if (first?.state !== 'failed' || first.failure === undefined) return undefined;
  const name = first.failure.class;
  const limit = spec?.stop.failuresAlike ?? alikeLimit(concurrency, name);
  if (limit === 0 || tried.length < limit) return undefined;
  const isAlike = tried.slice(0, limit).every((row) => row.state === 'failed' && row.failure?.class === name);
  if (!isAlike || rows.some((row) => row.state === 'completed' || row.state === 'pruned')) return undefined;
  const which = (judgedFrom ?? 0) === 0 ? `The first ${limit} trials` : `The first ${limit} trials after the pause`;
  const next = 'Mend it, then start anew with `holdfast run FILE`. A campaign with `stop.failures_alike: 0` goes on all the same.';
  return `${told(`${which} all failed with ${name}`, first)} ${costOf(rows, budget.trials)} ${next}`;
}

/** How many, where the campaign file does not say: by what runs at once and, where the class is known, whether it depends on the point. */
export function alikeLimit(concurrency: number, name?: FailureClass): number {
  const limit = Math.max(FEWEST_ALIKE, Math.min(MOST_ALIKE, 2 * concurrency));
  return name !== undefined && 'isOfPoint' in FAILURE_TABLE[name] ? POINT_FACTOR * limit : limit;
}

/** What happened, in the words of one of them. */
function told(what: string, { failure }: TrialRow): string {
  const message = failure?.message.trim() ?? '';
  return `${what}: ${message}${/[.!?]$/.test(message) ? '' : '.'}`;
}

function costOf(rows: readonly TrialRow[], trials: number | undefined): string {
  const failed = rows.filter((row) => row.state === 'failed');
  const seconds = failed.reduce((sum, row) => sum + (row.runSeconds ?? 0), 0);
  return `${trials === undefined ? plural(failed.length, 'trial') : `${failed.length} of ${plural(trials, 'trial')}`} and ${duration(seconds)} of training are spent.`;
}
