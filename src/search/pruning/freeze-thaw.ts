import { isFinal, type TrialRow } from '../../domain/trial.ts';
import { type Acquisition, hunt } from '../gp/acquire.ts';
import { type CurveFit, fitToCurves } from '../gp/curve-fit.ts';
import { type FeatureMap, featureMap, featuresOf } from '../gp/features.ts';
import { improvement } from '../gp/improvement.ts';
import { addFantasy, type Posterior, posteriorOf, predict, predictMeans } from '../gp/model.ts';
import { designSize } from '../gp/sampler.ts';
import { warpLosses } from '../gp/warp.ts';
import { type PartialResults, partialResults } from '../partial.ts';
import { streamAt } from '../random-stream.ts';
import { rungsOf } from '../rungs.ts';
import { type Codes, type CompiledSpace, codesOf, compileSpace, keyOf, pointOf, satisfies } from '../space.ts';
import { curveOf, lastStep } from './curves.ts';
import type { Promotion, PruneQuestion, PrunerEntry } from './question.ts';

/** Reports without which nothing is learnt yet. */
const LEAST_ROWS = 10;
const GLOBAL_POINTS = 128;
const ANCHORS = 5;
/** Rows that the model is conditioned on; of more, the best half of that and an even choice of the others. */
const MOST_KNOWN = 400;
/** Paused trials that are looked at closely: those that are expected to end best. */
const MOST_COMPARED = 64;
/** Paused trials that go on in one answer at most; the next answer knows more. */
const MOST_AT_ONCE = 32;
/**
 * When no new trial can start, or the campaign's time runs out, paused ones go on whose expected gain is at least this many standard deviations
 * of all ends.
 */
const LEAST_GAIN = 0.02;
/** From this share of the budget on what was begun is finished before new trials start. */
const CLOSING_SHARE = 0.8;

/**
 * Freeze–thaw Bayesian optimisation (Swersky, Snoek and Adams 2014): every trial pauses on each rung. A free place goes to whatever gains most at the end of
 * training per step still to be run: the paused trial that a Gaussian process over configuration and step expects most of, or a new point. Gain is expected
 * improvement over the best predicted end. On bench/search (fidelity) the steps count once: a trial goes on from its checkpoint.
 * In the last fifth of a budget, and when no new trial may start, paused trials come first as long as any of them promises a gain: one that is begun late
 * would hardly be brought to its end.
 */
export function thaw(question: PruneQuestion): Promotion[] {
  const { pruner, objective, space, trials } = question;
  const compiled = compileSpace(space);
  const canStart = question.budgetTrials === undefined || trials.length < question.budgetTrials;
  if (canStart && trials.length < designSize(question, compiled)) return [];
  const seeksNew = canStart && (question.budgetShare ?? 0) < CLOSING_SHARE;
  const waiting = trials.filter((t) => t.state === 'pruned' && lastStep(t) < pruner.maxSteps && isSound(question, t));
  if (waiting.length === 0) return [];
  const partial = partialResults([objective], trials, compiled, pruner.maxSteps);
  if (!partial || partial.codes.length < LEAST_ROWS)
    return canStart ? [] : waiting.map((t) => promotion(question, t, 'no new trial can start'));

  const map = featureMap(compiled, true);
  const featuresOfRows = (points: readonly TrialRow[]) =>
    featuresOf(
      map,
      points.map((t) => codesOf(compiled, t.params)),
    );
  const losses = warpLosses(partial.losses);
  const running = trials.filter((t) => !isFinal(t.state)).slice(-MOST_KNOWN);
  const posterior = modelOf(map, partial, losses, question.samplerState ?? {}, running.length + MOST_AT_ONCE);
  const pending = featuresOfRows(running);
  for (let i = 0; i < running.length; i++) addFantasy(posterior, pending, i * map.stride);

  const sound = trials.filter((t) => t.state !== 'failed' && t.state !== 'cancelled');
  const means = predictMeans(posterior, featuresOfRows(sound), sound.length);
  const ends = new Map(sound.map((t, i) => [t.number, means[i] as number]));
  const endOf = (t: TrialRow) => ends.get(t.number) as number;
  const byEnd = (a: TrialRow, b: TrialRow) => endOf(a) - endOf(b) || a.number - b.number;
  const ranked = [...sound].sort(byEnd);
  const incumbent = endOf(ranked[0] as TrialRow);
  // Over the best predicted end.
  const gain = improvement(incumbent);

  const anchors = ranked.slice(0, ANCHORS).map((t) => codesOf(compiled, t.params));
  const bar = seeksNew ? gainOfNew(question, compiled, posterior, gain, anchors) - Math.log(pruner.maxSteps) : Number.NEGATIVE_INFINITY;
  const paused = [...waiting].sort(byEnd).slice(0, MOST_COMPARED);
  const candidates = featuresOfRows(paused);
  const left = new Set(paused.keys());
  const promotions: Promotion[] = [];
  const [expected, variances] = [new Float64Array(paused.length), new Float64Array(paused.length)];
  while (promotions.length < MOST_AT_ONCE) {
    predict(posterior, candidates, paused.length, expected, variances);
    const scored = [...left]
      .map((i) => ({ i, log: gain(expected[i] as number, variances[i] as number) }))
      .filter(({ log }) => seeksNew || log > Math.log(LEAST_GAIN))
      .map(({ i, log }) => ({ i, score: log - Math.log(pruner.maxSteps - lastStep(paused[i] as TrialRow)) }));
    scored.sort((a, b) => b.score - a.score || a.i - b.i);
    const [best] = scored;
    if (best === undefined || best.score < bar) break;
    left.delete(best.i);
    const trial = paused[best.i] as TrialRow;
    promotions.push(promotion(question, trial, `its predicted end is number ${1 + ranked.indexOf(trial)} of ${ranked.length}`));
    // Believed from now on: its like has less to add.
    addFantasy(posterior, candidates, best.i * map.stride);
  }
  return promotions;
}

/** Log of the gain of the best new point; -Infinity when every point was tried. */
function gainOfNew(
  { trials, seed }: PruneQuestion,
  compiled: CompiledSpace,
  posterior: Posterior,
  acquisition: Acquisition,
  anchors: readonly Codes[],
): number {
  const tried = new Set(trials.map((t) => keyOf(compiled, t.params)));
  const isAllowed = (codes: Codes) => {
    const point = pointOf(compiled, codes);
    return satisfies(compiled, point) && !tried.has(keyOf(compiled, point));
  };
  const index = trials.reduce((sum, t) => sum + t.attempts, 0);
  const stream = streamAt(seed, 'thaw', index);
  const found = hunt({ compiled, posterior, acquisition, anchors, extra: [], isAllowed, stream, seed, index, globalPoints: GLOBAL_POINTS });
  return found[0]?.score ?? Number.NEGATIVE_INFINITY;
}

function modelOf(map: FeatureMap, partial: PartialResults, losses: Float64Array, carried: CurveFit, room: number): Posterior {
  const featuresAt = (rows: readonly number[]) =>
    featuresOf(
      map,
      rows.map((i) => partial.codes[i] as Codes),
    );
  const lossesAt = (rows: readonly number[]) => Float64Array.from(rows, (i) => losses[i] as number);
  const known = knownRows(losses);
  const { hyper } = fitToCurves(map, partial, losses, carried);
  return posteriorOf(map, hyper, featuresAt(known), lossesAt(known), room);
}

/** All rows; of more than {@link MOST_KNOWN} the best half of that and an even choice of the others. */
function knownRows(losses: Float64Array): number[] {
  const order = Array.from(losses, (_, i) => i);
  if (order.length <= MOST_KNOWN) return order;
  order.sort((a, b) => (losses[a] as number) - (losses[b] as number) || a - b);
  const best = order.slice(0, MOST_KNOWN / 2);
  const rest = order.slice(MOST_KNOWN / 2);
  const even = Array.from({ length: MOST_KNOWN / 2 }, (_, k) => rest[Math.floor((k * rest.length) / (MOST_KNOWN / 2))] as number);
  return [...best, ...even].sort((a, b) => a - b);
}

/** A trial that diverged is not taken up again. */
function isSound({ objective }: PruneQuestion, trial: TrialRow): boolean {
  const curve = curveOf(objective, trial);
  return curve.length > 0 && Number.isFinite((curve[curve.length - 1] as { loss: number }).loss);
}

function promotion({ pruner }: PruneQuestion, trial: TrialRow, why: string): Promotion {
  const fromStep = lastStep(trial);
  const toStep = rungsOf(pruner).find((rung) => rung > fromStep) ?? pruner.maxSteps;
  return { number: trial.number, fromStep, toStep, sentence: `Paused at step ${fromStep}: ${why}, goes on to ${toStep}.` };
}

export const freezeThawPruner: PrunerEntry = {
  summary: 'Freeze–thaw: every trial pauses on each rung; the ones that a model of the curves expects most of go on from their checkpoint.',
  options: {},
  needsWholeCurve: false,
  judge: () => [],
  promote: thaw,
  defaults: (maxSteps) => ({ minSteps: Math.max(1, Math.round(maxSteps / 13)), reductionFactor: 2 }),
  reportsAt: ({ minSteps, maxSteps }) => {
    const steps: number[] = [];
    for (let step = minSteps / 2; step < maxSteps; step *= Math.SQRT2) if (step >= 1) steps.push(Math.round(step));
    return steps;
  },
};
