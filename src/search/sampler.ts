import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Space } from '../domain/space.ts';
import type { Suggestion, TrialRow } from '../domain/trial.ts';
import type { OptionTable } from './options.ts';

/**
 * What every sampler is: a pure function of space, trials, seed and carried state. No clock, no Math.random, no I/O, so any worker can
 * answer and the same question has the same answer.
 */
export type Sampler = (request: SuggestRequest) => SuggestResult;

export interface SuggestRequest {
  readonly space: Space;
  readonly objectives: readonly Objective[];
  /** Every trial so far, by number: finished (with values), failed (without) and pending (no values, not final). */
  readonly trials: readonly TrialRow[];
  /** Points wanted, at least 1. */
  readonly count: number;
  readonly seed: number;
  /** What the last call returned; small JSON (some 100 bytes to a few kB), absent at first. */
  readonly state?: SamplerState;
  /** Trials the campaign may run in all, where it knows. */
  readonly budgetTrials?: number;
  /** Trials in flight at most. */
  readonly parallelism?: number;
  readonly initialPoints?: number;
  /** Steps of a whole training, where trials may be stopped early. */
  readonly maxSteps?: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** Points may repeat ones that were run. Default: never, until the space is exhausted. */
  readonly allowDuplicates?: boolean;
  /** Conditions on final metrics; a trial's `constraintValues` stand in this order. */
  readonly metricConstraints?: readonly MetricConstraint[];
}

export type SamplerState = Readonly<Record<string, unknown>>;

export interface SuggestResult {
  /** Fewer than asked only when the space is exhausted. */
  readonly suggestions: readonly Suggestion[];
  readonly state?: SamplerState;
  /** No point is left that was not tried. */
  readonly exhausted: boolean;
}

/** A sampler's place in the registry. */
export interface SamplerEntry {
  readonly sampler: Sampler;
  /** Suggestions don't depend on results: the campaign may ask for many ahead. */
  readonly ignoresResults: boolean;
  readonly summary: string;
  /** The keys of `sampler.options` and their rules; `readOptions` checks and fills them in. */
  readonly options?: OptionTable;
}
