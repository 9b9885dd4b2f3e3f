import type { Objective, PrunerConfig } from '../../domain/campaign.ts';
import type { Space } from '../../domain/space.ts';
import type { TrialRow } from '../../domain/trial.ts';
import type { OptionTable } from '../options.ts';

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
}
