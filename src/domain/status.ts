/** What people and programs are shown of campaigns, trials and systems: plain data, made by the workflows, read by views, CLI and reports. */

import type { CampaignSpec, MetricConstraint } from './campaign.ts';
import type { Point } from './space.ts';
import type { BusySlot } from './spool.ts';
import type { PilotSeen } from './system.ts';
import type { Failure, Origin, TrialOutcome, TrialState } from './trial.ts';

/** What a campaign does right now. `running` starts trials; the others don't. */
export type CampaignPhase = 'preparing' | 'running' | 'paused' | 'draining' | 'stopping' | 'cancelling' | 'reporting' | 'ended';

/** Counts of trials by what became of them. */
export interface TrialCounts {
  readonly total: number;
  readonly queued: number;
  readonly completed: number;
  readonly pruned: number;
  readonly failed: number;
  readonly cancelled: number;
}

export interface BestTrial {
  readonly number: number;
  readonly trial: string;
  readonly values: readonly number[];
  readonly params: Point;
  readonly origin: Origin;
  readonly step?: number;
  readonly finishedAt?: number;
  /** Trained on generated data. Absent otherwise. */
  readonly synthetic?: true;
  /** Breaks a condition on metrics; such a trial is the best only while none keeps them. Absent otherwise. */
  readonly infeasible?: true;
}

/** The last lines that a failed trial wrote to stderr. */
export interface LastWords {
  readonly number: number;
  readonly lines: readonly string[];
}

export interface CampaignStatus {
  readonly campaign: string;
  readonly name: string;
  readonly system: string;
  readonly phase: CampaignPhase;
  /** One sentence: what it waits for, or why it ended. */
  readonly headline: string;
  readonly startedAt: number;
  readonly elapsedSeconds: number;
  readonly counts: TrialCounts;
  readonly concurrency: number;
  readonly budget: CampaignSpec['budget'];
  readonly objectives: CampaignSpec['objectives'];
  /** Conditions on metrics, where the campaign has any. */
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly best?: BestTrial;
  /** Completed / (completed + failed); absent before the first end. */
  readonly successRate?: number;
  /** Finished trials in a row without improvement. */
  readonly sinceImprovement: number;
  readonly queuedPoints: number;
  readonly inFlight: readonly number[];
  /** Slot-hours of training so far. */
  readonly trainingHours: number;
  readonly problems: readonly string[];
  readonly stopReason?: string;
  readonly resultsDirectory?: string;
  /** Slot-hours of training that early stopping saved; only with a pruner. */
  readonly savedHours?: number;
  /** The same in node-hours, where it is known how many slots a node has. */
  readonly savedNodeHours?: number;
  /** What the model leaves to gain, in the objective's unit; only with `stop.regret_bound`, and once there are results enough. */
  readonly regretBound?: number;
  /** What the language model has cost so far, and the hard limit; only in campaigns with one. */
  readonly llm?: LlmTotals;
  readonly tableVersion: number;
}

export interface LlmTotals {
  readonly calls: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Of the campaign file; behind it the sampler goes on alone. */
  readonly limit?: { readonly calls: number; readonly tokens: number };
  /** Trials whose point the model proposed. */
  readonly trials: number;
}

export interface TrialView {
  readonly campaign: string;
  /** Absent in trials of earlier versions. */
  readonly launch?: string;
  readonly number: number;
  readonly params: Point;
  readonly origin: Origin;
  readonly note?: string;
  readonly state: TrialState;
  readonly attempt: number;
  readonly attempts: readonly AttemptView[];
  readonly outcome?: TrialOutcome;
  readonly headline: string;
}

export interface AttemptView {
  readonly attempt: number;
  readonly offeredAt: number;
  readonly startedAt?: number;
  readonly pilot?: string;
  readonly slot?: number;
  /** The pilot as its system names it: process, PBS job or Globus task. */
  readonly nativeId?: string;
  readonly end?: string;
  readonly failure?: Failure;
  readonly directory?: string;
}

export type LoginState = { readonly kind: 'ready' } | { readonly kind: 'needs_login'; readonly since: number; readonly message: string };

export interface SystemStatus {
  readonly name: string;
  readonly kind: string;
  readonly headline: string;
  readonly login: LoginState;
  readonly breaker: { readonly open: boolean; readonly evidence: readonly string[] };
  readonly slots: number;
  readonly queued: number;
  readonly offered: number;
  readonly running: number;
  readonly campaigns: readonly { readonly campaign: string; readonly queued: number; readonly offered: number; readonly running: number }[];
  /** Open launches by campaign, and those of campaigns that are gone, until they are closed. */
  readonly launches: Readonly<Record<string, { readonly launch: string; readonly isAbandoned?: boolean }>>;
  readonly pilots: readonly (PilotSeen & { readonly campaign: string })[];
  /** Busy slot-seconds / allocated slot-seconds of all pilots seen. */
  readonly utilisation?: number;
  readonly notices: readonly string[];
}

/** What runs now and how far it is; refreshed at each look that brought news. */
export interface LiveTrial extends BusySlot {
  readonly campaign: string;
  readonly pilot: string;
}
