/** Every signal, query and update of the three workflows, with the types they carry. Types and definitions only. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import type { RetryRequest } from '../src/domain/retry.ts';
import type { ParameterValue, Point } from '../src/domain/space.ts';
import type { DoneRecord } from '../src/domain/spool.ts';
import type {
  AttemptView,
  BestTrial,
  CampaignPhase,
  CampaignStatus,
  LastWords,
  LiveTrial,
  LoginState,
  SystemStatus,
  TrialCounts,
  TrialView,
} from '../src/domain/status.ts';
import type { Launch } from '../src/domain/system-state.ts';
import type { Failure, FinalState, Origin, TrialOutcome, TrialRow } from '../src/domain/trial.ts';

// Campaign

export interface TrialsRequest {
  /** Only rows changed after this table version; 0 or absent: all. */
  readonly since?: number;
  /** At most this many rows (default 1,000); ask again with the answer's `version` while `more`. */
  readonly limit?: number;
}

export interface TrialsPage {
  readonly rows: readonly TrialRow[];
  /** Ask again with this as `since`. */
  readonly version: number;
  readonly more: boolean;
}

export interface CampaignDescription {
  readonly spec: CampaignSpec;
  readonly launch?: LaunchInfo;
  /** What the system was told of it; a system that has lost its memory is told again. */
  readonly openLaunch?: Launch;
  readonly provenance: Readonly<Record<string, string>>;
}

export interface LaunchInfo {
  readonly launch: string;
  /** On the system. */
  readonly directory: string;
  /** On the worker's computer. */
  readonly localDirectory: string;
}

/** A trial's end as its campaign hears of it. */
export interface TrialReport {
  readonly outcome: TrialOutcome;
  /** Whose trial it is; absent in reports of earlier versions. */
  readonly launch?: string;
}

/** Objective values at rungs of running trials, from the system to the campaign's pruner. */
export interface RungReports {
  readonly reports: readonly {
    readonly number: number;
    readonly attempt: number;
    readonly rungs: readonly (readonly [number, number])[];
  }[];
}

/** What `hpoCampaign` returns: small; the large things lie in `resultsDirectory`. */
export interface CampaignResult {
  readonly campaign: string;
  readonly status: 'completed' | 'stopped' | 'cancelled' | 'failed';
  readonly stopReason: string;
  readonly counts: TrialCounts;
  readonly best?: BestTrial;
  readonly top: readonly BestTrial[];
  readonly resultsDirectory?: string;
  readonly reportPath?: string;
  /** Of a campaign in which no trial completed: what one of them said last. */
  readonly lastWords?: LastWords;
  readonly elapsedSeconds: number;
  /** Markdown, the same as the last current details. */
  readonly summary: string;
}

export const statusQuery = defineQuery<CampaignStatus>('status');
export const trialsQuery = defineQuery<TrialsPage, [TrialsRequest?]>('trials');
export const bestQuery = defineQuery<readonly BestTrial[], [number?]>('best');
export const describeQuery = defineQuery<CampaignDescription>('describe');

/** pause: start nothing new, running trials go on. drain: finish what runs, then report. stop: cancel what runs, then report. */
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');
export const drainSignal = defineSignal<[string?]>('drain');
export const stopSignal = defineSignal<[string?]>('stop');
export const enqueueSignal = defineSignal<[Point | readonly Point[]]>('enqueue');
export const trialFinishedSignal = defineSignal<[TrialReport]>('trialFinished');
export const rungReportsSignal = defineSignal<[RungReports]>('rungReports');
/** Something a person should know, from the system (needs login, breaker open, what a machine refuses this campaign alone); undefined text clears the topic. */
export const systemNoticeSignal = defineSignal<[SystemNotice]>('systemNotice');
/** The system's workflow was gone and is back: trials submit again. */
export interface SystemNotice {
  readonly topic: string;
  readonly text?: string;
  /** How much of the campaign's node-hours is used. */
  readonly share?: number;
}

/** Updates answer with one sentence; a refused one (bad argument, wrong phase) leaves no history. */
export const pauseUpdate = defineUpdate<string>('pause');
export const resumeUpdate = defineUpdate<string>('resume');
export const drainUpdate = defineUpdate<string, [string?]>('drain');
export const stopUpdate = defineUpdate<string, [string?]>('stop');
export const enqueueUpdate = defineUpdate<string, [Point | readonly Point[]]>('enqueue');
/** Failed trials run again: the same trial, its next attempt, from its last checkpoint where it left one. */
export const retryUpdate = defineUpdate<string, [RetryRequest?]>('retry');
export const setConcurrencyUpdate = defineUpdate<string, [number]>('setConcurrency');
export const setBudgetUpdate = defineUpdate<string, [Partial<CampaignSpec['budget']>]>('setBudget');

// Trial

export interface TrialInput {
  readonly campaign: string;
  /** The campaign's launch: tells its own trials from those of an earlier campaign of the same name. */
  readonly launch?: string;
  readonly number: number;
  readonly params: Point;
  readonly origin: Origin;
  readonly note?: string;
  readonly system: string;
  readonly objectives: CampaignSpec['objectives'];
  readonly retries: CampaignSpec['retries'];
  readonly trialSeconds?: number;
  readonly graceSeconds: number;
  readonly hasSearchAttributes: boolean;
  /** Multi-fidelity: the step to train to, and the trial's attempts so far when it is promoted. */
  readonly targetStep?: number;
  /** targetStep is a rung, not the end: a trial that gets there is paused (state pruned, with its value) and may be promoted, unless its training says that it is final. */
  readonly isPartial?: boolean;
  /** Steps of a whole training, where the campaign has a pruner. */
  readonly lastStep?: number;
  readonly resumeFrom?: number;
  readonly firstAttempt?: number;
  /** Seconds of training in the attempts before. */
  readonly earlierRunSeconds?: number;
}

export interface AttemptStarted {
  readonly attempt: number;
  readonly pilot: string;
  readonly slot: number;
  /** The pilot as its system names it: process, PBS job or Globus task. */
  readonly nativeId?: string;
}

/** An attempt's end: the done record, or what is known without one. */
export type AttemptEnd =
  | { readonly kind: 'record'; readonly record: DoneRecord }
  | { readonly kind: 'withdrawn'; readonly attempt: number }
  | { readonly kind: 'lost'; readonly attempt: number; readonly failure: Failure };

export interface CancelRequest {
  readonly kind: 'cancel' | 'prune';
  readonly reason: string;
  /** Meant for a trial of this launch only; a later campaign of the same name has trials of the same names. */
  readonly launch?: string;
}

export const attemptStartedSignal = defineSignal<[AttemptStarted]>('attemptStarted');
export const attemptEndedSignal = defineSignal<[AttemptEnd]>('attemptEnded');
export const cancelTrialSignal = defineSignal<[CancelRequest]>('cancelTrial');
/** The system lost its memory: say again what is wanted. */
export const resubmitSignal = defineSignal('resubmit');
export const trialQuery = defineQuery<TrialView>('trial');

// System

export interface SystemInput {
  readonly name: string;
  /** The namespace has our search attributes. */
  readonly hasSearchAttributes: boolean;
}

export interface Submission {
  readonly campaign: string;
  /** Absent in messages of earlier versions, here and below. */
  readonly launch?: string;
  readonly number: number;
  readonly attempt: number;
  readonly params: Readonly<Record<string, ParameterValue>>;
  readonly resumeFrom?: number;
  readonly targetStep?: number;
  /** An earlier life of the system may have offered it already. */
  readonly isAgain?: boolean;
}

export interface StopRequest {
  readonly campaign: string;
  readonly launch?: string;
  readonly number: number;
  readonly attempt: number;
  readonly reason: string;
}

export const openLaunchSignal = defineSignal<[Launch]>('openLaunch');
export const closeLaunchSignal = defineSignal<[{ readonly campaign: string }]>('closeLaunch');
/** What a terminated campaign has left is ended, since one of the same name wants to begin. */
export const abandonLaunchSignal = defineSignal<[{ readonly campaign: string }]>('abandonLaunch');
export const submitTrialSignal = defineSignal<[Submission]>('submitTrial');
export const stopTrialSignal = defineSignal<[StopRequest]>('stopTrial');
/** A person has logged in (`holdfast login <system>`): parked work goes on. */
export const loginDoneSignal = defineSignal('loginDone');
/** Close the circuit breaker after its cause was mended. */
export const resetBreakerSignal = defineSignal('resetBreaker');
export const systemQuery = defineQuery<SystemStatus>('system');
export const liveQuery = defineQuery<readonly LiveTrial[], [{ readonly campaign?: string }?]>('live');

export type {
  AttemptView,
  BestTrial,
  CampaignPhase,
  CampaignStatus,
  FinalState,
  Launch,
  LiveTrial,
  LoginState,
  RetryRequest,
  SystemStatus,
  TrialCounts,
  TrialView,
};
