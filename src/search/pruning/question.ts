import type { Objective, PrunerConfig } from '../../domain/campaign.ts';
import type { Space } from '../../domain/space.ts';
import type { TrialRow } from '../../domain/trial.ts';
import type { OptionTable } from '../options.ts';
import type { SamplerState } from '../sampler.ts';

/** What a pruner is asked: pure data, so that the campaign decides once and a replay decides the same. */
export interface PruneQuestion {
  readonly pruner: PrunerConfig;
  readonly objective: Objective;
  readonly space: Space;
  /** The whole table; `curve` holds the values at rungs (patience and plateau: every report). */
  readonly trials: readonly TrialRow[];
  /** Trial number → highest rung at which it was let through. A rung is judged once, by what was known then. */
  readonly decided: Readonly<Record<number, number>>;
  readonly seed: number;
  /** Points before a model is used, and trials in all, where the campaign says so. */
  readonly initialPoints?: number;
  /** What the campaign's sampler carries, for pruners that share its model. */
  readonly samplerState?: SamplerState;
  readonly budgetTrials?: number;
  /** How much of the campaign's time or node-hours is used, 0 to 1, where it has a budget of these. */
  readonly budgetShare?: number;
}

export interface PruneVerdict {
  readonly number: number;
  /** The rung that is judged; the campaign keeps it in `decided`. */
  readonly rung: number;
  /** stop: end the training (in the promotion form: pause it, its checkpoint stays). */
  readonly action: 'stop' | 'continue';
  /** One sentence for people. */
  readonly sentence: string;
}

/** A paused trial that goes on from its checkpoint, as a new attempt, until `toStep`. */
export interface Promotion {
  readonly number: number;
  readonly fromStep: number;
  readonly toStep: number;
  readonly sentence: string;
}

export interface PrunerEntry {
  readonly summary: string;
  readonly options: OptionTable;
  /** Verdicts on running trials that have reached a rung not judged yet. */
  readonly judge: (question: PruneQuestion) => readonly PruneVerdict[];
  /** Paused trials to go on with, best first; they come before new points. Absent: the pruner never resumes. */
  readonly promote?: (question: PruneQuestion) => readonly Promotion[];
  /** Needs every report of a running trial, not those at rungs only. */
  readonly needsWholeCurve: boolean;
  /** Steps between rungs that it wants to hear of too. */
  readonly reportsAt?: (pruner: PrunerConfig) => readonly number[];
  /** First rung and factor between rungs where the file is silent; absent: 1 and 3. */
  readonly defaults?: (maxSteps: number) => { readonly minSteps: number; readonly reductionFactor: number };
}
