import type { Objective } from '../domain/campaign.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';
import { lossesOf } from '../search/losses.ts';

/** Who proposed a point: the model or the sampler. Points of the user and the default are nobody's merit. */
export type Arm = 'llm' | 'sampler';

const NOBODYS = new Set(['user', 'default', 'adopted']);

/**
 * Weight of curiosity in UCB1 (Auer, Cesa-Bianchi, Fischer 2002; √2 there); rewards lie in [0, 1]. In searches of 60 trials a model that draws blindly ran 20 of the 40
 * points after the first 20 with √2, 16 with 0.6 and 13 with 0.3, and a good one nearly all with each (docs/guides/llm.md).
 */
const CURIOSITY = 0.5;

interface Record {
  pulls: number;
  reward: number;
}

/**
 * What each arm has earned. The reward of a trial is the share of earlier results that it beats (ties count half), so that an arm cannot shine by having
 * been asked early; a failed trial earns nothing, a cancelled one is not counted, a pending one counts as a pull with the arm's mean so far.
 */
export function arms(objectives: readonly Objective[], trials: readonly TrialRow[]): { readonly [A in Arm]: Readonly<Record> } {
  const earned: { [A in Arm]: Record } = { llm: { pulls: 0, reward: 0 }, sampler: { pulls: 0, reward: 0 } };
  /** Losses so far, ascending: how many a trial beats is then a matter of two searches, also after 10,000 trials. */
  const losses: number[] = [];
  const ended = trials.filter((trial) => isFinal(trial.state) && trial.state !== 'cancelled');
  for (const trial of [...ended].sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0) || a.number - b.number)) {
    const loss = lossesOf(objectives, trial)?.[0];
    const reward = loss === undefined || losses.length === 0 ? (loss === undefined ? 0 : 0.5) : beaten(loss, losses);
    if (loss !== undefined) losses.splice(placeOf(loss, losses, true), 0, loss);
    if (NOBODYS.has(trial.origin)) continue;
    const arm = earned[armOf(trial)];
    arm.pulls += 1;
    arm.reward += reward;
  }
  for (const trial of trials) if (!isFinal(trial.state) && !NOBODYS.has(trial.origin)) pend(earned[armOf(trial)]);
  return earned;
}

function armOf(trial: TrialRow): Arm {
  return trial.origin === 'llm' ? 'llm' : 'sampler';
}

/** Share of the earlier losses (ascending) that lie above; equal ones count half. */
function beaten(loss: number, earlier: readonly number[]): number {
  const [first, after] = [placeOf(loss, earlier, false), placeOf(loss, earlier, true)];
  return (earlier.length - after + 0.5 * (after - first)) / earlier.length;
}

/** Where a loss belongs among ascending ones: before its equals, or after them. */
function placeOf(loss: number, sorted: readonly number[], isAfterEquals: boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = sorted[middle] as number;
    if (other < loss || (isAfterEquals && other === loss)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pend(arm: Record): void {
  arm.reward += arm.pulls === 0 ? 0.5 : arm.reward / arm.pulls;
  arm.pulls += 1;
}

/** How many of the next `count` points the model is asked for, by UCB1; each choice counts as pending for the next. Ties go to the sampler. */
export function pointsToAskByBandit(objectives: readonly Objective[], trials: readonly TrialRow[], count: number): number {
  const earned = arms(objectives, trials);
  const state: { [A in Arm]: Record } = { llm: { ...earned.llm }, sampler: { ...earned.sampler } };
  let asked = 0;
  for (let i = 0; i < count; i++) {
    const chosen: Arm = bound(state.llm, state) > bound(state.sampler, state) ? 'llm' : 'sampler';
    if (chosen === 'llm') asked++;
    pend(state[chosen]);
  }
  return asked;
}

function bound(arm: Record, all: { readonly [A in Arm]: Record }): number {
  if (arm.pulls === 0) return Number.POSITIVE_INFINITY;
  const total = all.llm.pulls + all.sampler.pulls;
  return arm.reward / arm.pulls + CURIOSITY * Math.sqrt(Math.log(total) / arm.pulls);
}
