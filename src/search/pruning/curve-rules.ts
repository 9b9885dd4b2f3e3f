import { readOptions } from '../options.ts';
import { rungsOf } from '../rungs.ts';
import { curveOf } from './curves.ts';
import type { PruneQuestion, PrunerEntry, PruneVerdict } from './question.ts';

const PERCENTILE_OPTIONS = {
  percentile: {
    kind: 'number',
    default: 50,
    min: 0,
    max: 100,
    summary: 'Share of other trials, in per cent, among whose best a trial must be to go on.',
  },
  startup_trials: {
    kind: 'integer',
    default: 5,
    min: 1,
    max: 100_000,
    summary: 'Trials that must have been at a step before it is judged.',
  },
} as const;

const PATIENCE_OPTIONS = {
  patience: {
    kind: 'integer',
    default: 10,
    min: 1,
    max: 100_000,
    summary: 'Reports in a row without improvement after which a trial is stopped.',
  },
  min_delta: { kind: 'number', default: 0, min: 0, max: Number.MAX_VALUE, summary: 'Least gain that counts as improvement.' },
} as const;

const best = (losses: readonly number[]): number => losses.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);

/**
 * Stops a trial whose best value so far is worse than the percentile of the others' best values by the same step (Golovin and others 2017 for the median, with
 * bests for running means, as Optuna has it).
 */
function percentilePruner(summary: string, fixed?: number): PrunerEntry {
  const { percentile, ...rest } = PERCENTILE_OPTIONS;
  const table = fixed === undefined ? { percentile, ...rest } : rest;
  const judge = (question: PruneQuestion): PruneVerdict[] => {
    const options = readOptions(table, question.pruner.options, 'pruner') as { percentile?: number; startup_trials: number };
    const share = fixed ?? options.percentile ?? 50;
    const curves = new Map(question.trials.filter((t) => t.state !== 'cancelled').map((t) => [t.number, curveOf(question.objective, t)]));
    const bestBy = (number: number, rung: number): number | undefined => {
      const curve = curves.get(number) ?? [];
      const last = curve.findIndex((p) => p.step >= rung);
      return last < 0 ? undefined : best(curve.slice(0, last + 1).map((p) => p.loss));
    };
    return judgeRungs(question, (trial, rung) => {
      const mine = bestBy(trial, rung);
      if (mine === undefined) return undefined;
      const others = question.trials.flatMap((t) => (t.number === trial ? [] : [bestBy(t.number, rung)])).filter((x) => x !== undefined);
      if (mine === Number.POSITIVE_INFINITY) return { action: 'stop', sentence: `At step ${rung} its value is not a number.` };
      if (others.length < options.startup_trials)
        return { action: 'continue', sentence: `Only ${others.length} other trials were at step ${rung}.` };
      const limit = quantile(others, share / 100);
      const action = mine > limit ? 'stop' : 'continue';
      return {
        action,
        sentence: `Its best by step ${rung} is ${action === 'stop' ? 'worse than' : 'within'} the best ${share} % of ${others.length} others.`,
      };
    });
  };
  return { summary, options: table, needsWholeCurve: false, judge };
}

/** Linear between order statistics, as NumPy's default. */
function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const a = sorted[low] as number;
  const b = sorted[Math.min(low + 1, sorted.length - 1)] as number;
  return a === b ? a : a + (at - low) * (b - a);
}

/** Asks `verdict` for every running trial and every rung it has reached and that was not judged, lowest first, until one says stop. */
function judgeRungs(
  { trials, pruner, decided, objective }: PruneQuestion,
  verdict: (number: number, rung: number) => Pick<PruneVerdict, 'action' | 'sentence'> | undefined,
): PruneVerdict[] {
  const verdicts: PruneVerdict[] = [];
  for (const trial of trials) {
    if (trial.state !== 'running' || curveOf(objective, trial).length === 0) continue;
    for (const rung of rungsOf(pruner).slice(0, -1)) {
      if (rung <= (decided[trial.number] ?? 0)) continue;
      const said = verdict(trial.number, rung);
      if (!said) break;
      verdicts.push({ number: trial.number, rung, ...said });
      if (said.action === 'stop') break;
    }
  }
  return verdicts;
}

export const medianPruner = percentilePruner('Stops a trial that is worse than the median of the others at the same step.', 50);
export const percentileRulePruner = percentilePruner('Stops a trial that is worse than a percentile of the others at the same step.');

/** Looks at a trial's own curve only: stopped when it has not improved for `patience` reports. `minSteps` of the pruner are never cut. */
export const patiencePruner: PrunerEntry = {
  summary: 'Stops a trial whose own curve has not improved for some reports.',
  options: PATIENCE_OPTIONS,
  needsWholeCurve: true,
  judge: ({ trials, pruner, objective, decided }) => {
    const options = readOptions(PATIENCE_OPTIONS, pruner.options, 'pruner');
    const verdicts: PruneVerdict[] = [];
    for (const trial of trials) {
      if (trial.state !== 'running') continue;
      const curve = curveOf(objective, trial);
      let lowest = Number.POSITIVE_INFINITY;
      let idle = 0;
      for (const { step, loss } of curve) {
        if (lowest - loss > 0 && lowest - loss >= options.min_delta) {
          lowest = loss;
          idle = 0;
        } else idle++;
        if (idle < options.patience || step < pruner.minSteps || step <= (decided[trial.number] ?? 0)) continue;
        verdicts.push({
          number: trial.number,
          rung: step,
          action: 'stop',
          sentence: `No improvement${options.min_delta > 0 ? ` of at least ${options.min_delta}` : ''} in ${idle} reports until step ${step}.`,
        });
        break;
      }
    }
    return verdicts;
  },
};
