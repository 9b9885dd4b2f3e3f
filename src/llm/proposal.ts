import type { LlmConfig, MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Space } from '../domain/space.ts';
import type { Suggestion, TrialRow } from '../domain/trial.ts';
import type { Environment } from '../systems/globus/environment.ts';
import type { Abilities } from './chat.ts';

/** What goes into the proposer and what comes out. */

export interface ProposeRequest {
  readonly llm: LlmConfig;
  readonly description?: string;
  readonly space: Space;
  readonly objectives: readonly Objective[];
  readonly metricConstraints?: readonly MetricConstraint[];
  /** All trials so far, by number; pending ones too. */
  readonly trials: readonly TrialRow[];
  /** Points that the campaign wants now; the model is asked for its share of them. */
  readonly count: number;
  readonly seed: number;
  readonly allowDuplicates?: boolean;
  /** What the last call returned. */
  readonly state?: LlmState;
}

/** Carried from call to call; small JSON, no secrets. */
export interface LlmState {
  /** Of the whole campaign; the hard limit counts these. */
  readonly usage: LlmUsage;
  /** The model's remarks to itself, oldest first. */
  readonly notes: readonly string[];
  /** By `base url model`. */
  readonly abilities: Readonly<Record<string, Abilities>>;
  /** Times in a row that no service answered, and turns of the model that are passed over because of it. */
  readonly misses?: number;
  readonly passOver?: number;
  /** Why the last turn brought no answer, for as long as turns are passed over. */
  readonly lastMiss?: string;
}

export interface LlmUsage {
  readonly calls: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export type LlmEvent =
  /** Points of one answer that were taken. */
  | { readonly kind: 'proposed'; readonly model: string; readonly points: number }
  | { readonly kind: 'repaired'; readonly model: string; readonly repairs: readonly string[] }
  | { readonly kind: 'refused'; readonly model: string; readonly why: readonly string[] }
  | { readonly kind: 'asked_again'; readonly message: string }
  /** Another model than the profile's first is asked first, because it is loaded. */
  | { readonly kind: 'reordered'; readonly message: string }
  | { readonly kind: 'model_failed'; readonly model: string; readonly message: string }
  /** No point came from any model: the sampler goes on alone. */
  | { readonly kind: 'fell_back'; readonly reason: 'needs_login' | 'service' | 'budget' | 'no_usable_answer'; readonly message: string };

export interface ProposeResult {
  /** Points with origin `llm` and the model's reasoning as note; empty when it is not the model's turn or nothing usable came. */
  readonly suggestions: readonly Suggestion[];
  /** Points that the schedule or the bandit gave to the model. */
  readonly asked: number;
  /** Exploration factor now (row L5). */
  readonly factor: number;
  /** Of this call alone. */
  readonly usage: LlmUsage;
  readonly events: readonly LlmEvent[];
  readonly state: LlmState;
}

export interface LlmDeps {
  readonly env: Environment;
  readonly signal?: AbortSignal;
  /** Seconds of the first pause after a refusal; for tests. */
  readonly pauseSeconds?: number;
}
