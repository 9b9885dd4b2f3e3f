import { isFinal, type TrialRow } from '../../domain/trial.ts';
import { predictedEnds } from '../gp/predicted-ends.ts';
import { type Options, readOptions } from '../options.ts';
import { bracketOf, rungsOf } from '../rungs.ts';
import { lossAtRung } from './curves.ts';
import type { Promotion, PruneQuestion, PrunerEntry, PruneVerdict } from './question.ts';

const HALVING_OPTIONS = {
  form: {
    kind: 'choice',
    default: 'stop',
    choices: ['stop', 'promote'],
    summary:
      'stop: a trial that is not among the best of its rung ends. promote: every trial pauses at its rung, the best go on from their checkpoint.',
  },
  rank: {
    kind: 'choice',
    default: 'loss',
    choices: ['loss', 'model'],
    summary:
      'What trials of a rung are compared by: the loss there, or where a Gaussian process over configuration and step sees them end.',
  },
  min_results: {
    kind: 'integer',
    default: 10,
    min: 1,
    max: 100_000,
    summary: 'Results on a rung before anything is stopped there (form stop).',
  },
} as const;

type HalvingOptions = Options<typeof HALVING_OPTIONS>;

/** Rungs of one trial: all of them, or those from its bracket's first one on. The last rung is the end of training, where nothing is left to judge. */
type Ladder = (trial: TrialRow) => { readonly bracket: number; readonly rungs: readonly number[] };

/**
 * Asynchronous successive halving (Li and others 2020, "A system for massively parallel hyperparameter tuning", algorithm 2): on each rung the best
 * 1/reductionFactor of what has been seen there goes on. In the stopping form the trial is judged when it arrives, by what is there then.
 */
function judgeOn(question: PruneQuestion, ladder: Ladder, options: HalvingOptions): PruneVerdict[] {
  const { trials, objective, pruner, decided } = question;
  if (!trials.some((t) => t.state === 'running' && lossAtRung(objective, t, 1 + (decided[t.number] ?? 0)) !== undefined)) return [];
  const score = scoresOf(question, options);
  const verdicts: PruneVerdict[] = [];
  for (const trial of trials) {
    if (trial.state !== 'running') continue;
    const { bracket, rungs } = ladder(trial);
    for (const rung of rungs.slice(0, -1)) {
      if (rung <= (decided[trial.number] ?? 0)) continue;
      const loss = lossAtRung(objective, trial, rung);
      if (loss === undefined) break;
      const peers = peersAt(question, ladder, bracket, rung, score);
      const mine = { loss: score(trial.number, loss), number: trial.number };
      const place = 1 + peers.filter((p) => p.number !== trial.number && isBefore(p, mine)).length;
      const keep = Math.floor(peers.length / pruner.reductionFactor);
      const sentence = `Place ${place} of ${peers.length} at step ${rung}`;
      const verdict = (action: PruneVerdict['action'], why: string) =>
        verdicts.push({ number: trial.number, rung, action, sentence: `${sentence}: ${why}.` });
      if (loss === Number.POSITIVE_INFINITY) {
        verdict('stop', 'its value is not a number');
        break;
      }
      if (options.form === 'promote') {
        if (place <= keep) verdict('continue', `among the best ${keep}`);
        else {
          verdict('stop', 'paused until it is among the best');
          break;
        }
      } else if (peers.length < options.min_results) verdict('continue', `fewer than ${options.min_results} results there`);
      else if (place <= Math.max(1, keep)) verdict('continue', `among the best ${Math.max(1, keep)}`);
      else {
        verdict('stop', `not among the best ${Math.max(1, keep)}`);
        break;
      }
    }
  }
  return verdicts;
}

/** A paused trial on the highest rung of its ladder that it has reached. */
interface Paused extends Peer {
  readonly bracket: number;
  readonly rung: number;
  readonly next: number;
}

/**
 * Paused trials that are among the best 1/reductionFactor of their rung by now; higher rungs first, then better trials (algorithm 2's get_job). Where the budget
 * is too small for anybody to get to the end that way, the one that is ahead goes on in the end: a search that paused everybody would have no result.
 */
function promoteOn(question: PruneQuestion, ladder: Ladder, options: HalvingOptions): Promotion[] {
  const { trials, objective, pruner } = question;
  const score = scoresOf(question, options);
  const paused: Paused[] = [];
  for (const trial of trials) {
    if (trial.state !== 'pruned') continue;
    const { bracket, rungs } = ladder(trial);
    const reached = rungs.slice(0, -1).filter((rung) => lossAtRung(objective, trial, rung) !== undefined);
    const rung = reached[reached.length - 1];
    if (rung === undefined) continue;
    const raw = lossAtRung(objective, trial, rung) as number;
    if (raw === Number.POSITIVE_INFINITY) continue;
    const { number } = trial;
    paused.push({ number, loss: score(number, raw), bracket, rung, next: rungs[rungs.indexOf(rung) + 1] as number });
  }
  paused.sort((a, b) => b.rung - a.rung || (isBefore(a, b) ? -1 : 1));
  const promotion = ({ number, rung, next }: Paused, why: string): Promotion => ({ number, fromStep: rung, toStep: next, sentence: why });
  const promotions = paused.flatMap((mine) => {
    const { number, bracket, rung } = mine;
    const peers = peersAt(question, ladder, bracket, rung, score);
    const place = 1 + peers.filter((p) => p.number !== number && isBefore(p, mine)).length;
    const keep = Math.floor(peers.length / pruner.reductionFactor);
    return place > keep ? [] : [promotion(mine, `Place ${place} of ${peers.length} at step ${rung}: among the best ${keep}, goes on.`)];
  });
  const [ahead] = paused;
  if (promotions.length > 0 || ahead === undefined || !endsWithoutResult(question)) return promotions;
  return [promotion(ahead, `Ahead of all at step ${ahead.rung} when no new trial can start: goes on, so that one gets to its end.`)];
}

/** The budget's trials have all begun, none of them runs, and none got to its end. */
function endsWithoutResult({ trials, budgetTrials }: PruneQuestion): boolean {
  if (budgetTrials === undefined || trials.some(({ state }) => state === 'completed' || !isFinal(state))) return false;
  return trials.filter(({ state }) => state !== 'cancelled').length >= budgetTrials;
}

/** What a trial is compared by, from its number and its loss at the rung. A diverged trial stays last whatever the model says. */
type Score = (number: number, loss: number) => number;

function scoresOf({ space, objective, trials }: PruneQuestion, options: HalvingOptions): Score {
  const ends = options.rank === 'model' ? predictedEnds(space, objective, trials) : undefined;
  return (number, loss) => (loss === Number.POSITIVE_INFINITY ? loss : (ends?.get(number) ?? loss));
}

interface Peer {
  readonly number: number;
  readonly loss: number;
}

const isBefore = (a: Peer, b: Peer): boolean => a.loss < b.loss || (a.loss === b.loss && a.number < b.number);

/** Everything that was seen on a rung of a bracket, this trial included. Failed trials that got there count; cancelled ones don't. */
function peersAt({ trials, objective }: PruneQuestion, ladder: Ladder, bracket: number, rung: number, score: Score): Peer[] {
  const peers: Peer[] = [];
  for (const trial of trials) {
    if (trial.state === 'cancelled' || ladder(trial).bracket !== bracket) continue;
    const loss = lossAtRung(objective, trial, rung);
    if (loss !== undefined) peers.push({ number: trial.number, loss: score(trial.number, loss) });
  }
  return peers;
}

const wholeLadder = (question: PruneQuestion): Ladder => {
  const rungs = rungsOf(question.pruner);
  return () => ({ bracket: 0, rungs });
};

/** A trial climbs from the first rung of its bracket on. */
function bracketLadder({ pruner, seed }: PruneQuestion): Ladder {
  const rungs = rungsOf(pruner);
  return ({ number }) => {
    const bracket = bracketOf(pruner, seed, number);
    return { bracket, rungs: rungs.slice(bracket) };
  };
}

function halvingPruner(summary: string, ladderOf: (question: PruneQuestion) => Ladder): PrunerEntry {
  const optionsOf = (question: PruneQuestion) => readOptions(HALVING_OPTIONS, question.pruner.options, 'pruner');
  return {
    summary,
    options: HALVING_OPTIONS,
    needsWholeCurve: false,
    judge: (question) => judgeOn(question, ladderOf(question), optionsOf(question)),
    promote: (question) => {
      const options = optionsOf(question);
      return options.form === 'promote' ? promoteOn(question, ladderOf(question), options) : [];
    },
  };
}

export const ashaPruner = halvingPruner('Asynchronous successive halving: on each rung the best 1/reduction_factor go on.', wholeLadder);
export const hyperbandPruner = halvingPruner('Successive halving in brackets, some of which begin to judge at later rungs.', bracketLadder);
